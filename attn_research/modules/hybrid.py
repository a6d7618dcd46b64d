"""Several mixers side by side in one layer."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.modules.contract import Cost, Mixer, parameters
from attn_research.modules.norm import Norm
from attn_research.modules.segments import reading

Carries = tuple[Any, ...]


class Parallel(nnx.Module):
    """y = mean over the mixers of norm_i(mixer_i(x)), each norm with a learned scale.

    The norms (RMS) give the outputs of different families the same size and keep
    padding zero; the scales learn the mixture per channel. Dong et al., 2024, Hymba,
    arXiv:2411.13676.
    """

    def __init__(self, mixers: Sequence[Mixer], *, width: int, rngs: nnx.Rngs):
        self.causal, self.width = mixers[0].causal, width
        self.mixers = nnx.List(mixers)
        self.norms = nnx.List(Norm(width, kind="rms", rngs=rngs) for _ in mixers)

    @reading
    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        return self._mixed([mixer(x_BTD, segments_BT) for mixer in self.mixers])

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> Carries:
        """The decoding state of each mixer."""
        return tuple(mixer.start(batch, length, dtype) for mixer in self.mixers)

    def step(self, x_BD: jax.Array, carry: Carries) -> tuple[jax.Array, Carries]:
        """y_BD of one token, and the next carries."""
        stepped = [
            mixer.step(x_BD, state)
            for mixer, state in zip(self.mixers, carry, strict=True)
        ]
        outputs, states = zip(*stepped, strict=True)
        return self._mixed(outputs), states

    def cost(self, length: int) -> Cost:
        """The sum over the mixers; `params` counts the norms too."""
        costs = [mixer.cost(length) for mixer in self.mixers]
        return Cost(
            params=parameters(self),
            flops=sum(cost.flops for cost in costs),
            state_bytes=sum(cost.state_bytes for cost in costs),
        )

    def reach(self, length: int) -> int:
        """The largest reach of the mixers."""
        return max(mixer.reach(length) for mixer in self.mixers)

    def _mixed(self, outputs: Sequence[jax.Array]) -> jax.Array:
        normed = [norm(y) for norm, y in zip(self.norms, outputs, strict=True)]
        return sum(normed[1:], normed[0]) / len(normed)
