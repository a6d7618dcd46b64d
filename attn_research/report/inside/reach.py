"""How far an output depends on inputs, and how the gradient falls with the distance."""

import math

import numpy as np

from attn_research.analysis import gradients as by
from attn_research.analysis import receptive_field as field
from attn_research.analysis import statistics as stats
from attn_research.analysis.context import asked
from attn_research.analysis.opened import opened, untrained
from attn_research.analysis.subject import Subject
from attn_research.checkpoint import Restored
from attn_research.report.figures import Plan, Series
from attn_research.report.inside.contract import Line, Shown, few
from attn_research.report.words import between

PROBES = 1  # of random signs for each output of a gradient


def receptive_field(subject: Subject) -> list[Shown]:
    """The share of the gradient's energy within a distance, before and after."""
    energies = {
        "trained": _energy(subject, subject.restored),
        "untrained": _energy(subject, untrained(subject.restored)),
    }
    series: Series = {
        label: [
            (float(k), stats.bootstrap(list(field.shares(energy_BK)[:, k])))
            for k in by.bins(energy_BK.shape[1])
        ]
        for label, energy_BK in energies.items()
    }
    length = energies["trained"].shape[1]
    reach_N = field.furthest(field.reachable(subject.restored, length))
    plan = Plan(
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
    return [Shown(plan, summary)]


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
            if not subject.spec.per_sequence and np.any(subject.batch.weights):
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
    plan = Plan(
        "gradients",
        "Gradient by distance",
        "The norm of the gradient of an output, or of the loss, by the input (of the "
        "first layer, or of the layer) so many tokens away; mean over sequences.",
        panels,
        "distance",
        "gradient",
        log_y=True,
    )
    return [Shown(plan, summary)]


def _half(rate: float) -> float:
    """The distance at which exp(-rate k) is a half; infinite where nothing decays."""
    return math.inf if rate <= 0 else math.log(2) / rate


def _energy(
    subject: Subject, restored: Restored, layer: int | None = None
) -> np.ndarray:
    """energy_BK of all sequences, of a few outputs of each."""
    found = []
    for part in subject.parts():
        places_BT = part.places_BT
        if places_BT is None:
            places_BT = np.ones((len(part.inputs_B), part.places), np.int32)
        at_BN = _chosen(np.asarray(places_BT))
        energy_BNS = by.output_energy(
            restored, part.inputs_B, part.segments_BT, layer=layer, probes=PROBES,
            at_BN=at_BN,
        )  # fmt: skip
        found.append(
            by.by_distance(energy_BNS, places_BT, causal=part.causal, at_BN=at_BN)
        )
    return np.concatenate(found)


def _loss(subject: Subject, restored: Restored) -> np.ndarray:
    """energy_BK of all sequences, of the losses of a few answers of each."""
    found = []
    for part in subject.parts():
        assert part.batch is not None and part.spec is not None
        weights_BT = np.asarray(part.batch.weights)
        at_BN = _chosen(weights_BT)
        energy_BNS = by.loss_energy(restored, part.spec, part.batch, at_BN)
        found.append(
            by.by_distance(
                energy_BNS, part.places_BT, causal=part.causal, counts_BT=weights_BT,
                at_BN=at_BN,
            )
        )  # fmt: skip
    return np.concatenate(found)


def _chosen(weights_BT: np.ndarray) -> np.ndarray:
    """at_BN: a few of the outputs that count, as many in every batch; -1 is none."""
    most = few(weights_BT.shape[1])
    at_BN = asked(weights_BT, most)
    width = min(most, weights_BT.shape[1]) - at_BN.shape[1]
    return np.pad(at_BN, ((0, 0), (0, width)), constant_values=-1)
