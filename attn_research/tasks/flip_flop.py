"""The flip-flop language: remember one bit until the next write.

Train short, test long (see `lengths`).
"""

import jax
import jax.numpy as jnp

from attn_research.options import declared, option
from attn_research.tasks.contract import (
    LARGEST,
    Batch,
    Draws,
    Spec,
    Split,
    no_arrays,
    split_index,
)
from attn_research.tasks.parts import lengths, overlap

# Token 0 is padding.
ZERO, ONE, WRITE, READ, IGNORE = range(1, 6)


@declared
class FlipFlop:
    """Instructions, each with a bit: write, read or ignore it; a read answers.

    The bit after a read is the one last written; the model answers at the read. The
    first instruction writes, the last one reads. `gap` is the distance to the last
    token that shows the stored bit, that of a write or read. Liu et al., 2023,
    arXiv:2306.00946, train with an ignored fraction of 0.8 on 512 tokens and test at
    0.98 and 0.1 too.
    """

    length: int = option(
        40, "Tokens in a training sequence, at most.", low=4, high=LARGEST
    )
    test_length: int = option(
        320, "Tokens in a test sequence, at most.", low=4, high=LARGEST
    )
    ignore: float = option(
        0.8, "Fraction of instructions that ignore their bit.", low=0, high=1
    )
    test_ignore: float = option(0.8, "`ignore` of the test split.", low=0, high=1)

    def __post_init__(self) -> None:
        lengths.check("flip_flop", self.length, self.test_length)

    @property
    def spec(self) -> Spec:
        return Spec(
            inputs="tokens",
            features=6,
            target="token",
            outputs=2,
            length=self.test_length,
            causal=True,
            labels=self.test_length // 2 - 1,
            metrics=("accuracy", "loss"),
            chance=1 / 2,
        )

    arrays, notes = no_arrays, overlap.notes

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: object = ()
    ) -> Batch:
        length = lengths.room(split, self.length, self.test_length)
        count = length // 2
        draws = Draws(key, split, size, 1 + 2 * count)
        count_B1 = lengths.sampled(
            draws, split, self.length // 2, self.test_length // 2, low=2
        )
        testing = split_index(split) == lengths.TEST
        ignore = jnp.where(testing, self.test_ignore, self.ignore)
        chance_BN, at_1N = draws.uniform(count), jnp.arange(count)[None]
        kind_BN = jnp.where(chance_BN < (1 + ignore) / 2, WRITE, READ)
        kind_BN = jnp.where(chance_BN < ignore, IGNORE, kind_BN)
        kind_BN = jnp.where(at_1N == count_B1 - 1, READ, kind_BN)
        kind_BN = jnp.where(at_1N == 0, WRITE, kind_BN)
        bit_BN = draws.integers(count, 2)
        written_BN = jax.lax.cummax(jnp.where(kind_BN == WRITE, at_1N, 0), axis=1)
        stored_BN = jnp.take_along_axis(bit_BN, written_BN, axis=1)
        bit_BN = jnp.where(kind_BN == READ, stored_BN, bit_BN)
        shown_BN = jax.lax.cummax(jnp.where(kind_BN == IGNORE, 0, at_1N), axis=1)
        # The last instruction before this one that showed the bit.
        shown_BN = jnp.pad(shown_BN, ((0, 0), (1, 0)))[:, :-1]
        gap_BN = 2 * (at_1N - shown_BN) - 1

        def tokens(at_instruction: jax.Array, at_bit: jax.Array) -> jax.Array:
            pairs_BT = jnp.stack([at_instruction, at_bit], axis=2).reshape(size, -1)
            return jnp.pad(pairs_BT, ((0, 0), (0, length - 2 * count)))

        none_BN = jnp.zeros_like(bit_BN)
        return lengths.rows(
            tokens(kind_BN, ZERO + bit_BN),
            tokens(stored_BN, none_BN),
            tokens((kind_BN == READ).astype(jnp.int32), none_BN) > 0,
            tokens(gap_BN, none_BN),
            2 * count_B1,
        )
