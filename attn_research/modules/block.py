"""A layer: its mixers and an optional MLP, each on a residual branch."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.config import Model
from attn_research.modules.contract import Carry, Cost, Mixer, parameters
from attn_research.modules.mlp import MLP
from attn_research.modules.norm import Norm
from attn_research.ops.dropout import dropout
from attn_research.options import BadInput

Branch = Callable[[jax.Array], jax.Array]


class Block(nnx.Module):
    """Residual branches one after another: the mixers, then an MLP unless it is "none".

    norm_at "pre": x + f(norm(x)), the stream passes untouched (Xiong et al., 2020,
    arXiv:2002.04745); "post": norm(x + f(x)) (Vaswani et al., 2017, arXiv:1706.03762).
    residual "parallel": x + sum of f(norm(x)) over the branches, with one norm
    (Chowdhery et al., 2022, arXiv:2204.02311). With `macaron` half an MLP precedes the
    mixers and half follows them (Gulati et al., 2020, arXiv:2005.08100). With `cross`
    attention to a second sequence, the context, follows the mixers. The output at
    padding is finite and arbitrary.
    """

    def __init__(
        self,
        mixers: Sequence[Mixer],
        model: Model,
        *,
        rngs: nnx.Rngs,
        cross: Any = None,
    ):
        self.model = model
        if model.residual == "parallel" and (model.norm_at == "post" or model.macaron):
            raise BadInput(
                "Parallel branches share one norm before them; with residual=parallel "
                "model.norm_at must be pre and model.macaron false"
            )
        if model.macaron and model.mlp == "none":
            raise BadInput(
                "A macaron layer needs an MLP; model.mlp is none, it must be gelu or "
                "swiglu"
            )
        self.mixers = nnx.List(mixers)
        self.cross = cross
        hidden = max(1, round(model.width * model.mlp_ratio))
        mlps = []
        if model.mlp != "none":
            kind, count = model.mlp, 1 + model.macaron
            mlps = [
                MLP(model.width, hidden, kind=kind, rngs=rngs) for _ in range(count)
            ]
        self.mlps = nnx.List(mlps)
        branches = len(mixers) + (cross is not None) + len(mlps)
        norms = 1 if model.residual == "parallel" else branches
        self.norms = nnx.List(
            Norm(model.width, kind=model.norm, rngs=rngs) for _ in range(norms)
        )

    def __call__(
        self,
        x_BTD: jax.Array,
        segments_BT: jax.Array | None = None,
        key: jax.Array | None = None,
        context_BSD: jax.Array | None = None,
        context_segments_BS: jax.Array | None = None,
    ) -> jax.Array:
        """y_BTD; `key` draws the dropout masks, None applies no dropout."""
        mixing = [_sequence(mixer, segments_BT) for mixer in self.mixers]
        if self.cross is not None:
            context = context_BSD, context_segments_BS
            mixing.append(lambda x_BTD: self.cross(x_BTD, segments_BT, *context))
        return self._flow(x_BTD, mixing, key)

    def given(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> tuple[list[jax.Array], jax.Array]:
        """The input of each mixer, and y_BTD, of a block without a context."""
        seen: list[jax.Array] = []

        def watching(mixer: Mixer) -> Branch:
            def mix(x_BTD: jax.Array) -> jax.Array:
                seen.append(x_BTD)
                return mixer(x_BTD, segments_BT)

            return mix

        y_BTD = self._flow(x_BTD, [watching(mixer) for mixer in self.mixers], None)
        return seen, y_BTD

    def start(
        self,
        batch: int,
        length: int,
        dtype: Any = jnp.float32,
        context_BSD: jax.Array | None = None,
        context_segments_BS: jax.Array | None = None,
    ) -> Carry:
        """The decoding state of each mixer, and the keys and values of the context."""
        carries = [mixer.start(batch, length, dtype) for mixer in self.mixers]
        if self.cross is not None:
            carries.append(self.cross.start(dtype, context_BSD, context_segments_BS))
        return tuple(carries)

    def step(self, x_BD: jax.Array, carry: Carry) -> tuple[jax.Array, Carry]:
        """y_BD of one token, and the next carry."""
        mixers = [*self.mixers, *([] if self.cross is None else [self.cross])]
        carries: list[Carry] = []

        def stepping(mixer: Mixer, state: Carry) -> Branch:
            def mix(x_BD: jax.Array) -> jax.Array:
                y_BD, after = mixer.step(x_BD, state)
                carries.append(after)
                return y_BD

            return mix

        mixing = [stepping(m, s) for m, s in zip(mixers, carry, strict=True)]
        return self._flow(x_BD, mixing, None), tuple(carries)

    def cost(self, length: int) -> Cost:
        """The cost of the mixers and MLPs; `params` counts the whole block.

        Reading a context is left out: only the model knows its length.
        """
        costs = [mixer.cost(length) for mixer in self.mixers]
        products = sum(mlp.products() for mlp in self.mlps)
        return Cost(
            params=parameters(self),
            flops=sum(cost.flops for cost in costs) + 2 * length * products,
            state_bytes=sum(cost.state_bytes for cost in costs),
        )

    def reach(self, length: int) -> int:
        """How many tokens back an output depends on: the mixers' reaches, summed."""
        reaches = [mixer.reach(length) for mixer in self.mixers]
        serial = self.model.residual == "serial"
        return min(length, sum(reaches) if serial else max(reaches))

    def _flow(
        self, x: jax.Array, mixing: Sequence[Branch], key: jax.Array | None
    ) -> jax.Array:
        """x through every branch, in order."""
        branches = [*mixing, *self.mlps]
        if self.model.macaron:
            first, last = self.mlps
            branches = [_half(first), *mixing, _half(last)]
        keys = [None] * len(branches)
        if key is not None:
            keys = list(jax.random.split(key, len(branches)))
        rate = self.model.dropout
        if self.model.residual == "parallel":
            normed = self.norms[0](x)
            for branch, one in zip(branches, keys, strict=True):
                x = x + dropout(branch(normed), rate, one)
            return x
        for branch, norm, one in zip(branches, self.norms, keys, strict=True):
            if self.model.norm_at == "pre":
                x = x + dropout(branch(norm(x)), rate, one)
            else:
                x = norm(x + dropout(branch(x), rate, one))
        return x


def _sequence(mixer: Mixer, segments_BT: jax.Array | None) -> Branch:
    return lambda x_BTD: mixer(x_BTD, segments_BT)


def _half(mlp: MLP) -> Branch:
    return lambda x: 0.5 * mlp(x)
