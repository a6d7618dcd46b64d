"""Fast weights that correct themselves: DeltaNet and gated DeltaNet."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.modules.contract import (
    Cost,
    Projection,
    checked,
    cost_of,
    everything,
)
from attn_research.modules.directions import (
    backward,
    both_directions,
    passes,
    refuse_decoding,
    without_padding,
)
from attn_research.modules.head_norm import HeadNorm
from attn_research.modules.head_sizes import divided
from attn_research.modules.segments import reading
from attn_research.modules.short_convolution import ShortConvolution
from attn_research.modules.stepping import stepping
from attn_research.modules.time_step import Rates
from attn_research.modules.wide_projection import project
from attn_research.ops.delta import delta_rule, delta_start, delta_step
from attn_research.ops.features import unit
from attn_research.ops.precision import wide
from attn_research.options import declared, option

# The last inputs of the convolution, and the state of `delta_step`.
Carry = tuple[jax.Array, jax.Array]


@declared
class DeltaOptions:
    """Options of the mixers `delta` and `gated_delta`."""

    heads: int = option(2, "Number of heads; must divide the width.", low=1)
    conv: int = option(
        4, "Taps of the convolution of queries, keys and values; 0: none.", low=0
    )
    decay: bool = option(
        False, "Decay the state, at a rate computed per token and head."
    )
    negative: bool = option(
        False, "Let beta reach 2, so that the state can flip the sign of its contents."
    )
    gate: Literal["none", "silu"] = option(
        "none", "Multiply the output by SiLU of a projection of the input."
    )
    chunk: int = option(64, "Tokens computed at once by the chunked form.", low=1)
    implementation: Literal["naive", "recurrent", "chunked"] | None = option(
        None, "Form computed, all with the same result; none: the best that runs here."
    )


class Delta(nnx.Module):
    """y = out_projection(rms_norm(delta_rule(q, k, v, beta))), heads side by side.

    q, k and v pass a short convolution and SiLU, queries and keys are scaled to length
    1, beta is a sigmoid of the input. If not causal, a second mixer with its own
    weights runs from the end: a token's correction depends on all tokens before it, so
    that no single sum covers both sides.
    """

    Options = DeltaOptions

    @checked
    def __init__(
        self,
        options: DeltaOptions,
        *,
        width: int,
        causal: bool,
        length: int,
        rngs: nnx.Rngs,
    ):
        H = options.heads
        divided("delta", width, H)
        self.options, self.width, self.causal = options, width, causal
        self.qkv = Projection(width, 3 * width, rngs=rngs)
        self.conv = ShortConvolution(3 * width, options.conv, rngs=rngs)
        self.beta = Projection(width, H, rngs=rngs)
        self.rates = Rates(width, H, rngs=rngs) if options.decay else None
        self.norm = HeadNorm(width, width, H, options.gate, rngs=rngs)
        self.out = Projection(width, width, rngs=rngs)
        self.backward = backward(
            Delta, options, causal=causal, width=width, length=length, rngs=rngs
        )

    @reading
    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        return both_directions(self._forward, self.backward, x_BTD, segments_BT)

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> Carry:
        refuse_decoding("delta", self.causal)
        H = self.options.heads
        K = self.width // H
        return self.conv.start(batch, wide(dtype)), delta_start(batch, H, K, K, dtype)

    @stepping
    def step(self, x_BD: jax.Array, carry: Carry) -> tuple[jax.Array, Carry]:
        recent_BWD, state_BHKE = carry
        qkv_BD, recent_BWD = self.conv.step(project(self.qkv, x_BD), recent_BWD)
        log_decay_BH = None if self.rates is None else self.rates.log_decay(x_BD)
        y_BHE, state_BHKE = delta_step(
            *self._arrays(x_BD, qkv_BD), state_BHKE, log_decay_BH=log_decay_BH
        )
        return self.out(self.norm(y_BHE, x_BD)), (recent_BWD, state_BHKE)

    def cost(self, length: int) -> Cost:
        D, K = self.width, self.width // self.options.heads
        C = min(self.options.chunk, length)
        rates = None if self.rates is None else self.rates.project
        projections = (self.qkv, self.beta, rates, self.norm.gate, self.out)
        products = sum(p.kernel.get_value().size for p in projections if p is not None)
        # Within a chunk keys with keys and queries, the system (half of it is zero) and
        # the values; between chunks reading for keys and for queries, and writing.
        mixing = D * (3 * C + C // 2 + 3 * K) + self.conv.products()
        return cost_of(self, length, passes(self.causal) * length * (products + mixing))

    reach = everything

    def _forward(self, x_BTD: jax.Array, segments_BT: jax.Array | None) -> jax.Array:
        x_BTD = without_padding(x_BTD, segments_BT)
        log_decay_BTH = None if self.rates is None else self.rates.log_decay(x_BTD)
        y_BTHE = delta_rule(
            *self._arrays(x_BTD, self.conv(project(self.qkv, x_BTD), segments_BT)),
            log_decay_BTH=log_decay_BTH,
            segments_BT=segments_BT,
            chunk=self.options.chunk,
            implementation=self.options.implementation,
        )
        return self.out(self.norm(y_BTHE, x_BTD))

    def _arrays(
        self, x: jax.Array, qkv: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        """q, k of length 1, v: (..., H, K) each, and beta (..., H)."""
        H, work = self.options.heads, wide(x.dtype)
        heads = qkv.reshape(*x.shape[:-1], 3 * H, self.width // H)
        q, k, v = jnp.split(heads, 3, axis=-2)
        beta = jax.nn.sigmoid(self.beta(x.astype(work)))
        return unit(q), unit(k), v, beta * (2 if self.options.negative else 1)
