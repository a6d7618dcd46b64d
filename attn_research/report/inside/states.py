"""What the layers and states of a model hold, trained and untrained."""

from typing import Any

import numpy as np

from attn_research.analysis import capacity, probes, representations
from attn_research.analysis.layers import open_model, untrained
from attn_research.analysis.statistics import Interval
from attn_research.analysis.subject import Subject
from attn_research.checkpoint import Restored
from attn_research.modules import pattern
from attn_research.options import BadInput
from attn_research.report.axes import Series
from attn_research.report.figures import Plan, TableRow
from attn_research.report.formatting import between
from attn_research.report.inside.contract import Display
from attn_research.report.matrices import Images

SYMBOLS, ROWS = 8, 512  # symbols of a planted fact, and sequences that have one
SEQUENCES = 64  # sequences whose pairs are counted
LONG = 512  # tokens; beyond, an analysis takes half the number of sequences
POINTS = 6  # points at most of a curve along doublings
SILENT = 0.05  # bits; a part that never holds more has no panel


def both(subject: Subject) -> dict[str, Restored]:
    """The model of a subject, trained and untrained."""
    restored = subject.restored
    return {"trained": restored, "untrained": untrained(restored)}


def show_memory(subject: Subject) -> list[Display]:
    """The bits of a planted fact in each layer and state, by delay."""
    length = subject.inputs_B.shape[1]
    place = length // 8
    last = length - 1 - place
    if last < 1:
        raise BadInput(
            f"The sequences have {length} positions; to remember a fact they must have "
            "2 or more"
        )
    stretch_X = subject.stretch
    known_N = probes.symbols(stretch_X, SYMBOLS)
    fact = probes.plant(stretch_X, known_N, _rows(length, ROWS), length, place)
    doubled = [2**n for n in range(last.bit_length()) if 2**n < last]
    delays = [*_thinned(doubled), last]
    panels: dict[str, Series] = {}
    summary: list[TableRow] = []
    found = {
        when: probes.bits_by_delay(restored, fact, delays)
        for when, restored in both(subject).items()
    }
    silent = _silent(found)
    for when, by_name in found.items():
        panels[when] = {
            _bracketed(name): [
                (float(k), bits) for k, bits in zip(delays, curve, strict=True)
            ]
            for name, curve in by_name.items()
            if name not in silent
        }
        for name, curve in by_name.items():
            half = [k for k, bits in zip(delays, curve, strict=True)
                    if bits.mean >= np.log2(fact.symbols) / 2]  # fmt: skip
            summary.append(
                {
                    "part": name,
                    "when": when,
                    f"bits after {delays[0]}": curve[0].mean,
                    "95 %": between(curve[0]),
                    f"bits after {last}": curve[-1].mean,
                    "half-life (tokens)": f"at least {max(half)}"
                    if half
                    else f"below {delays[0]}",
                }
            )
    plan = Plan(
        "memory",
        "A planted fact by delay",
        f"The bits that a linear probe reads, at this delay, about which of "
        f"{fact.symbols} symbols was at position {place}, from the residual stream and "
        "from states of fixed size: a lower bound of what they hold, on held-out "
        "sequences. It does not see a cache that grows with the length, from which "
        "attention may recall the fact although the stream holds 0 bits of it."
        + (f" Never above {SILENT} bits, and left out: {', '.join(silent)}."
           if silent else ""),
        panels,
        "distance",
        "bits of the fact",
        levels=dict.fromkeys(panels, float(np.log2(fact.symbols))),
        level="the whole fact",
    )  # fmt: skip
    return [Display(plan, summary)]


def _silent(found: dict[str, dict[str, Any]]) -> list[str]:
    """The parts that hold nothing, trained or not, unless that is all of them."""
    names = list(dict.fromkeys(name for by_name in found.values() for name in by_name))
    silent = [
        name
        for name in names
        if all(
            bits.mean < SILENT
            for by_name in found.values()
            for bits in by_name.get(name, [])
        )
    ]
    return silent if len(silent) < len(names) else []


def _rows(length: int, rows: int) -> int:
    return rows // 2 if length > LONG else rows


def _thinned(doubled: list[int]) -> list[int]:
    """The values, or every other one up to the last if they are many."""
    return doubled if len(doubled) <= POINTS else doubled[::-1][::2][::-1]


def _bracketed(name: str) -> str:
    """The name with the mixer of a state in brackets: `state 0 (lstm)`."""
    kind, at, *mixer = name.split(" ") if name.startswith("state") else [name, ""]
    return f"{kind} {at} ({mixer[0]})" if mixer else name


def show_capacity(subject: Subject) -> list[Display]:
    """The pairs recalled by the number of pairs, and the bytes of the state."""
    restored = subject.restored
    pairs = _thinned(capacity.fitting_pairs(restored))
    length = open_model(restored).trunk.sizes.length
    recalls = capacity.recalled_pairs(restored, pairs, _rows(length, SEQUENCES))
    label = pattern.brief(restored.config.model.pattern)
    series: Series = {label: [(float(one.pairs), one.recalled) for one in recalls]}
    summary: list[TableRow] = [
        {
            "pairs": one.pairs,
            "recalled": one.recalled.mean,
            "95 %": between(one.recalled),
            "state (bytes)": one.state_bytes,
        }
        for one in recalls
    ]
    plan = Plan(
        "capacity",
        "Pairs recalled",
        "The number of pairs recalled beyond guessing, by the number of pairs in a "
        "sequence of the task's length; mean over test sequences.",
        {"": series},
        "pairs in a sequence",
        "pairs recalled",
    )
    return [Display(plan, summary)]


def show_representations(subject: Subject) -> list[Display]:
    """The norm and the rank of the residual stream by layer, and the similarities."""
    size, rank = representations.size, representations.effective_rank
    streams = {
        when: representations.streams(restored, subject.inputs_B, subject.segments_BT)
        for when, restored in both(subject).items()
    }
    numbers = {
        when: [(size(x_XD), rank(x_XD)) for x_XD in x_NXD]
        for when, x_NXD in streams.items()
    }
    displays = []
    for index, (name, title, caption, y) in enumerate(
        (
            ("stream_norm", "Norm of the residual stream",
             "The mean norm of the residual stream after each layer.",
             "norm of the residual stream"),
            ("effective_rank", "Effective rank",
             "The number of directions in which the residual stream varies after each "
             "layer: the exponential of the entropy of its singular values.",
             "effective rank (directions)"),
        )
    ):  # fmt: skip
        series: Series = {
            when: [
                (float(layer), Interval(one[index], one[index], one[index]))
                for layer, one in enumerate(by_layer)
            ]
            for when, by_layer in numbers.items()
        }
        columns = [[one[index] for one in some] for some in numbers.values()]
        summary: list[TableRow] = [
            {"layers before": layer, **dict(zip(numbers, row, strict=True))}
            for layer, row in enumerate(zip(*columns, strict=True))
        ]
        plan = Plan(
            name, title, caption, {"": series}, "layers", y, log_x=False, joined=False
        )
        displays.append(Display(plan, summary))
    cka = representations.cka
    similarities = {
        when: np.array([[cka(x_XD, y_XD) for y_XD in x_NXD] for x_XD in x_NXD])
        for when, x_NXD in streams.items()
    }
    plan = Images(
        "cka",
        "Similarity of layers",
        "Linear CKA of the residual stream after one layer with that after another: 1 "
        "if they are the same up to rotation and scale.",
        similarities,
        [str(layer) for layer in range(len(numbers["trained"]))],
        "layers",
        "layers",
        scale="CKA",
    )
    return [*displays, Display(plan, [])]
