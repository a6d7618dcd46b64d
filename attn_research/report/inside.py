"""What is inside of a trained model, as figures: one entry of `ANALYSES` for each.

Every analysis takes a `Subject`, and gives figures with a small table under each.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from attn_research.analysis import gradients as by
from attn_research.analysis import mixing as mix
from attn_research.analysis import receptive_field as field
from attn_research.analysis import statistics as stats
from attn_research.analysis.opened import given, opened, untrained
from attn_research.analysis.subject import Subject
from attn_research.checkpoint import Restored
from attn_research.report import figures, matrices
from attn_research.report.figures import Figure, Series
from attn_research.report.words import between

Line = dict[str, Any]
PANELS = 4  # matrices of one mixer that are shown
PROBES = 4  # of random signs for each output of a gradient


class Shown(NamedTuple):
    """A figure and the table under it."""

    figure: Figure
    summary: list[Line]


class Analysis(NamedTuple):
    """One sentence on what an analysis shows, and the analysis."""

    sentence: str
    show: Callable[[Subject], list[Shown]]


def mixing(subject: Subject) -> list[Shown]:
    """The matrices of every mixer of every layer, on the first sequence."""
    restored, shown = subject.restored, []
    inputs = subject.first
    # Characters where the tokens are those of a text.
    letters = None if subject.batch is not None else [_letter(x) for x in inputs]
    for layer, (named, given_to) in enumerate(
        zip(opened(restored).layers, given(restored, inputs), strict=True)
    ):
        for place, (one, x_TD) in enumerate(zip(named, given_to, strict=True)):
            panels, words = _panels(one, x_TD)
            shown.append(
                Shown(
                    matrices.draw(
                        f"mixing_{layer}_{place}",
                        f"Layer {layer}: {one.name}",
                        f"How {one.name} of layer {layer} mixes the first sequence: "
                        f"{words}.",
                        panels,
                        letters if len(x_TD) == len(inputs) else None,
                    ),
                    [],
                )
            )
    return shown


def _panels(named: Any, x_TD: Any) -> tuple[dict[str, np.ndarray], str]:
    """The matrices to show of a mixer, and what they are in words."""
    if named.name in mix.JACOBIAN_ONLY:
        panels = {"Jacobian": mix.jacobian(named, x_TD)}
        words = "the norm of the Jacobian of its output at t by its input at s"
    else:
        weight_HTS = mix.closed(named, x_TD)
        panels = {f"head {h}": weight_TS for h, weight_TS in enumerate(weight_HTS)}
        words = "the weight of the values of s in the output of t"
        if len(weight_HTS) > PANELS:
            few = list(panels.items())[: PANELS - 1]
            panels = {"mean modulus": np.abs(weight_HTS).mean(axis=0), **dict(few)}
            words += f", of {len(weight_HTS)} heads the mean modulus and the first few"
        if np.iscomplexobj(weight_HTS):
            words += ", which are complex: their moduli"
    if named.mixer.causal:
        ahead_TS = np.triu(np.ones((len(x_TD), len(x_TD)), bool), 1)
        panels = {
            key: np.where(ahead_TS, np.nan, weight_TS)
            for key, weight_TS in panels.items()
        }
    return panels, words


def _letter(token: Any) -> str:
    return chr(token) if 32 < token < 127 else "·"


def receptive_field(subject: Subject) -> list[Shown]:
    """The share of the gradient's energy within a distance, before and after."""
    energies = {
        "trained": _energy(subject, subject.restored),
        "untrained": _energy(subject, untrained(subject.restored)),
    }
    series: Series = {
        label: [
            (float(k), stats.bootstrap(list(share_B)))
            for k, share_B in enumerate(field.shares(energy_BK).T)
        ]
        for label, energy_BK in energies.items()
    }
    length = energies["trained"].shape[1]
    reach_N = field.furthest(field.reachable(subject.restored, length))
    figure = figures.draw(
        "receptive_field",
        "Receptive field",
        "The share of the energy of the gradient of the outputs by the inputs that "
        "comes from within a distance: the effective receptive field, mean over "
        "sequences.",
        {"": series},
        "distance",
        "share",
        log_x=False,
    )
    summary: list[Line] = [
        {"field": f"theoretical, after layer {layer}", "tokens": int(reach), "95 %": ""}
        for layer, reach in enumerate(reach_N)
    ]
    for label, energy_BK in energies.items():
        for share in (0.5, 0.9):
            found = stats.bootstrap(list(field.radius(energy_BK, share).astype(float)))
            line = {"field": f"effective, {label}: {share:.0%} of the energy"}
            summary.append({**line, "tokens": found.mean, "95 %": between(found)})
    return [Shown(figure, summary)]


def gradients(subject: Subject) -> list[Shown]:
    """The norm of the gradient by distance: of the whole model and of each layer."""
    of = opened(subject.restored)
    panels: dict[str, Series] = {}
    summary: list[Line] = []
    for when, restored in (
        ("after training", subject.restored),
        ("before training", untrained(subject.restored)),
    ):
        found = {"whole model": _energy(subject, restored)}
        for layer, named in enumerate(of.layers):
            names = "+".join(one.name for one in named)
            found[f"layer {layer} ({names})"] = _energy(subject, restored, layer)
        if subject.batch is not None and subject.spec is not None:
            if not subject.spec.per_sequence and subject.batch.weights.ndim == 2:
                found["loss"] = _loss(subject, restored)
        panels[when] = {
            label: [(k, norm) for k, norm in by.norms(energy_BK) if k and norm.mean]
            for label, energy_BK in found.items()
        }
        for label, energy_BK in found.items():
            rate = by.decay(energy_BK)
            line = {"of": label, "when": when, "decay per token": rate.mean}
            halved = {"halved every (tokens)": _half(rate.mean)}
            summary.append({**line, "95 %": between(rate), **halved})
    figure = figures.draw(
        "gradients",
        "Gradient by distance",
        "The norm of the gradient of an output, or of the loss, by the input (of the "
        "first layer, or of the layer) so many tokens away; mean over sequences.",
        panels,
        "distance",
        "gradient",
        log_y=True,
    )
    return [Shown(figure, summary)]


def _half(rate: float) -> float:
    """The distance at which exp(-rate k) is a half; infinite where nothing decays."""
    return math.inf if rate <= 0 else math.log(2) / rate


def _energy(
    subject: Subject, restored: Restored, layer: int | None = None
) -> np.ndarray:
    energy_BTS = by.output_energy(
        restored, subject.inputs_B, subject.segments_BT, layer=layer, probes=PROBES
    )
    return by.by_distance(energy_BTS, subject.places_BT, causal=subject.causal)


def _loss(subject: Subject, restored: Restored) -> np.ndarray:
    assert subject.batch is not None and subject.spec is not None
    energy_BTS = by.loss_energy(restored, subject.spec, subject.batch)
    return by.by_distance(
        energy_BTS,
        subject.places_BT,
        causal=subject.causal,
        counts_BT=np.asarray(subject.batch.weights) > 0,
    )


ANALYSES: dict[str, Analysis] = {
    "mixing": Analysis(
        "The matrix by which each mixer mixes the tokens of a sequence.", mixing
    ),
    "receptive_field": Analysis(
        "How far what an output depends on can be, and how far it is.", receptive_field
    ),
    "gradients": Analysis(
        "How the gradient falls with the distance, and how fast.", gradients
    ),
}
