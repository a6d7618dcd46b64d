"""Linear attention: dense attention whose softmax is a feature map, so that the past
fits into a state of fixed size."""

from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.modules.contract import (
    Cost,
    Projection,
    carry_bytes,
    parameters,
)
from attn_research.modules.directions import refuse_decoding, without_padding
from attn_research.ops.features import FEATURES
from attn_research.ops.linear import State, linear_attention, linear_start, linear_step
from attn_research.ops.norm import rms_norm
from attn_research.ops.precision import wide
from attn_research.options import BadInput, option


@dataclass(frozen=True)
class LinearOptions:
    """Options of the mixer `linear`."""

    heads: int = option(4, "Number of heads; divides the width.", low=1)
    feature: Literal["elu", "identity"] = option(
        "elu", "Feature map of queries and keys: elu(x) + 1, or x itself."
    )
    normalize: bool = option(
        True,
        "Divide by the sum of weights (elu only); if false, each head's output is "
        "RMS-normalised instead.",
    )
    decay: Literal["none", "scalar"] = option(
        "none", "Forgetting: none, or one learned rate per head (and direction)."
    )
    chunk: int = option(64, "Tokens computed at once by the chunked form.", low=1)
    implementation: Literal["naive", "recurrent", "chunked"] | None = option(
        None, "Form computed, all with the same result; none: the best that runs here."
    )


class Linear(nnx.Module):
    """y = out_projection(linear_attention(phi(q), phi(k), v)), heads side by side.

    Without causality one query is held against all keys, as in dense attention: the sum
    runs over past and future with one normaliser, and the decay of each direction is
    learned apart. Rates start between 1 - 1/32 and 1 - 1/512 over the heads, as in
    RetNet.
    """

    Options = LinearOptions

    def __init__(
        self,
        options: LinearOptions,
        *,
        width: int,
        causal: bool,
        length: int,
        rngs: nnx.Rngs,
    ):
        if width % options.heads:
            raise BadInput(
                f"linear has width {width} and {options.heads} heads; the number of "
                "heads must divide the width"
            )
        if options.normalize and options.feature == "identity":
            raise BadInput(
                "linear has feature=identity and normalize=true; weights of either "
                "sign cannot be normalised, so normalize=false is allowed"
            )
        self.options, self.width, self.causal = options, width, causal
        self.qkv = Projection(width, 3 * width, rngs=rngs)
        self.out = Projection(width, width, rngs=rngs)
        scale_K = jnp.ones(width // options.heads, jnp.float32)
        self.head_scale = None if options.normalize else nnx.Param(scale_K)
        decays = options.decay == "scalar"
        odds_H = kept_odds(options.heads)
        # The past comes first, then, where it is seen, the future.
        odds_NH = jnp.stack([odds_H] * (1 if causal else 2))
        self.decay_odds = nnx.Param(odds_NH) if decays else None

    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        x_BTD = without_padding(x_BTD, segments_BT)
        before_H, *after_H = self._log_decays()
        y_BTHE = linear_attention(
            *self._qkv(x_BTD),
            causal=self.causal,
            log_decay=before_H,
            log_decay_after=after_H[0] if after_H else None,
            normalize=self.options.normalize,
            segments_BT=segments_BT,
            chunk=self.options.chunk,
            implementation=self.options.implementation,
        )
        return self._joined(y_BTHE, x_BTD.dtype)

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> State:
        refuse_decoding("linear", self.causal)
        H = self.options.heads
        K = self.width // H
        return linear_start(batch, H, K, K, self.options.normalize, dtype)

    def step(self, x_BD: jax.Array, carry: State) -> tuple[jax.Array, State]:
        refuse_decoding("linear", self.causal)
        log_decay_H = self._log_decays()[0]
        y_BHE, carry = linear_step(*self._qkv(x_BD), carry, log_decay=log_decay_H)
        return self._joined(y_BHE, x_BD.dtype), carry

    def cost(self, length: int) -> Cost:
        D, K = self.width, self.width // self.options.heads
        C = min(self.options.chunk, length)
        # Within a chunk scores and values, between chunks reading and writing.
        mixing = 2 * D * (C + K) * (1 if self.causal else 2)
        state = jax.eval_shape(lambda: self.start(1, length)) if self.causal else ()
        return Cost(
            params=parameters(self),
            flops=2 * length * (4 * D * D + mixing),
            state_bytes=carry_bytes(state),
        )

    def reach(self, length: int) -> int:
        """How many tokens back an output depends on."""
        return length

    def _log_decays(self) -> list[jax.Array | None]:
        if self.decay_odds is None:
            return [None]
        return list(jax.nn.log_sigmoid(self.decay_odds.get_value()))

    def _qkv(self, x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Features of queries and keys, and values: (..., T, H, K) each."""
        H = self.options.heads
        K = self.width // H
        # Widened here, so that the sums come back wide for the norm of the heads.
        qkv = self.qkv(x).astype(wide(x.dtype))
        q, k, v = jnp.split(qkv, 3, axis=-1)
        q, k, v = (z.reshape(*z.shape[:-1], H, K) for z in (q, k, v))
        feature = FEATURES[self.options.feature]
        return feature(q), feature(k), v

    def _joined(self, y: jax.Array, dtype: Any) -> jax.Array:
        if self.head_scale is not None:
            y = rms_norm(y, self.head_scale.get_value())
        return self.out(y.reshape(*y.shape[:-2], self.width).astype(dtype))


def kept_odds(heads: int) -> jax.Array:
    """Log-odds of 1 - 1/32 to 1 - 1/512 over the heads, evenly spaced in the log."""
    forgotten_H = jnp.exp(jnp.linspace(jnp.log(1 / 32), jnp.log(1 / 512), heads))
    return jnp.log1p(-forgotten_H) - jnp.log(forgotten_H)
