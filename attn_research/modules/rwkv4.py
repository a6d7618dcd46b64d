"""RWKV-4: a decaying average of values for each channel, read through a gate."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from attn_research.modules.contract import (
    Cost,
    Projection,
    checked,
    cost_of,
    dynamics,
    everything,
)
from attn_research.modules.directions import (
    backward,
    both_directions,
    passes,
    refuse_decoding,
    without_padding,
)
from attn_research.modules.segments import reading
from attn_research.modules.stepping import stepping
from attn_research.modules.token_shift import before
from attn_research.modules.wide_projection import project
from attn_research.ops.fading_average import Averages, wkv, wkv_start, wkv_step
from attn_research.ops.precision import wide
from attn_research.options import declared, option

# The last input, and the state of `wkv_step`.
Carry = tuple[jax.Array, Averages]


@declared
class RWKV4Options:
    """Options of the mixer `rwkv4`."""

    implementation: Literal["naive", "sequential", "associative"] | None = option(
        None, "Form computed, all with the same result; none: the best that runs here."
    )


class RWKV4(nnx.Module):
    """y = W_o (sigmoid(r) * wkv(k, v)): the average of the values before, by channel.

    The logarithm of a value's weight is its key, less a learned rate for each token
    since; the token itself has a learned bonus instead. r, k and v each read a learned
    mixture of the token and the one before. This is the time mixing alone: the channel
    mixing is the MLP of a model. If not causal, a second mixer with its own weights
    runs from the end. Peng et al., 2023, arXiv:2305.13048.
    """

    Options = RWKV4Options

    @checked
    def __init__(
        self,
        options: RWKV4Options,
        *,
        width: int,
        causal: bool,
        length: int,
        rngs: nnx.Rngs,
    ):
        self.options, self.width, self.causal = options, width, causal
        self.mixture = nnx.Param(jnp.full((3, width), 0.5, jnp.float32))
        self.rkv = nnx.List(Projection(width, width, rngs=rngs) for _ in range(3))
        # As published for a layer in the middle: rates of exp(-5) to exp(3).
        even_D = np.linspace(0, 1, width)
        self.log_rate = dynamics(jnp.asarray(8 * even_D**1.35 - 5, jnp.float32))
        turns_D = (np.arange(width) + 1) % 3 - 1
        self.bonus = nnx.Param(jnp.asarray(np.log(0.3) + 0.5 * turns_D, jnp.float32))
        self.out = Projection(width, width, rngs=rngs)
        self.backward = backward(
            RWKV4, options, causal=causal, width=width, length=length, rngs=rngs
        )

    @reading
    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        return both_directions(self._forward, self.backward, x_BTD, segments_BT)

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> Carry:
        refuse_decoding("rwkv4", self.causal)
        last_BD = jnp.zeros((batch, self.width), wide(dtype))
        return last_BD, wkv_start(batch, self.width, dtype)

    @stepping
    def step(self, x_BD: jax.Array, carry: Carry) -> tuple[jax.Array, Carry]:
        last_BD, sums = carry
        r, k, v = self._arrays(x_BD, last_BD)
        y_BD, sums = wkv_step(k, v, self._rate(), self.bonus.get_value(), sums)
        return self._read(y_BD, r, x_BD), (x_BD.astype(last_BD.dtype), sums)

    def cost(self, length: int) -> Cost:
        made = (*self.rkv, self.out)
        products = sum(p.kernel.get_value().size for p in made)
        # Both sums take a decay each.
        mixing = 2 * self.width
        return cost_of(self, length, passes(self.causal) * length * (products + mixing))

    reach = everything

    def _forward(self, x_BTD: jax.Array, segments_BT: jax.Array | None) -> jax.Array:
        x_BTD = without_padding(x_BTD, segments_BT)
        r, k, v = self._arrays(x_BTD, before(x_BTD, segments_BT))
        y_BTD = wkv(
            k,
            v,
            self._rate(),
            self.bonus.get_value(),
            segments_BT=segments_BT,
            implementation=self.options.implementation,
        )
        return self._read(y_BTD, r, x_BTD)

    def _arrays(self, x: jax.Array, last: jax.Array) -> list[jax.Array]:
        """r, k, v, each of its own mixture, in float32 at least."""
        work = wide(x.dtype)
        now, last = x.astype(work), last.astype(work)
        lead = tuple(range(x.ndim - 1))
        shares = self.mixture.get_value().astype(work)
        mixed = (now + (last - now) * jnp.expand_dims(share, lead) for share in shares)
        return [
            project(p, z.astype(x.dtype)) for p, z in zip(self.rkv, mixed, strict=True)
        ]

    def _rate(self) -> jax.Array:
        return jnp.exp(self.log_rate.get_value())

    def _read(self, y: jax.Array, r: jax.Array, x: jax.Array) -> jax.Array:
        return self.out((jax.nn.sigmoid(r) * y).astype(x.dtype))
