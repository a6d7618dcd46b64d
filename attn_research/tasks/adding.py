"""The adding problem: the sum of two marked numbers in a long sequence of numbers."""

import jax
import jax.numpy as jnp

from attn_research.options import declared, option
from attn_research.tasks.contract import LARGEST, Batch, Draws, Spec, Split, no_arrays
from attn_research.tasks.parts import overlap


@declared
class Adding:
    """Each position holds a number in [0, 1) and a mark; two positions are marked.

    One mark is in the first half, one in the second; the answer is the sum of both
    numbers (Hochreiter & Schmidhuber, 1997). The constant answer 1 has a mean squared
    error of 1/6. `gap` is the distance from the answer to the earlier mark. If causal,
    the last position answers; otherwise an encoder reads the whole sequence.
    """

    length: int = option(64, "Positions in a sequence.", low=2, high=LARGEST)
    causal: bool = option(True, "The last position answers; false: a pooled encoder.")

    @property
    def spec(self) -> Spec:
        return Spec(
            inputs="values",
            features=2,
            target="value",
            outputs=1,
            length=self.length,
            causal=self.causal,
            whole=True,
            labels=1,
            metrics=("mse", "loss"),
            per_sequence=not self.causal,
            chance=1 / 6,
        )

    arrays, notes = no_arrays, overlap.notes

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: object = ()
    ) -> Batch:
        draws = Draws(key, split, size, self.length + 2)
        half = self.length // 2
        number_BT = draws.uniform(self.length)
        first_B = draws.integers(1, half)[:, 0]
        second_B = half + draws.integers(1, self.length - half)[:, 0]
        at_1T = jnp.arange(self.length)[None]
        mark_BT = (at_1T == first_B[:, None]) | (at_1T == second_B[:, None])
        total_B = jnp.sum(jnp.where(mark_BT, number_BT, 0.0), axis=1)
        gap_B = self.length - 1 - first_B
        weight_B = jnp.ones(size)
        if self.causal:
            before = ((0, 0), (self.length - 1, 0))
            total_B, weight_B = (
                jnp.pad(a[:, None], before) for a in (total_B, weight_B)
            )
            gap_B = jnp.pad(gap_B[:, None], before, constant_values=-1)
        return Batch(
            inputs=jnp.stack([number_BT, mark_BT.astype(number_BT.dtype)], axis=2),
            targets=total_B,
            weights=weight_B,
            segments=jnp.ones((size, self.length), jnp.int32),
            gap=gap_B,
        )
