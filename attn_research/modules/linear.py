"""Linear attention: a feature map for the softmax, and a state of fixed size."""

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
from attn_research.modules.directions import refuse_decoding, without_padding
from attn_research.modules.feature_map import FeatureMap
from attn_research.modules.forgetting import Forgetting
from attn_research.modules.head_norm import HeadNorm
from attn_research.modules.head_sizes import divided
from attn_research.modules.segments import reading
from attn_research.modules.stepping import stepping
from attn_research.modules.wide_projection import project
from attn_research.ops.linear import linear_attention, linear_start, linear_step
from attn_research.ops.positions import positions, rope
from attn_research.options import BadInput, declared, option

# The state of `linear_step`, and with RoPE the number of tokens seen.
Carry = tuple[jax.Array, ...]


@declared
class LinearOptions:
    """Options of the mixer `linear` and of its presets."""

    heads: int = option(4, "Number of heads; must divide the width.", low=1)
    key_size: int = option(
        0, "Size of the queries and keys of a head; 0: the width over the heads.", low=0
    )
    feature: Literal[
        "elu", "identity", "silu", "relu2", "taylor", "random", "hedgehog"
    ] = option(
        "elu",
        "Feature map of queries and keys: elu(x) + 1, x itself, SiLU, max(x, 0)^2, the "
        "second-order Taylor terms of exp, positive random features, or a learned map.",
    )
    features: int = option(
        0, "Random features of a head; 0: twice the size of its keys.", low=0
    )
    seed: int = option(0, "Seed of the random features, which are not trained.", low=0)
    normalize: bool = option(
        True,
        "Divide by the sum of weights (not with identity or silu); if false, each "
        "head's output is RMS-normalised instead.",
    )
    decay: Literal["none", "fixed", "scalar", "input", "channel"] = option(
        "none",
        "Forgetting: none, fixed rates as in RetNet, one learned rate per head, one "
        "computed from each token per head, or per head and feature.",
    )
    share: float = option(
        16.0, "Computed decays are taken to the power of 1 / share.", above=0
    )
    rank: int = option(16, "Rank of the projection to decays per feature.", low=1)
    gate: Literal["none", "silu"] = option(
        "none",
        "Multiply the output by SiLU of a projection of the input (normalize=false).",
    )
    positions: Literal["none", "rope"] = option(
        "none", "Rotate queries and keys by their positions (identity features only)."
    )
    base: float = option(10_000.0, "Slowest wavelength of RoPE over 2 pi.", above=1)
    chunk: int = option(
        64,
        "Tokens computed at once by the chunked form; with a decay per feature, the "
        "next power of two.",
        low=1,
    )
    implementation: Literal["naive", "recurrent", "chunked"] | None = option(
        None, "Form computed, all with the same result; none: the best that runs here."
    )


class Linear(nnx.Module):
    """y = out_projection(linear_attention(phi(q), phi(k), v)), heads side by side.

    If not causal, a query meets all keys, as in dense attention: the sum runs over past
    and future with one normaliser, and each direction learns its own decay. Presets:
    `performer`, `based` (without its window, which a pattern adds), `retnet` and `gla`.
    """

    Options = LinearOptions

    @checked
    def __init__(
        self,
        options: LinearOptions,
        *,
        width: int,
        causal: bool,
        length: int,
        rngs: nnx.Rngs,
    ):
        H = options.heads
        K = divided("linear", width, H)
        self.options, self.width, self.causal = options, width, causal
        self.key_size = K = options.key_size or K
        if options.positions == "rope" and (options.feature != "identity" or K % 2):
            raise BadInput(
                f"linear has positions=rope, feature={options.feature} and keys of "
                f"size {K}; the feature must be identity and the size even"
            )
        if options.normalize and options.gate != "none":
            raise BadInput(
                f"linear has gate={options.gate} and normalize=true; the gate follows "
                "the norm of the heads, so normalize must be false"
            )
        self.map = FeatureMap(
            options.feature,
            heads=H,
            size=K,
            features=options.features,
            seed=options.seed,
            normalize=options.normalize,
        )
        self.qkv = Projection(width, 2 * H * K + width, rngs=rngs)
        self.out = Projection(width, width, rngs=rngs)
        self.norm = (
            None
            if options.normalize
            else HeadNorm(width, width, H, options.gate, rngs=rngs)
        )
        self.forgetting = Forgetting(
            options.decay,
            width=width,
            heads=H,
            features=self.map.features,
            directions=1 if causal else 2,
            share=options.share,
            rank=options.rank,
            rngs=rngs,
        )

    @reading
    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        x_BTD = without_padding(x_BTD, segments_BT)
        position_BT = None
        if self.options.positions == "rope":
            B, T, _ = x_BTD.shape
            position_BT = positions(B, T, segments_BT)
        before, *after = self.forgetting(x_BTD)
        y_BTHE = linear_attention(
            *self._qkv(x_BTD, position_BT),
            causal=self.causal,
            log_decay=before,
            log_decay_after=after[0] if after else None,
            normalize=self.options.normalize,
            logarithms=self.map.logarithms,
            segments_BT=segments_BT,
            chunk=self.options.chunk,
            implementation=self.options.implementation,
        )
        return self._joined(y_BTHE, x_BTD)

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> Carry:
        refuse_decoding("linear", self.causal)
        H = self.options.heads
        state = linear_start(
            batch,
            H,
            self.map.features,
            self.width // H,
            self.options.normalize,
            dtype,
            logarithms=self.map.logarithms,
        )
        time = jnp.zeros((), jnp.int32)
        return (*state, time) if self.options.positions == "rope" else state

    @stepping
    def step(self, x_BD: jax.Array, carry: Carry) -> tuple[jax.Array, Carry]:
        position_B1, state = None, carry
        if self.options.positions == "rope":
            *state, time = carry
            position_B1 = jnp.broadcast_to(time, (x_BD.shape[0], 1))
        q_B1HM, k_B1HM, v_B1HE = self._qkv(x_BD[:, None], position_B1)
        y_BHE, state = linear_step(
            q_B1HM[:, 0],
            k_B1HM[:, 0],
            v_B1HE[:, 0],
            tuple(state),
            log_decay=self.forgetting(x_BD)[0],
            logarithms=self.map.logarithms,
        )
        after = () if position_B1 is None else (carry[-1] + 1,)
        return self._joined(y_BHE, x_BD), (*state, *after)

    def cost(self, length: int) -> Cost:
        D, H, M = self.width, self.options.heads, self.map.features
        E = D // H
        C = min(self.options.chunk, length)
        # Within a chunk scores and values, between chunks reading and writing.
        mixing = H * (C * (M + E) + 2 * M * E) * (1 if self.causal else 2)
        gate = None if self.norm is None else self.norm.gate
        projections = [self.qkv, self.out, gate, *self.forgetting.projections()]
        products = sum(p.kernel.get_value().size for p in projections if p is not None)
        return cost_of(
            self, length, length * (products + mixing + H * self.map.products())
        )

    reach = everything

    def _qkv(
        self, x_BTD: jax.Array, position_BT: jax.Array | None
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Features of queries and keys, and values: (B, T, H, M or E) each."""
        H, K = self.options.heads, self.key_size
        # Wide, so that the norm of the heads reads wide sums.
        qkv = project(self.qkv, x_BTD)
        q, k, v = jnp.split(qkv, (H * K, 2 * H * K), axis=-1)
        q, k, v = (z.reshape(*z.shape[:-1], H, z.shape[-1] // H) for z in (q, k, v))
        if position_BT is not None:
            q, k = (rope(z, position_BT, self.options.base) for z in (q, k))
        return *self.map(q, k), v

    def _joined(self, y: jax.Array, x: jax.Array) -> jax.Array:
        """The heads side by side, normalised if the weights are not, projected."""
        if self.norm is not None:
            return self.out(self.norm(y, x))
        return self.out(y.reshape(x.shape).astype(x.dtype))
