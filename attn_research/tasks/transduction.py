"""Sequence to sequence in one row: a string, then another one computed from it.

Train short, test long (see `lengths`): `length` counts the symbols of the string. The
positions of the answers show only the query sign. Deletang et al., 2022,
arXiv:2207.02098. Tokens: 0 padding, 1 the sign, then the symbols.
"""

import jax
import jax.numpy as jnp

from attn_research.options import declared, option
from attn_research.tasks.contract import LARGEST, Batch, Draws, Spec, Split, no_arrays
from attn_research.tasks.copying import GO, SIGNS
from attn_research.tasks.parts import lengths, overlap

POP, END = 2, 2  # an action; the answer at the end of a stack


def _spec(
    *, length: int, labels: int, symbols: int, outputs: int, chance: float
) -> Spec:
    return Spec(
        inputs="tokens",
        features=SIGNS + symbols,
        target="token",
        outputs=outputs,
        length=length,
        causal=True,
        labels=labels,
        metrics=("accuracy", "loss"),
        chance=chance,
    )


def _strings(length: int, symbols: int) -> Spec:
    """The spec of a string of up to `length` symbols and another of the same length."""
    return _spec(
        length=2 * length,
        labels=length,
        symbols=symbols,
        outputs=symbols,
        chance=1 / symbols,
    )


def _transduced(
    symbol_BN: jax.Array,
    answer_BT: jax.Array,
    gap_BT: jax.Array,
    count_B1: jax.Array,
    size_B1: jax.Array,
) -> Batch:
    """The batch of strings of `count` symbols, then answers up to `size`."""
    length = answer_BT.shape[1]
    after = ((0, 0), (0, length - symbol_BN.shape[1]))
    answers_BT = jnp.arange(length)[None] >= count_B1
    inputs_BT = jnp.where(answers_BT, GO, SIGNS + jnp.pad(symbol_BN, after))
    return lengths.rows(inputs_BT, answer_BT, answers_BT, gap_BT, size_B1)


@declared
class Reverse:
    """The string backwards. `gap` is the distance to the repeated symbol."""

    length: int = option(
        40, "Symbols of a training string, at most.", low=1, high=LARGEST
    )
    test_length: int = option(
        320, "Symbols of a test string, at most.", low=1, high=LARGEST
    )
    symbols: int = option(2, "Number of different symbols.", low=2, high=LARGEST)

    def __post_init__(self) -> None:
        lengths.check("reverse", self.length, self.test_length)

    @property
    def spec(self) -> Spec:
        return _strings(self.test_length, self.symbols)

    arrays, notes = no_arrays, overlap.notes

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: object = ()
    ) -> Batch:
        length = lengths.room(split, self.length, self.test_length)
        draws = Draws(key, split, size, 1 + length)
        count_B1 = lengths.sampled(draws, split, self.length, self.test_length)
        symbol_BN = draws.integers(length, self.symbols)
        at_1T = jnp.arange(2 * length)[None]
        from_BT = jnp.clip(2 * count_B1 - 1 - at_1T, 0, length - 1)
        return _transduced(
            symbol_BN,
            jnp.take_along_axis(symbol_BN, from_BT, axis=1),
            at_1T - from_BT,
            count_B1,
            2 * count_B1,
        )


@declared
class BucketSort:
    """The symbols of the string, sorted.

    Each answer depends on all of them: `gap` is the distance to the first.
    """

    length: int = option(
        40, "Symbols of a training string, at most.", low=1, high=LARGEST
    )
    test_length: int = option(
        320, "Symbols of a test string, at most.", low=1, high=LARGEST
    )
    symbols: int = option(5, "Number of different symbols.", low=2, high=LARGEST)

    def __post_init__(self) -> None:
        lengths.check("bucket_sort", self.length, self.test_length)

    @property
    def spec(self) -> Spec:
        return _strings(self.test_length, self.symbols)

    arrays, notes = no_arrays, overlap.notes

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: object = ()
    ) -> Batch:
        length = lengths.room(split, self.length, self.test_length)
        draws = Draws(key, split, size, 1 + length)
        count_B1 = lengths.sampled(draws, split, self.length, self.test_length)
        symbol_BN = draws.integers(length, self.symbols)
        real_BN = jnp.arange(length)[None] < count_B1
        sorted_BN = jnp.sort(jnp.where(real_BN, symbol_BN, self.symbols), axis=1)
        at_1T = jnp.arange(2 * length)[None]
        from_BT = jnp.clip(at_1T - count_B1, 0, length - 1)
        return _transduced(
            symbol_BN,
            jnp.take_along_axis(sorted_BN, from_BT, axis=1),
            at_1T,
            count_B1,
            2 * count_B1,
        )


@declared
class StackManipulation:
    """A stack, bottom first, and actions on it; its content afterwards, top first.

    Symbols: the bits 0 and 1 of the stack, then the actions pop, push 0 and push 1; a
    pop leaves an empty stack unchanged. Answers: bits, then 2 for the end. `gap` is the
    distance to where the bit was put on the stack; the end depends on all tokens and
    has the distance to the first.
    """

    length: int = option(
        40, "Bits and actions in training, at most.", low=1, high=LARGEST
    )
    test_length: int = option(
        320, "Bits and actions in the test, at most.", low=1, high=LARGEST
    )

    def __post_init__(self) -> None:
        lengths.check("stack_manipulation", self.length, self.test_length)

    @property
    def spec(self) -> Spec:
        length = self.test_length
        return _spec(
            length=2 * length + 1,
            labels=length + 1,
            symbols=5,
            outputs=3,
            chance=1 / 2,
        )

    arrays, notes = no_arrays, overlap.notes

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: object = ()
    ) -> Batch:
        length = lengths.room(split, self.length, self.test_length)
        draws = Draws(key, split, size, 2 + 2 * length)
        count_B1 = lengths.sampled(draws, split, self.length, self.test_length)
        filled_B1 = 1 + draws.integers(1, jnp.maximum(count_B1 - 1, 1))
        at_1N = jnp.arange(length)[None]
        symbol_BN = jnp.where(
            at_1N < filled_B1,
            draws.integers(length, 2),
            POP + draws.integers(length, 3),
        )
        pops_BN = symbol_BN == POP
        walk_BN = jnp.cumsum(jnp.where(pops_BN, -1, 1), axis=1)
        # A pop of an empty stack lifts the floor of the walk.
        depth_BN = walk_BN - jnp.minimum(jax.lax.cummin(walk_BN, axis=1), 0)
        real_BN = at_1N < count_B1
        lowest_BN = jax.lax.cummin(
            jnp.where(real_BN, depth_BN, length), axis=1, reverse=True
        )
        # A bit stays if the stack is never lower again than with this bit on top.
        stays_BN = real_BN & ~pops_BN & (lowest_BN == depth_BN)
        above_BN = jax.lax.cumsum(stays_BN.astype(jnp.int32), axis=1, reverse=True)
        total_B1, tape = above_BN[:, :1], 2 * length + 1
        place_BN = jnp.where(stays_BN, count_B1 + above_BN - 1, tape)
        from_BT = jnp.zeros((size, tape), jnp.int32)
        rows_B1 = jnp.arange(size)[:, None]
        from_BT = from_BT.at[rows_B1, place_BN].set(
            jnp.broadcast_to(at_1N, place_BN.shape), mode="drop"
        )
        at_1T = jnp.arange(tape)[None]
        ends_BT = at_1T == count_B1 + total_B1
        bit_BT = jnp.take_along_axis(symbol_BN, from_BT, axis=1)
        bit_BT = jnp.where(bit_BT > POP, bit_BT - POP - 1, bit_BT)
        return _transduced(
            symbol_BN,
            jnp.where(ends_BT, END, bit_BT),
            at_1T - jnp.where(ends_BT, 0, from_BT),
            count_B1,
            count_B1 + total_B1 + 1,
        )
