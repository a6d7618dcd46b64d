"""A layer: norm and mixer, then norm and MLP, each around a residual."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.modules.contract import Carry, Cost, Projection, parameters
from attn_research.modules.norm import Norm
from attn_research.ops.dropout import dropout


class MLP(nnx.Module):
    """Two projections with GELU between, or a SwiGLU.

    Shazeer, 2020, arXiv:2002.05202.
    """

    def __init__(
        self,
        kind: Literal["gelu", "swiglu"],
        *,
        width: int,
        ratio: float,
        rngs: nnx.Rngs,
    ):
        self.kind, hidden = kind, max(1, round(ratio * width))
        self.up = Projection(width, hidden, rngs=rngs)
        self.gate = Projection(width, hidden, rngs=rngs) if kind == "swiglu" else None
        self.down = Projection(hidden, width, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        if self.gate is not None:
            return self.down(jax.nn.silu(self.gate(x)) * self.up(x))
        return self.down(jax.nn.gelu(self.up(x)))


class Block(nnx.Module):
    """x + mixer(norm(x)), then x + mlp(norm(x)) where there is an MLP."""

    def __init__(
        self,
        mixer: Any,
        *,
        width: int,
        mlp: Literal["none", "gelu", "swiglu"],
        mlp_ratio: float,
        norm: Literal["layer", "rms"],
        dropout: float,
        rngs: nnx.Rngs,
    ):
        self.mixer, self.rate = mixer, dropout
        self.norm = Norm(width, kind=norm, rngs=rngs)
        has = mlp != "none"
        self.mlp_norm = Norm(width, kind=norm, rngs=rngs) if has else None
        self.mlp = MLP(mlp, width=width, ratio=mlp_ratio, rngs=rngs) if has else None

    def __call__(
        self,
        x_BTD: jax.Array,
        segments_BT: jax.Array | None = None,
        key: jax.Array | None = None,
    ) -> jax.Array:
        keys = [None, None] if key is None else list(jax.random.split(key))
        y_BTD = self.mixer(self.norm(x_BTD), segments_BT)
        x_BTD = x_BTD + dropout(y_BTD, self.rate, keys[0])
        if self.mlp is None or self.mlp_norm is None:
            return x_BTD
        return x_BTD + dropout(self.mlp(self.mlp_norm(x_BTD)), self.rate, keys[1])

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> Carry:
        """The decoding state of the mixer."""
        return self.mixer.start(batch, length, dtype)

    def step(self, x_BD: jax.Array, carry: Carry) -> tuple[jax.Array, Carry]:
        """One token through the layer, and the next state."""
        y_BD, carry = self.mixer.step(self.norm(x_BD), carry)
        x_BD = x_BD + y_BD
        if self.mlp is not None and self.mlp_norm is not None:
            x_BD = x_BD + self.mlp(self.mlp_norm(x_BD))
        return x_BD, carry

    def reach(self, length: int) -> int:
        """How many tokens back an output depends on."""
        return self.mixer.reach(length)

    def cost(self, length: int) -> Cost:
        """Parameters of the layer, FLOPs of mixer and MLP, state of the mixer."""
        cost = self.mixer.cost(length)
        kernels = 0 if self.mlp is None else parameters(self.mlp)
        flops = cost.flops + 2 * kernels * length
        return Cost(parameters(self), flops, cost.state_bytes)
