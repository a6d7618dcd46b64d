"""A layer: a mixer and, where wanted, an MLP, each on a residual branch."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.modules.contract import (
    Carry,
    Cost,
    Mixer,
    Projection,
    parameters,
)
from attn_research.modules.norm import Norm
from attn_research.ops.dropout import dropout


class MLP(nnx.Module):
    """gelu(x W_in) W_out, or (silu(x W_gate) * x W_in) W_out for "swiglu".

    The hidden width is the same for both, so "swiglu" has half as many parameters more.
    Shazeer, 2020, arXiv:2002.05202.
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
            return self.out(jax.nn.gelu(self.input(x)))
        gate, up = jnp.split(self.input(x), 2, axis=-1)
        return self.out(jax.nn.silu(gate) * up)

    def products(self) -> int:
        """Multiply-adds for one token."""
        return self.input.kernel.get_value().size + self.out.kernel.get_value().size


class Block(nnx.Module):
    """x + dropout(mixer(norm(x))), then the same with an MLP unless it is "none".

    Pre-norm, so that the residual stream passes untouched (Xiong et al., 2020,
    arXiv:2002.04745). The output at padding is finite and means nothing.
    """

    def __init__(
        self,
        mixer: Mixer,
        *,
        width: int,
        mlp: Literal["none", "gelu", "swiglu"],
        mlp_ratio: float,
        norm: Literal["layer", "rms"],
        dropout: float,
        rngs: nnx.Rngs,
    ):
        self.mixer, self.width, self.rate = mixer, width, dropout
        self.mixer_norm = Norm(width, kind=norm, rngs=rngs)
        if mlp == "none":
            self.mlp_norm = self.mlp = None
        else:
            hidden = max(1, round(width * mlp_ratio))
            self.mlp_norm = Norm(width, kind=norm, rngs=rngs)
            self.mlp = MLP(width, hidden, kind=mlp, rngs=rngs)

    def __call__(
        self,
        x_BTD: jax.Array,
        segments_BT: jax.Array | None = None,
        key: jax.Array | None = None,
    ) -> jax.Array:
        """y_BTD; `key` draws the dropout masks, None is without dropout."""
        mixer_key, mlp_key = (None, None) if key is None else jax.random.split(key)
        y_BTD = self.mixer(self.mixer_norm(x_BTD), segments_BT)
        x_BTD = x_BTD + dropout(y_BTD, self.rate, mixer_key)
        if self.mlp is None or self.mlp_norm is None:
            return x_BTD
        y_BTD = self.mlp(self.mlp_norm(x_BTD))
        return x_BTD + dropout(y_BTD, self.rate, mlp_key)

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> Carry:
        """The decoding state of the mixer."""
        return self.mixer.start(batch, length, dtype)

    def step(self, x_BD: jax.Array, carry: Carry) -> tuple[jax.Array, Carry]:
        """y_BD of one token, and the next carry."""
        y_BD, carry = self.mixer.step(self.mixer_norm(x_BD), carry)
        x_BD = x_BD + y_BD
        if self.mlp is not None and self.mlp_norm is not None:
            x_BD = x_BD + self.mlp(self.mlp_norm(x_BD))
        return x_BD, carry

    def cost(self, length: int) -> Cost:
        """The mixer's cost with the parameters of all and the products of the MLP."""
        cost = self.mixer.cost(length)
        products = 0
        if self.mlp is not None:
            products = self.mlp.products()
        return Cost(
            params=parameters(self),
            flops=cost.flops + 2 * length * products,
            state_bytes=cost.state_bytes,
        )

    def reach(self, length: int) -> int:
        """How many tokens back an output depends on: as far as the mixer's."""
        return self.mixer.reach(length)
