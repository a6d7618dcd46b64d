"""What is wrong with the mixers that the laws reject: wrong methods, options, sums."""

from collections.abc import Callable
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
from flax import nnx

from attn_research.modules.attention import Attention
from attn_research.modules.attention_kinds import DenseOptions
from attn_research.modules.cache import Cache, empty
from attn_research.modules.contract import Cost, Projection, preset
from attn_research.modules.diagonal import Diagonal
from attn_research.modules.linear import Linear
from attn_research.ops.dense import attention
from attn_research.ops.masks import CAUSAL, window
from attn_research.ops.positions import positions


def ignores_segments(self, x_BTD, segments_BT=None):
    return Attention.__call__(self, x_BTD, None)


def masks_after_softmax(self, x_BTD, segments_BT=None):
    """Padding has no content, and yet its share of the attention."""
    if segments_BT is None:
        return Attention.__call__(self, x_BTD, None)
    real_BT1 = (segments_BT > 0)[..., None].astype(x_BTD.dtype)
    return Attention.__call__(self, x_BTD * real_BT1, None) * real_BT1


def multiplies_padding_by_zero(self, x_BTD, segments_BT=None):
    """0 times NaN is NaN."""
    if segments_BT is not None:
        x_BTD = x_BTD * (segments_BT > 0)[..., None].astype(x_BTD.dtype)
    return self.heads(x_BTD, segments_BT, self.kind.form(self.options, self.mask))


def packs_by_small_numbers(self, x_BTD, segments_BT=None):
    """Numbers of segments above 2 ** 16 are taken for padding."""
    if segments_BT is not None:
        segments_BT = jnp.where(segments_BT < 2**16, segments_BT, 0)
    return Attention.__call__(self, x_BTD, segments_BT)


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
    y_BTHK = attention(q_BTHK, k_BTGK, v_BTGK, mask=CAUSAL, segments_BT=segments_BT)
    return self.heads.merge(y_BTHK, x_BTD)


def wider(side: int) -> property:
    """A window wrong by `side` tokens."""
    return property(lambda self: window(self.options.window - 1 + side, 0))


def forgets_last(self, x_BD, carry: Cache):
    """The carry loses the newest token."""
    y_BD, after = Attention.step(self, x_BD, carry)
    return y_BD, carry._replace(time=after.time)


def decodes(self, batch, length, dtype=jnp.float32):
    return empty(self.heads.sizes, batch, length, dtype)


def wrong_cost(**wrong: int) -> Callable[..., Any]:
    def cost(self, length) -> Cost:
        right = Attention.cost(self, length)
        return right._replace(**{k: getattr(right, k) + v for k, v in wrong.items()})

    return cost


def stateful(self, options, **kwargs) -> None:
    """Holds a random array that is no parameter."""
    Attention.__init__(self, options, **kwargs)
    self.noise = nnx.Variable(jax.random.normal(kwargs["rngs"].params(), (1, 1, 1)))


def noisy(self, x_BTD, segments_BT=None):
    return Attention.__call__(self, x_BTD, segments_BT) + self.noise.get_value()


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


def late(
    spoil: Callable[[Any, Any], Any], first: int = 64
) -> Callable[[Any, Any], Any]:
    """Spoils what stands at a later position than a block has tokens."""

    def spoiled(x_BTD, y_BTD):
        late_T = jnp.arange(x_BTD.shape[1]) >= first
        return jnp.where(late_T[None, :, None], spoil(x_BTD, y_BTD), y_BTD)

    return spoiled


def forgets_beyond(self, x_BD, carry: Cache):
    """A ring of 64 places: later tokens overwrite the first, which are then lost."""
    y_BD, after = Attention.step(self, x_BD, carry)
    lost_BD = jnp.where(carry.time >= 64, 0.99, 1.0).astype(y_BD.dtype)
    return y_BD * lost_BD, after


def narrow_state(self, x_BD, carry):
    """The state of a recurrence held as bfloat16 between steps."""
    y_BD, after = Diagonal.step(self, x_BD, carry)
    return y_BD, (through_bfloat16(after[0]), *after[1:])


def sums_in_input_type(self, x_BD, carry):
    """A running mean of inputs, whose carry has their type."""
    total_BD, time = carry
    total_BD = total_BD + x_BD.astype(total_BD.dtype)
    mean_BD = total_BD / (time + 1).astype(total_BD.dtype)
    return self.out(mean_BD.astype(x_BD.dtype)), (total_BD, time + 1)


class Mean(nnx.Module):
    """A causal mean of the past, with a carry of a given type, or that of the input."""

    carry: Any = None

    def __init__(self, options, *, width, causal, length, rngs):
        self.causal, self.width = causal, width
        self.out = Projection(width, width, rngs=rngs)

    def __call__(self, x_BTD, segments_BT=None):
        count_T = 1 + jnp.arange(x_BTD.shape[1], dtype=jnp.float32)
        total_BTD = jnp.cumsum(x_BTD.astype(jnp.float32), axis=1)
        return self.out((total_BTD / count_T[None, :, None]).astype(x_BTD.dtype))

    def start(self, batch, length, dtype=jnp.float32):
        total_BD = jnp.zeros((batch, self.width), self.carry or dtype)
        return total_BD, jnp.zeros((), jnp.int32)

    step = sums_in_input_type


def special(number: int, good: type = Attention) -> Callable[..., Any]:
    """One number of a segment is taken for padding."""

    def call(self, x_BTD, segments_BT=None):
        if segments_BT is not None:
            segments_BT = jnp.where(segments_BT == number, 0, segments_BT)
        return good.__call__(self, x_BTD, segments_BT)

    return call


def multiplies_late_padding(self, x_BTD, segments_BT=None):
    """0 times NaN, from the second block on."""
    y_BTD = Attention.__call__(self, x_BTD, segments_BT)
    if segments_BT is None:
        return y_BTD
    late_T = jnp.arange(x_BTD.shape[1]) >= 64
    padding_BT = (segments_BT == 0) & late_T[None]
    return y_BTD + 0 * jnp.where(padding_BT[..., None], x_BTD, 0).sum(1, keepdims=True)


def loses_far_gradients(x_BTD, y_BTD):
    return jax.lax.stop_gradient(y_BTD)


def only_short(**wrong: float) -> Callable[..., Any]:
    """A cost that is right of the lengths of the other laws only."""

    def cost(self, length) -> Cost:
        right = Attention.cost(self, length)
        if length <= 17:
            return right
        changed = {k: int(getattr(right, k) * v) for k, v in wrong.items()}
        return right._replace(**changed)

    return cost


class FaultyOption(Attention):
    """Decodes wrongly if queries and keys are normalised."""

    def step(self, x_BD, carry: Cache):
        y_BD, after = Attention.step(self, x_BD, carry)
        return y_BD * (1.01 if self.options.qk_norm else 1.0), after


FAULTY_OPTION = preset(FaultyOption, DenseOptions)


def whole_chunks(self, x_BTD, segments_BT=None):
    """Wrong if the chunks of the chunked form come out even."""
    y_BTD = Linear.__call__(self, x_BTD, segments_BT)
    even = x_BTD.shape[1] % self.options.chunk == 0
    naive = self.options.implementation == "naive"
    return y_BTD * (1.001 if even and not naive else 1.0)
