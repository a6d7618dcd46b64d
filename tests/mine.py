"""A mean of the past that decays: one mixer in one file, as a stranger brings it."""

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.modules.contract import (
    Cost,
    Projection,
    carry_bytes,
    checked,
    parameters,
)
from attn_research.options import BadInput, declared, option


@declared
class Options:
    """Options of the mixer `mine`."""

    decay: float = option(0.9, "Weight of the past.", above=0, below=1)


class Mine(nnx.Module):
    """h_t = decay h_(t-1) + W_in x_t in each segment; y = W_out h."""

    Options = Options

    @checked
    def __init__(self, options, *, width, causal, length, rngs):
        if not causal:
            raise BadInput("mine is causal; in a task that is not it must be left out")
        self.options, self.causal = options, causal
        self.read = Projection(width, width, rngs=rngs)
        self.write = Projection(width, width, rngs=rngs)

    def __call__(self, x_BTD, segments_BT=None):
        if segments_BT is None:
            segments_BT = jnp.ones(x_BTD.shape[:2], jnp.int32)
        real_BT1 = (segments_BT > 0)[..., None]
        before_BT = jnp.pad(segments_BT[:, :-1], ((0, 0), (1, 0)))
        same_BT1 = (segments_BT == before_BT)[..., None] & real_BT1
        in_BTD = self.read(jnp.where(real_BT1, x_BTD, 0)).astype(jnp.float32)
        in_BTD = jnp.where(real_BT1, in_BTD, 0)
        keep_BT1 = jnp.where(same_BT1, jnp.float32(self.options.decay), 0)

        def join(left, right):
            return left[0] * right[0], left[1] * right[0] + right[1]

        keep_BTD = jnp.broadcast_to(keep_BT1, in_BTD.shape)
        _, h_BTD = jax.lax.associative_scan(join, (keep_BTD, in_BTD), axis=1)
        return jnp.where(real_BT1, self.write(h_BTD.astype(x_BTD.dtype)), 0)

    def start(self, batch, length, dtype=jnp.float32):
        width = self.write.kernel.get_value().shape[0]
        return jnp.zeros((batch, width), jnp.float32)

    def step(self, x_BD, carry):
        wanted = jax.eval_shape(lambda: self.start(x_BD.shape[0], 1))
        found = getattr(carry, "shape", None), getattr(carry, "dtype", None)
        if found != (wanted.shape, wanted.dtype):
            raise BadInput(f"The carry is {found}; it must be {wanted.shape}, float32")
        carry = self.options.decay * carry + self.read(x_BD).astype(jnp.float32)
        return self.write(carry.astype(x_BD.dtype)), carry

    def cost(self, length):
        width = self.write.kernel.get_value().shape[0]
        carry = jax.eval_shape(lambda: self.start(1, length))
        flops = 2 * length * width * (2 * width + 1)
        return Cost(parameters(self), flops, carry_bytes(carry))

    def reach(self, length):
        return length


MIXERS = {"mine": Mine}
