"""The mixing matrices of every layer, as images."""

from typing import Any

import jax
import numpy as np

from attn_research.analysis import mixing as mix
from attn_research.analysis.opened import Named, given, opened
from attn_research.analysis.subject import Subject
from attn_research.report.inside.contract import Shown
from attn_research.report.matrices import Images, real

PANELS = 4  # matrices of one mixer that are shown
SIDE = 128  # rows of a matrix; of a longer sequence spans of tokens are shown


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
            span = -(-len(x_TD) // SIDE)
            panels, words = _panels(one, x_TD, span)
            at = f"{layer}.{place}" if place else str(layer)
            plan = Images(
                f"mixing_{layer}_{place}",
                f"Layer {at} ({one.name})",
                f"How {one.name} of layer {layer} mixes the first sequence: {words}.",
                panels,
                letters if span == 1 and len(x_TD) == len(inputs) else None,
                tokens=len(x_TD),
            )
            shown.append(Shown(plan, []))
    return shown


def _panels(
    named: Named, x_TD: jax.Array, span: int
) -> tuple[dict[str, np.ndarray], str]:
    """The matrices to show of a mixer, and what they are in words."""
    alone = named.name in mix.JACOBIAN_ONLY
    if span > 1:
        weight_HTS = mix.coarse(named, x_TD, span)
    elif alone:
        weight_HTS = mix.jacobian(named, x_TD)[None]
    else:
        weight_HTS = mix.closed(named, x_TD)
    if alone:
        panels = {"Jacobian": weight_HTS[0]}
        words = "the norm of the Jacobian of its output at t by its input at s"
    else:
        panels = {f"head {h}": weight_TS for h, weight_TS in enumerate(weight_HTS)}
        words = "the weight of the values of s in the output of t"
        if len(weight_HTS) > PANELS:
            few = list(panels.items())[: PANELS - 1]
            panels = {"mean modulus": np.abs(weight_HTS).mean(axis=0), **dict(few)}
            words += f", of {len(weight_HTS)} heads the mean modulus and the first few"
        if np.iscomplexobj(weight_HTS):
            words += ", which are complex: their moduli"
    if span > 1:
        words += f"; between spans of {span} tokens, the mean over the outputs"
    if named.mixer.causal:
        ahead_TS = np.triu(np.ones(weight_HTS.shape[1:], bool), 1)
        panels = {
            key: np.where(ahead_TS, np.nan, real(weight_TS))
            for key, weight_TS in panels.items()
        }
    return {key: real(weight_TS) for key, weight_TS in panels.items()}, words


def _letter(token: Any) -> str:
    return chr(token) if 32 < token < 127 else "·"
