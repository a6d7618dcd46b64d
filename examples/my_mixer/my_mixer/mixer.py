"""An exponential moving average of the past, with a decay for each channel."""

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.modules.contract import (
    Cost,
    Projection,
    carry_bytes,
    checked,
    dynamics,
    parameters,
)
from attn_research.options import BadInput, declared, option


def average(x_BTN: jax.Array, decay_N: jax.Array, segments_BT: jax.Array) -> jax.Array:
    """y_t = a y_(t-1) + (1 - a) x_t in each segment, zero at padding; in float32.

    The average starts from zero in every segment.
    """
    before_BT = jnp.pad(segments_BT[:, :-1], ((0, 0), (1, 0)))
    goes_on_BT = (segments_BT == before_BT) & (segments_BT > 0)
    real_BT1 = (segments_BT > 0)[..., None]
    # A padding token may hold anything, NaN too: it is replaced, not multiplied.
    x_BTN = jnp.where(real_BT1, x_BTN, 0)
    a_BTN = jnp.where(goes_on_BT[..., None], decay_N[None, None], 0)
    b_BTN = (1 - decay_N)[None, None] * x_BTN

    def join(left, right):
        return left[0] * right[0], left[1] * right[0] + right[1]

    _, y_BTN = jax.lax.associative_scan(join, (a_BTN, b_BTN), axis=1)
    return jnp.where(real_BT1, y_BTN, 0)


@declared
class EmaOptions:
    """Options of the mixer `ema`."""

    state: int = option(0, "Number of averages; 0: the width.", low=0, high=2**20)
    gate: bool = option(True, "Multiply the output by a gate of the input.")


class Ema(nnx.Module):
    """y = W_out (ema(W_in x) * silu(W_gate x)), with a decay per channel."""

    Options = EmaOptions

    @checked
    def __init__(
        self,
        options: EmaOptions,
        *,
        width: int,
        causal: bool,
        length: int,
        rngs: nnx.Rngs,
    ):
        if not causal:
            raise BadInput("ema is causal; in a task that is not it must be left out")
        self.options, self.causal = options, causal
        size = options.state or width
        self.read = Projection(width, size, rngs=rngs)
        self.gate = Projection(width, size, rngs=rngs) if options.gate else None
        self.out = Projection(size, width, rngs=rngs)
        # Half-lives from one token to hundreds, on a logarithmic scale.
        self.decay_logit = dynamics(jnp.linspace(0.0, 6.0, size, dtype=jnp.float32))

    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        if segments_BT is None:
            segments_BT = jnp.ones(x_BTD.shape[:2], jnp.int32)
        real_BT1 = (segments_BT > 0)[..., None]
        x_BTD = jnp.where(real_BT1, x_BTD, 0)
        wide_BTN = self.read(x_BTD).astype(jnp.float32)
        y_BTN = average(wide_BTN, self._decay(), segments_BT)
        return self._finish(x_BTD, y_BTN)

    def start(self, batch: int, length: int, dtype=jnp.float32) -> jax.Array:
        """The averages before the first token."""
        size = self.decay_logit.get_value().shape[0]
        return jnp.zeros((batch, size), jnp.float32)

    def step(self, x_BD: jax.Array, carry: jax.Array) -> tuple[jax.Array, jax.Array]:
        """y_BD and the next averages."""
        wanted = jax.eval_shape(lambda: self.start(x_BD.shape[0], 1))
        found = getattr(carry, "shape", None), getattr(carry, "dtype", None)
        if found != (wanted.shape, wanted.dtype):
            raise BadInput(
                f"The carry is {found}; it must be {wanted.shape} in float32, as "
                "`start` makes it"
            )
        decay_1N = self._decay()[None]
        wide_BN = self.read(x_BD).astype(jnp.float32)
        carry = decay_1N * carry + (1 - decay_1N) * wide_BN
        return self._finish(x_BD, carry), carry

    def cost(self, length: int) -> Cost:
        """Projections, and the decay, for each token."""
        size = self.decay_logit.get_value().shape[0]
        kernels = 2 + (self.gate is not None)
        width = self.read.kernel.get_value().shape[0]
        carry = jax.eval_shape(lambda: self.start(1, length))
        products = length * size * (kernels * width + 2)
        return Cost(parameters(self), 2 * products, carry_bytes(carry))

    def reach(self, length: int) -> int:
        """All of the past."""
        return length

    def _decay(self) -> jax.Array:
        return jax.nn.sigmoid(self.decay_logit.get_value())

    def _finish(self, x: jax.Array, y: jax.Array) -> jax.Array:
        """The gate and the output projection, in the dtype of the input."""
        y = y.astype(x.dtype)
        if self.gate is not None:
            y = y * jax.nn.silu(self.gate(x))
        return self.out(y)
