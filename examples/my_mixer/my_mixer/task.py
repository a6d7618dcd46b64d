"""A task whose answer is as far away as the sequence is long."""

import jax
import jax.numpy as jnp

from attn_research.options import declared, option
from attn_research.tasks.contract import Batch, Draws, Spec, Split, no_arrays


@declared
class First:
    """Name the first token of a sequence at its last position.

    Token 0 is padding, and token 1 asks; the others are symbols.
    """

    length: int = option(32, "Tokens in a sequence.", low=2, high=2**16)
    symbols: int = option(8, "Number of symbols.", low=2, high=2**16)

    @property
    def spec(self) -> Spec:
        return Spec(
            inputs="tokens",
            features=self.symbols + 2,
            target="token",
            outputs=self.symbols + 2,
            length=self.length,
            causal=True,
            labels=1,
            metrics=("accuracy", "loss"),
            chance=1 / self.symbols,
            noted=False,
        )

    arrays = no_arrays

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays=()
    ) -> Batch:
        draws = Draws(key, split, size, self.length - 1)
        symbols_BT = 2 + draws.integers(self.length - 1, self.symbols)
        ones_B1 = jnp.ones((size, 1), jnp.int32)
        inputs_BT = jnp.concatenate([symbols_BT, ones_B1], axis=1)
        last_BT = jnp.broadcast_to(
            jnp.arange(self.length)[None] == self.length - 1, inputs_BT.shape
        )
        return Batch(
            inputs=inputs_BT,
            targets=jnp.where(last_BT, inputs_BT[:, :1], 0),
            weights=last_BT.astype(jnp.float32),
            segments=jnp.ones_like(inputs_BT),
            gap=jnp.where(last_BT, self.length - 1, -1),
        )
