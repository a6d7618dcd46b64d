"""The mixing matrices of every layer, as images."""

from typing import Any

import jax
import numpy as np

from attn_research.analysis import mixing
from attn_research.analysis.layers import Named, mixer_inputs, open_model
from attn_research.analysis.subject import Subject
from attn_research.report.inside.contract import Display
from attn_research.report.matrices import Images, real

PANELS = 4  # matrices that are shown of one mixer
SIDE = 128  # rows of a matrix; a longer sequence is shown in spans of tokens


def show_mixing(subject: Subject) -> list[Display]:
    """The matrices of every mixer of every layer, on the first sequence."""
    restored, displays = subject.restored, []
    inputs = subject.first
    letters = _letters(inputs, of_text=subject.batch is None)
    for layer, (mixers, xs) in enumerate(
        zip(open_model(restored).layers, mixer_inputs(restored, inputs), strict=True)
    ):
        for place, (named, x_TD) in enumerate(zip(mixers, xs, strict=True)):
            span = -(-len(x_TD) // SIDE)
            panels, words = _panels(named, x_TD, span)
            at = f"{layer}.{place}" if place else str(layer)
            plan = Images(
                f"mixing_{layer}_{place}",
                f"Layer {at} ({named.name})",
                f"How {named.name} of layer {layer} mixes the first sequence: {words}.",
                panels,
                letters if span == 1 and len(x_TD) == len(inputs) else None,
                tokens=len(x_TD),
                scale="norm" if "Jacobian" in panels else "weight",
            )
            displays.append(Display(plan, []))
    return displays


def _panels(
    named: Named, x_TD: jax.Array, span: int
) -> tuple[dict[str, np.ndarray], str]:
    """The matrices of a mixer that are shown, and their meaning in words."""
    if span > 1:
        weight_HTS = mixing.coarse(named, x_TD, span)
    else:
        weight_HTS = mixing.matrices(named, x_TD)
    if mixing.form_of(named, x_TD) == "jacobian":
        panels = {"Jacobian": weight_HTS[0]}
        words = "the norm of the Jacobian of its output at t by its input at s"
    else:
        panels = {f"head {h}": weight_TS for h, weight_TS in enumerate(weight_HTS)}
        words = "the weight of the values of s in the output of t"
        if len(weight_HTS) > PANELS:
            few = list(panels.items())[: PANELS - 1]
            panels = {"mean modulus": np.abs(weight_HTS).mean(axis=0), **dict(few)}
            words += (
                f", as the mean modulus of {len(weight_HTS)} heads and the first "
                f"{PANELS - 1} heads"
            )
        if np.iscomplexobj(weight_HTS):
            words += ", as moduli of complex numbers"
    if span > 1:
        words += f"; between spans of {span} tokens, as the mean over the outputs"
    if named.mixer.causal:
        ahead_TS = np.triu(np.ones(weight_HTS.shape[1:], bool), 1)
        panels = {
            key: np.where(ahead_TS, np.nan, real(weight_TS))
            for key, weight_TS in panels.items()
        }
    return {key: real(weight_TS) for key, weight_TS in panels.items()}, words


def _letters(inputs: Any, of_text: bool) -> list[str] | None:
    """Characters if the tokens are those of a text, else their numbers, if any."""
    if of_text:
        return [_letter(x) for x in inputs]
    tokens = np.asarray(inputs)
    whole = np.issubdtype(tokens.dtype, np.integer) and tokens.ndim == 1
    return [str(token) for token in tokens.tolist()] if whole else None


def _letter(token: Any) -> str:
    return chr(token) if 32 < token < 127 else "·"
