"""Mixers broken on purpose, each with one bug of the field and the law that catches it.

`BROKEN` maps the bug to the law and to the case that has it: a good mixer with one
method spoiled.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.core
import jax.numpy as jnp
from flax import nnx

from attn_research.modules.contract import Cost
from attn_research.modules.dense import Dense, DenseOptions
from attn_research.modules.diagonal import Diagonal, DiagonalOptions
from attn_research.modules.heads import Cache, empty
from attn_research.modules.sparse import Window, WindowOptions
from attn_research.ops.dense import attend
from attn_research.ops.masks import CAUSAL, window
from attn_research.ops.positions import positions
from tests.laws.case import Case

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
        return spoil(x_BTD, Dense.__call__(self, x_BTD, segments_BT))

    return broken(law, Dense, DENSE, __call__=call)


def form(law: str, spoil: Callable[[Any], Any]) -> Broken:
    """Causal dense attention with the output of all but the naive form spoiled."""

    def call(self, x_BTD, segments_BT=None):
        y_BTD = Dense.__call__(self, x_BTD, segments_BT)
        return y_BTD if self.options.implementation == "naive" else spoil(y_BTD)

    return broken(law, Dense, DENSE, __call__=call)


def ignores_segments(self, x_BTD, segments_BT=None):
    return Dense.__call__(self, x_BTD, None)


def masks_after_softmax(self, x_BTD, segments_BT=None):
    """Padding has no content, and yet its share of the attention."""
    if segments_BT is None:
        return Dense.__call__(self, x_BTD, None)
    real_BT1 = (segments_BT > 0)[..., None].astype(x_BTD.dtype)
    return Dense.__call__(self, x_BTD * real_BT1, None) * real_BT1


def one_segment(good: type) -> Callable[..., Any]:
    """Knows padding; takes all packed sequences for one."""

    def call(self, x_BTD, segments_BT=None):
        if segments_BT is not None:
            segments_BT = (segments_BT > 0).astype(segments_BT.dtype)
        return good.__call__(self, x_BTD, segments_BT)

    return call


def counts_on(self, x_BTD, segments_BT=None):
    """Positions that do not restart in a segment."""
    here_BT = positions(x_BTD.shape[0], x_BTD.shape[1], None)
    q_BTHK, k_BTGK, v_BTGK = self.heads.split(x_BTD, here_BT)
    y_BTHK = attend(q_BTHK, k_BTGK, v_BTGK, mask=CAUSAL, segments_BT=segments_BT)
    return self.heads.merge(y_BTHK)


def wider(side: int) -> property:
    """A window wrong by `side` tokens."""
    return property(lambda self: window(self.options.window - 1 + side, 0))


def forgets_last(self, x_BD, carry: Cache):
    """The carry loses the newest token."""
    y_BD, after = Dense.step(self, x_BD, carry)
    return y_BD, carry._replace(time=after.time)


def decodes(self, batch, length, dtype=jnp.float32):
    return empty(self.heads.sizes, batch, length, dtype)


def wrong_cost(**wrong: int) -> Callable[..., Any]:
    def cost(self, length) -> Cost:
        right = Dense.cost(self, length)
        return right._replace(**{k: getattr(right, k) + v for k, v in wrong.items()})

    return cost


def stateful(self, options, **kwargs) -> None:
    """Holds a random array that is no parameter."""
    Dense.__init__(self, options, **kwargs)
    self.noise = nnx.Variable(jax.random.normal(kwargs["rngs"].params(), (1, 1, 1)))


def noisy(self, x_BTD, segments_BT=None):
    return Dense.__call__(self, x_BTD, segments_BT) + self.noise.get_value()


def through_bfloat16(y):
    return y.astype(jnp.bfloat16).astype(y.dtype)


def leans_on_rate(self, x_BTD, segments_BT=None):
    """The right output; the gradient of one small leaf is off, in float32 alone."""
    y_BTD = Diagonal.__call__(self, x_BTD, segments_BT)
    if y_BTD.dtype == jnp.float64:
        return y_BTD
    rate = 1e-3 * self.rate.get_value().sum().astype(y_BTD.dtype)
    return y_BTD + (rate - jax.lax.stop_gradient(rate))


@jax.custom_vjp
def nothing(rate_N):
    return 0 * rate_N.sum()


# Adds exact zeros to the output, NaN to one gradient.
nothing.defvjp(lambda rate_N: (nothing(rate_N), rate_N), lambda r, ct: (r * jnp.nan,))


def spoils_rate(self, x_BTD, segments_BT=None):
    y_BTD = Diagonal.__call__(self, x_BTD, segments_BT)
    return y_BTD + nothing(self.rate.get_value()).astype(y_BTD.dtype)


def unit(x_BTD, y_BTD):
    return y_BTD / jnp.sqrt((x_BTD * x_BTD).sum(-1, keepdims=True))


BROKEN = {
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
        "reach", Dense, DENSE, mask=property(lambda self: window(99, 99))
    ),
    "one direction only": broken(
        "reach", Dense, DENSE, causal=False, mask=property(lambda self: CAUSAL)
    ),
    "a window one too wide": broken("reach", Window, WINDOW, mask=wider(1)),
    "a window one too narrow": broken("reach", Window, WINDOW, mask=wider(-1)),
    "ignores padding": broken("padding", Dense, DENSE, __call__=ignores_segments),
    "masks after the softmax": broken(
        "padding", Dense, DENSE, __call__=masks_after_softmax
    ),
    "positions count padding": broken("padding", Dense, LEARNED, __call__=counts_on),
    "padding has an output": output("empty", lambda x, y: y + 1e-3),
    "sees a packed neighbour": broken(
        "packing", Dense, DENSE, __call__=one_segment(Dense)
    ),
    "the state outlives its segment": broken(
        "packing", Diagonal, DiagonalOptions(), __call__=one_segment(Diagonal)
    ),
    "positions do not restart": broken("packing", Dense, LEARNED, __call__=counts_on),
    "the carry forgets": broken("step", Dense, DENSE, step=forgets_last),
    "decodes in both directions": broken(
        "step", Dense, DENSE, causal=False, start=decodes
    ),
    "takes any carry": broken("carry", Dense, DENSE, step=Dense.step.__wrapped__),
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
    "forgets parameters": broken("cost", Dense, DENSE, cost=wrong_cost(params=-1)),
    "forgets state": broken("cost", Dense, DENSE, cost=wrong_cost(state_bytes=-4)),
    "holds more than parameters": broken(
        "functional", Dense, DENSE, __init__=stateful, __call__=noisy
    ),
    "hides a random array": broken(
        "bridge", Dense, DENSE, __init__=stateful, __call__=noisy
    ),
}
