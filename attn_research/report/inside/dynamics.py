"""How the states of a model change: eigenvalues and gates, trained and untrained."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from attn_research.analysis import gates, spectra
from attn_research.analysis.layers import mixer_inputs, open_model
from attn_research.analysis.statistics import Interval
from attn_research.analysis.subject import Subject
from attn_research.options import BadInput
from attn_research.report.axes import Series
from attn_research.report.figures import Plan, TableRow
from attn_research.report.inside.contract import Display
from attn_research.report.inside.states import both

QUANTILES = 21
NOTHING = 1e-6  # a modulus that is 0 but for rounding


def show_dynamics(subject: Subject) -> list[Display]:
    """The moduli of eigenvalues, and the shares of gates that are closed or open."""
    moduli: dict[str, Series] = {}
    shares: dict[str, Series] = {}
    flat: dict[str, None] = {}
    of_eigenvalues: list[TableRow] = []
    of_gates: list[TableRow] = []
    for when, restored in both(subject).items():
        inputs = mixer_inputs(restored, subject.first)
        for layer, (mixers, xs) in enumerate(
            zip(open_model(restored).layers, inputs, strict=True)
        ):
            for place, (named, x_TD) in enumerate(zip(mixers, xs, strict=True)):
                number = f"{layer}.{place}" if place else str(layer)
                label = f"layer {number} ({named.name})"
                spectrum = _if_any(spectra.spectrum, named, x_TD)
                modulus_TX = None if spectrum is None else np.abs(spectrum.value_TX)
                if modulus_TX is not None and modulus_TX.max() < NOTHING:
                    flat[label] = None
                elif spectrum is not None and modulus_TX is not None:
                    moduli.setdefault(when, {})[label] = _quantiles(modulus_TX.ravel())
                    facts = {"mixer": label, "when": when, "form": spectrum.form}
                    of_eigenvalues.append({**facts, **_moduli(modulus_TX)})
                for gate, gate_TN in (_if_any(gates.gates, named, x_TD) or {}).items():
                    closed, wide = gates.saturation(gate_TN)
                    for panel, share in (("closed", closed), ("open", wide)):
                        at = float(layer), Interval(share, share, share)
                        series = shares.setdefault(f"{panel}: {when}", {})
                        series.setdefault(f"{gate} ({named.name})", []).append(at)
                    facts = {"mixer": label, "gate": gate, "when": when}
                    of_gates.append({**facts, "below 0.05": closed, "above 0.95": wide})
    displays = []
    if moduli:
        plan = Plan(
            "eigenvalues",
            "Eigenvalues of the state transition",
            "The sorted moduli of the eigenvalues of the step from one state to the "
            "next: a component with 1 lasts for ever, one with 0 vanishes at once. "
            "Exact for mixers with a closed form, else by the Jacobian at a few tokens "
            f"of the first sequence.{_flat(flat)}",
            moduli,
            "share of the eigenvalues (fraction)",
            "modulus",
            log_x=False,
        )
        displays.append(Display(plan, of_eigenvalues))
    if shares:
        plan = Plan(
            "gates",
            "Saturated gates",
            "The share of the gates below 0.05 (closed) and above 0.95 (open), on the "
            "first sequence.",
            shares,
            "layer",
            "share of the gates",
            log_x=False,
            joined=False,
        )
        displays.append(Display(plan, of_gates))
    if not displays:
        raise BadInput(
            f"The mixers of {subject.restored.config.model.pattern} have no gates, and "
            "their states grow with the length or are too large; for gates the mixer "
            f"must be {gates.GATED}"
        )
    return displays


def _flat(labels: Iterable[str]) -> str:
    """The sentence on mixers that are left out of the figure of eigenvalues."""
    names = ", ".join(labels)
    return names and (
        f" Left out: {names}, whose state is a window of the latest inputs, so that "
        "all of its eigenvalues are 0."
    )


def _if_any(analysis: Any, named: Any, x_TD: Any) -> Any:
    """The result of an analysis of a mixer, None if it does not apply."""
    try:
        return analysis(named, x_TD)
    except BadInput:
        return None


def _quantiles(value_X: np.ndarray) -> list[tuple[float, Interval]]:
    at = np.linspace(0, 1, QUANTILES)
    points = zip(at.tolist(), np.quantile(value_X, at).tolist(), strict=True)
    return [(x, Interval(y, y, y)) for x, y in points]


def _moduli(modulus_TX: np.ndarray) -> TableRow:
    return {
        "largest modulus": float(modulus_TX.max(axis=1).mean()),
        "median": float(np.median(modulus_TX)),
        "above 1": float(np.mean(modulus_TX > 1 + 1e-6)),
    }
