"""What the layers and the states of a model hold, trained and untrained."""

from typing import Any

import numpy as np

from attn_research.analysis import capacity as recalling
from attn_research.analysis import gates as gating
from attn_research.analysis import probes, spectra
from attn_research.analysis import representations as inner
from attn_research.analysis import statistics as stats
from attn_research.analysis.opened import given, opened, untrained
from attn_research.analysis.statistics import Interval
from attn_research.analysis.subject import Subject
from attn_research.checkpoint import Restored
from attn_research.modules import pattern
from attn_research.options import BadInput
from attn_research.report.figures import Plan, Series
from attn_research.report.inside.contract import Line, Shown
from attn_research.report.matrices import Images
from attn_research.report.words import between

SYMBOLS, ROWS = 8, 512  # of a planted fact, and the sequences it is planted in
SEQUENCES = 64  # in which pairs are counted
LONG = 512  # tokens; of longer sequences half as many are looked at
POINTS = 6  # of a curve along a scale of doublings
QUANTILES = 21


def _both(subject: Subject) -> dict[str, Restored]:
    restored = subject.restored
    return {"trained": restored, "untrained": untrained(restored)}


def memory(subject: Subject) -> list[Shown]:
    """The bits of a planted fact in each layer and state, by the delay."""
    length = subject.inputs_B.shape[1]
    place = length // 8
    last = length - 1 - place
    if last < 1:
        raise BadInput(
            f"The sequences have {length} positions; two or more are needed to keep a "
            "fact from one to another"
        )
    stretch_X = subject.stretch
    known_N = probes.symbols(stretch_X, SYMBOLS)
    fact = probes.planted(stretch_X, known_N, _rows(length, ROWS), length, place)
    doubled = [2**n for n in range(last.bit_length()) if 2**n < last]
    delays = [*_thinned(doubled), last]
    panels: dict[str, Series] = {}
    summary: list[Line] = []
    for when, restored in _both(subject).items():
        found = probes.kept(restored, fact, delays)
        panels[when] = {
            _bracketed(name): [
                (float(k), bits) for k, bits in zip(delays, told, strict=True)
            ]
            for name, told in found.items()
        }
        for name, told in found.items():
            half = [k for k, bits in zip(delays, told, strict=True)
                    if bits.mean >= np.log2(fact.symbols) / 2]  # fmt: skip
            line: Line = {"of": name, "when": when, "bits at first": told[0].mean}
            line |= {"95 %": between(told[0]), f"bits after {last}": told[-1].mean}
            longest = max(half) if half else "no delay"
            summary.append({**line, "half is kept up to": longest})
    plan = Plan(
        "memory",
        "A planted fact by delay",
        f"The bits that a linear probe reads of which of {fact.symbols} symbols stood "
        f"at position {place}, so many tokens later, in the residual stream and in the "
        "states of fixed size: a lower bound of what is kept, on held-out sequences.",
        panels,
        "distance",
        "bits of the fact",
    )
    return [Shown(plan, summary)]


def _rows(length: int, rows: int) -> int:
    return rows // 2 if length > LONG else rows


def _thinned(doubled: list[int]) -> list[int]:
    """The values, or where there are many every other one of them up to the last."""
    return doubled if len(doubled) <= POINTS else doubled[::-1][::2][::-1]


def _bracketed(name: str) -> str:
    """`state 0 (lstm)` of a state, and every other name as it is."""
    kind, at, *mixer = name.split(" ") if name.startswith("state") else [name, ""]
    return f"{kind} {at} ({mixer[0]})" if mixer else name


def capacity(subject: Subject) -> list[Shown]:
    """The pairs recalled by the pairs there are, beside the bytes of the state."""
    restored = subject.restored
    pairs = _thinned(recalling.fitting(restored))
    length = opened(restored).trunk.sizes.length
    found = recalling.recalled(restored, pairs, _rows(length, SEQUENCES))
    label = pattern.brief(restored.config.model.pattern)
    series: Series = {label: [(float(told.pairs), told.recalled) for told in found]}
    summary: list[Line] = [
        {
            "pairs": told.pairs,
            "recalled": told.recalled.mean,
            "95 %": between(told.recalled),
            "state (bytes)": told.state_bytes,
        }
        for told in found
    ]
    plan = Plan(
        "capacity",
        "Pairs recalled",
        "How many pairs are recalled of those that sequences of the length of the task "
        "hold, beyond what guessing gives; mean over test sequences.",
        {"": series},
        "pairs in a sequence",
        "pairs recalled",
    )
    return [Shown(plan, summary)]


def representations(subject: Subject) -> list[Shown]:
    """The norm and the rank of the residual stream by layer, and likenesses."""
    streams = {
        when: inner.streams(restored, subject.inputs_B, subject.segments_BT)
        for when, restored in _both(subject).items()
    }
    told = {
        when: [(inner.size(x_XD), inner.effective_rank(x_XD)) for x_XD in x_NXD]
        for when, x_NXD in streams.items()
    }
    shown = []
    for index, (name, title, caption, y) in enumerate(
        (
            ("stream_norm", "Norm of the residual stream",
             "The mean norm of the residual stream after so many layers.",
             "norm of the residual stream"),
            ("effective_rank", "Effective rank",
             "In how many directions the residual stream varies after so many layers: "
             "the exponential of the entropy of its singular values.",
             "effective rank (directions)"),
        )
    ):  # fmt: skip
        series: Series = {
            when: [
                (float(layer), Interval(one[index], one[index], one[index]))
                for layer, one in enumerate(by_layer)
            ]
            for when, by_layer in told.items()
        }
        summary: list[Line] = [
            {"layers before": layer, **dict(zip(told, numbers, strict=True))}
            for layer, numbers in enumerate(
                zip(*([one[index] for one in by] for by in told.values()), strict=True)
            )
        ]
        plan = Plan(name, title, caption, {"": series}, "layers", y, log_x=False)
        shown.append(Shown(plan, summary))
    alike = {
        when: np.array([[inner.cka(x_XD, y_XD) for y_XD in x_NXD] for x_XD in x_NXD])
        for when, x_NXD in streams.items()
    }
    plan = Images(
        "cka",
        "Likeness of layers",
        "Linear CKA of the residual stream after so many layers with that after so "
        "many others: 1 where they are the same but for rotation and scale.",
        alike,
        [str(layer) for layer in range(len(told["trained"]))],
        "layers",
        "layers",
    )
    return [*shown, Shown(plan, [])]


def dynamics(subject: Subject) -> list[Shown]:
    """The moduli of eigenvalues, and the shares of gates that are shut or open."""
    moduli: dict[str, Series] = {}
    shares: dict[str, Series] = {}
    lasting: list[Line] = []
    standing: list[Line] = []
    for when, restored in _both(subject).items():
        inputs = given(restored, subject.first)
        for layer, (mixers, xs) in enumerate(
            zip(opened(restored).layers, inputs, strict=True)
        ):
            for place, (named, x_TD) in enumerate(zip(mixers, xs, strict=True)):
                where = f"{layer}.{place}" if place else str(layer)
                label = f"layer {where} ({named.name})"
                if (found := _told(spectra.spectrum, named, x_TD)) is not None:
                    line = _quantiles(np.abs(found.value_TX).ravel())
                    moduli.setdefault(when, {})[label] = line
                    facts = {"mixer": label, "when": when, "form": found.form}
                    lasting.append({**facts, **_lasting(np.abs(found.value_TX))})
                for gate, gate_TN in (_told(gating.gates, named, x_TD) or {}).items():
                    shut, wide = gating.saturation(gate_TN)
                    for panel, share in (("shut", shut), ("open", wide)):
                        at = float(layer), Interval(share, share, share)
                        series = shares.setdefault(f"{panel}: {when}", {})
                        series.setdefault(f"{gate} ({named.name})", []).append(at)
                    facts = {"mixer": label, "gate": gate, "when": when}
                    standing.append({**facts, "below 0.05": shut, "above 0.95": wide})
    shown = []
    if moduli:
        plan = Plan(
            "eigenvalues",
            "Eigenvalues of the transition of the state",
            "The moduli of the eigenvalues of the step from one state to the next, in "
            "order: 1 lasts for ever, 0 is gone at once. Exact where there is a closed "
            "form, else by the Jacobian at a few tokens of the first sequence.",
            moduli,
            "share of the eigenvalues (fraction)",
            "modulus",
            log_x=False,
        )
        shown.append(Shown(plan, lasting))
    if shares:
        plan = Plan(
            "gates",
            "Saturated gates",
            "The share of the gates below 0.05 (shut) and above 0.95 (open), over the "
            "first sequence.",
            shares,
            "layer",
            "share of the gates",
            log_x=False,
        )
        shown.append(Shown(plan, standing))
    if not shown:
        raise BadInput(
            f"The mixers of {subject.restored.config.model.pattern} have no gates, and "
            "their states grow with the length or are too large; "
            f"{gating.GATED} have gates"
        )
    return shown


def _told(analysis: Any, named: Any, x_TD: Any) -> Any:
    """What an analysis says of a mixer, None where it does not exist for that."""
    try:
        return analysis(named, x_TD)
    except BadInput:
        return None


def _quantiles(value_X: np.ndarray) -> list[tuple[float, Interval]]:
    at = np.linspace(0, 1, QUANTILES)
    points = zip(at.tolist(), np.quantile(value_X, at).tolist(), strict=True)
    return [(x, Interval(y, y, y)) for x, y in points]


def _lasting(value_TX: np.ndarray) -> Line:
    largest_T = value_TX.max(axis=1)
    told = stats.bootstrap(list(largest_T))
    line: Line = {"largest modulus": told.mean, "median": float(np.median(value_TX))}
    return {**line, "above 1": float(np.mean(value_TX > 1 + 1e-6))}
