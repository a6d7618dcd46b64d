"""The mixing matrices of every layer, as images."""

from typing import Any

import numpy as np

from attn_research.analysis import mixing as mix
from attn_research.analysis.opened import given, opened
from attn_research.analysis.subject import Subject
from attn_research.report import matrices
from attn_research.report.inside.contract import Shown

PANELS = 4  # matrices of one mixer that are shown


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
