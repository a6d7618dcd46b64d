"""The receptive field of a model, and its gradients by distance."""

import math

import numpy as np

from attn_research.analysis import gradients, receptive_field
from attn_research.analysis import statistics as stats
from attn_research.analysis.context import answer_positions
from attn_research.analysis.layers import open_model, untrained
from attn_research.analysis.subject import Subject
from attn_research.checkpoint import Restored
from attn_research.report.axes import Series
from attn_research.report.figures import Plan, TableRow
from attn_research.report.formatting import between
from attn_research.report.inside.contract import Display, few

PROBES = 1  # pullbacks of random signs for each output


def show_receptive_field(subject: Subject) -> list[Display]:
    """The share of the gradient's energy within a distance, trained and untrained."""
    energies = {
        "trained": _energy(subject, subject.restored),
        "untrained": _energy(subject, untrained(subject.restored)),
    }
    series: Series = {
        label: [
            (
                float(k),
                stats.mean_interval(list(receptive_field.shares(energy_BK)[:, k])),
            )
            for k in gradients.bins(energy_BK.shape[1])
        ]
        for label, energy_BK in energies.items()
    }
    length = energies["trained"].shape[1]
    seen_NTS = receptive_field.reachable(subject.restored, length)
    reach_N = receptive_field.furthest(seen_NTS)
    plan = Plan(
        "receptive_field",
        "Receptive field",
        "The effective receptive field: the share of the energy of the gradient of "
        "the outputs by the inputs within a distance; mean over sequences.",
        {"": series},
        "distance",
        "share",
        log_x=False,
    )
    summary: list[TableRow] = [
        {"field": f"theoretical, after layer {layer}", "tokens": int(reach), "95 %": ""}
        for layer, reach in enumerate(reach_N)
    ]
    for label, energy_BK in energies.items():
        for share in (0.5, 0.9):
            radius_B = receptive_field.radius(energy_BK, share).astype(float)
            radius = stats.mean_interval(list(radius_B))
            row = {"field": f"effective, {label}: {share:.0%} of the energy"}
            summary.append({**row, "tokens": radius.mean, "95 %": between(radius)})
    return [Display(plan, summary)]


def show_gradients(subject: Subject) -> list[Display]:
    """The norm of the gradient by distance, for the whole model and each layer."""
    layers = open_model(subject.restored).layers
    panels: dict[str, Series] = {}
    summary: list[TableRow] = []
    for when, restored in (
        ("after training", subject.restored),
        ("before training", untrained(subject.restored)),
    ):
        energies = {"whole model": _energy(subject, restored)}
        for layer, mixers in enumerate(layers):
            names = "+".join(named.name for named in mixers)
            energies[f"layer {layer} ({names})"] = _energy(subject, restored, layer)
        if subject.batch is not None and subject.spec is not None:
            if not subject.spec.per_sequence and np.any(subject.batch.weights):
                energies["loss"] = _loss(subject, restored)
        panels[when] = {
            label: [
                (k, norm) for k, norm in gradients.norms(energy_BK) if k and norm.mean
            ]
            for label, energy_BK in energies.items()
        }
        for label, energy_BK in energies.items():
            rate = gradients.decay(energy_BK)
            row = {"part": label, "when": when, "decay per token": rate.mean}
            halved = {"halved every (tokens)": _half_distance(rate.mean)}
            summary.append({**row, "95 %": between(rate), **halved})
    plan = Plan(
        "gradients",
        "Gradient by distance",
        "The norm of the gradient of an output, or of the loss, by an input at this "
        "distance; the input is that of the layer, or of the first layer for the "
        "whole model and the loss; mean over sequences.",
        panels,
        "distance",
        "gradient",
        log_y=True,
    )
    return [Display(plan, summary)]


def _half_distance(rate: float) -> float | str:
    """The distance at which exp(-rate k) is a half, or `never`."""
    return "never" if rate <= 0 else math.log(2) / rate


def _energy(
    subject: Subject, restored: Restored, layer: int | None = None
) -> np.ndarray:
    """energy_BK of all sequences, at a few outputs of each."""
    by_part = []
    for part in subject.parts():
        places_BT = part.places_BT
        if places_BT is None:
            places_BT = np.ones((len(part.inputs_B), part.places), np.int32)
        at_BN = _chosen(np.asarray(places_BT))
        energy_BNS = gradients.output_energy(
            restored, part.inputs_B, part.segments_BT, layer=layer, probes=PROBES,
            at_BN=at_BN,
        )  # fmt: skip
        by_part.append(
            gradients.by_distance(
                energy_BNS, places_BT, causal=part.causal, at_BN=at_BN
            )
        )
    return np.concatenate(by_part)


def _loss(subject: Subject, restored: Restored) -> np.ndarray:
    """energy_BK of all sequences, for the losses of a few answers of each."""
    by_part = []
    for part in subject.parts():
        assert part.batch is not None and part.spec is not None
        weights_BT = np.asarray(part.batch.weights)
        at_BN = _chosen(weights_BT)
        energy_BNS = gradients.loss_energy(restored, part.spec, part.batch, at_BN)
        by_part.append(
            gradients.by_distance(
                energy_BNS, part.places_BT, causal=part.causal, counts_BT=weights_BT,
                at_BN=at_BN,
            )
        )  # fmt: skip
    return np.concatenate(by_part)


def _chosen(weights_BT: np.ndarray) -> np.ndarray:
    """at_BN: a few of the outputs that count, filled with -1 to the same N."""
    most = few(weights_BT.shape[1])
    at_BN = answer_positions(weights_BT, most)
    width = min(most, weights_BT.shape[1]) - at_BN.shape[1]
    return np.pad(at_BN, ((0, 0), (0, width)), constant_values=-1)
