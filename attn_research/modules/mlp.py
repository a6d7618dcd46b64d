"""The position-wise network of a layer."""

from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.modules.contract import Projection


class MLP(nnx.Module):
    """gelu(x W_in) W_out, or (silu(x W_gate) * x W_in) W_out for "swiglu".

    The hidden width is the same for both, so "swiglu" has half again as many
    parameters. GELU is exact, by the error function (Hendrycks and Gimpel, 2016,
    arXiv:1606.08415; Shazeer, 2020, arXiv:2002.05202).
    """

    def __init__(
        self,
        width: int,
        hidden: int,
        *,
        kind: Literal["gelu", "swiglu"],
        rngs: nnx.Rngs,
    ):
        self.gated = kind == "swiglu"
        self.input = Projection(width, (1 + self.gated) * hidden, rngs=rngs, bias=True)
        self.out = Projection(hidden, width, rngs=rngs, bias=True)

    def __call__(self, x: jax.Array) -> jax.Array:
        if not self.gated:
            return self.out(jax.nn.gelu(self.input(x), approximate=False))
        gate, up = jnp.split(self.input(x), 2, axis=-1)
        return self.out(jax.nn.silu(gate) * up)

    def products(self) -> int:
        """Multiply-adds for one token."""
        return self.input.kernel.get_value().size + self.out.kernel.get_value().size
