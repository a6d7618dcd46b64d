"""Mixers broken on purpose, each with one bug of the field and the law that catches it.

`BROKEN` maps the bug to the law and to the case that has it: a good mixer with one
method spoiled.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.core
import jax.numpy as jnp

from attn_research.modules.attention import Attention
from attn_research.modules.attention_kinds import DenseOptions, WindowOptions
from attn_research.modules.contract import Cost
from attn_research.modules.diagonal import Diagonal, DiagonalOptions
from attn_research.modules.linear import Linear, LinearOptions
from attn_research.ops.masks import CAUSAL, window
from attn_research.testing.laws.case import Case
from tests.broken_parts import (
    Mean,
    counts_on,
    decodes,
    forgets_beyond,
    forgets_last,
    ignores_segments,
    late,
    leans_on_rate,
    loses_far_gradients,
    masks_after_softmax,
    multiplies_late_padding,
    multiplies_padding_by_zero,
    narrow_state,
    noisy,
    one_segment,
    only_short,
    packs_by_small_numbers,
    special,
    spoils_rate,
    stateful,
    through_bfloat16,
    unit,
    whole_chunks,
    wider,
    wrong_cost,
)

DENSE = DenseOptions(heads=2)
LEARNED = DenseOptions(heads=2, positions="learned")
WINDOW = WindowOptions(window=4, heads=2)


class Broken(NamedTuple):
    """The name of the law that must reject the case."""

    law: str
    case: Case


def broken(
    law: str,
    good: type,
    options: Any,
    causal: bool = True,
    **methods: Any,
) -> Broken:
    """The good mixer with its methods replaced by spoiled ones."""
    spoiled = type(good)(f"Broken{good.__name__}", (good,), methods)
    return Broken(law, Case(spoiled, options, causal, law))


def output(law: str, spoil: Callable[[Any, Any], Any]) -> Broken:
    """Causal dense attention with its output spoiled: spoil(x_BTD, y_BTD)."""

    def call(self, x_BTD, segments_BT=None):
        return spoil(x_BTD, Attention.__call__(self, x_BTD, segments_BT))

    return broken(law, Attention, DENSE, __call__=call)


def form(law: str, spoil: Callable[[Any], Any]) -> Broken:
    """Causal dense attention with the output of all but the naive form spoiled."""

    def call(self, x_BTD, segments_BT=None):
        y_BTD = Attention.__call__(self, x_BTD, segments_BT)
        return y_BTD if self.options.implementation == "naive" else spoil(y_BTD)

    return broken(law, Attention, DENSE, __call__=call)


BROKEN = {
    "wrong if the chunks come out even": broken(
        "edges", Linear, LinearOptions(), __call__=whole_chunks
    ),
    "wrong beyond the first block": output("far_step", late(lambda x, y: y * 1.001)),
    "a position wrong beyond a block": output(
        "far_packing", late(lambda x, y: y + 1e-3 * x)
    ),
    "a late token leaks": output(
        "far_causality", late(lambda x, y: y + 1e-3 * jnp.roll(x, -1, axis=1), 100)
    ),
    "no gradient beyond the first block": output(
        "far_gradient", late(loses_far_gradients)
    ),
    "the ring loses what is far": broken(
        "far_step", Attention, DENSE, step=forgets_beyond
    ),
    "a state in bfloat16": broken(
        "far_step", Diagonal, DiagonalOptions(), step=narrow_state
    ),
    "a carry in the type of the input": Broken(
        "narrow", Case(Mean, DenseOptions(), True, "narrow")
    ),
    "one number of a segment is special": broken(
        "far_packing", Attention, DENSE, __call__=special(2**20)
    ),
    "the largest number is special": broken(
        "far_packing", Attention, DENSE, __call__=special(2**31 - 1)
    ),
    "late padding is multiplied by zero": broken(
        "far_packing", Attention, DENSE, __call__=multiplies_late_padding
    ),
    "a reach that is short": broken(
        "far_reach", Attention, DENSE, reach=lambda self, length: min(length, 64)
    ),
    "a reach that is long": broken(
        "far_reach", Attention, WINDOW, reach=lambda self, length: length
    ),
    "state of a long sequence": broken(
        "cost", Attention, DENSE, cost=only_short(state_bytes=0.5)
    ),
    "parameters of a long sequence": broken(
        "cost", Attention, DENSE, cost=only_short(params=2)
    ),
    "flops of a long sequence": broken(
        "flops", Attention, DENSE, cost=only_short(flops=0.1)
    ),
    "flops that forget an option": broken(
        "flops",
        Attention,
        DenseOptions(heads=8, head_size=64),
        cost=lambda self, length: Cost(
            Attention.cost(self, length).params, 8 * 8 * 8 * length, 0
        ),
    ),
    "float32 comes back for bfloat16": output(
        "shape", lambda x, y: y.astype(jnp.float32)
    ),
    "differs when compiled": output(
        "jit", lambda x, y: y * (1.001 if isinstance(x, jax.core.Tracer) else 1.0)
    ),
    "a row sees another": output("rows", lambda x, y: y + 1e-3 * x[::-1]),
    "a mean over the batch": output("rows", lambda x, y: y / (1 + x.var())),
    "the next token leaks in": output(
        "causality", lambda x, y: y + 1e-3 * jnp.roll(x, -1, axis=1)
    ),
    "a norm over time leaks": output(
        "causality", lambda x, y: y / (1 + x.var(axis=1, keepdims=True))
    ),
    "no mask in one direction": broken(
        "reach", Attention, DENSE, mask=property(lambda self: window(99, 99))
    ),
    "one direction only": broken(
        "reach", Attention, DENSE, causal=False, mask=property(lambda self: CAUSAL)
    ),
    "a window one too wide": broken("reach", Attention, WINDOW, mask=wider(1)),
    "a window one too narrow": broken("reach", Attention, WINDOW, mask=wider(-1)),
    "ignores padding": broken("padding", Attention, DENSE, __call__=ignores_segments),
    "masks after the softmax": broken(
        "padding", Attention, DENSE, __call__=masks_after_softmax
    ),
    "padding is multiplied by zero": broken(
        "padding", Attention, DENSE, __call__=multiplies_padding_by_zero
    ),
    "only small numbers are segments": broken(
        "packing", Attention, DENSE, __call__=packs_by_small_numbers
    ),
    "positions count padding": broken(
        "padding", Attention, LEARNED, __call__=counts_on
    ),
    "padding has an output": output("empty", lambda x, y: y + 1e-3),
    "sees a packed neighbour": broken(
        "packing", Attention, DENSE, __call__=one_segment(Attention)
    ),
    "the state outlives its segment": broken(
        "packing", Diagonal, DiagonalOptions(), __call__=one_segment(Diagonal)
    ),
    "positions do not restart": broken(
        "packing", Attention, LEARNED, __call__=counts_on
    ),
    "the carry forgets": broken("step", Attention, DENSE, step=forgets_last),
    "decodes in both directions": broken(
        "step", Attention, DENSE, causal=False, start=decodes
    ),
    "takes any carry": broken(
        "carry", Attention, DENSE, step=Attention.step.__wrapped__
    ),
    "one form is off": form("forms", lambda y: y * 1.0001),
    "one form has no gradient": form("forms", jax.lax.stop_gradient),
    "a sum in bfloat16": form("reference", through_bfloat16),
    "the gradient of a small leaf is off": broken(
        "reference", Diagonal, DiagonalOptions(), __call__=leans_on_rate
    ),
    "one gradient is NaN": broken(
        "padding", Diagonal, DiagonalOptions(), __call__=spoils_rate
    ),
    "divides by zero": output("finite", unit),
    "forgets parameters": broken("cost", Attention, DENSE, cost=wrong_cost(params=-1)),
    "forgets state": broken("cost", Attention, DENSE, cost=wrong_cost(state_bytes=-4)),
    "holds more than parameters": broken(
        "functional", Attention, DENSE, __init__=stateful, __call__=noisy
    ),
    "hides a random array": broken(
        "bridge", Attention, DENSE, __init__=stateful, __call__=noisy
    ),
}
