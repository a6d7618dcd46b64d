"""State tracking: a state that every token changes, queried along the sequence.

Train short, test long (see `lengths`). A row is symbols; `answers=every` asks for the
state at each of them, `answers=last` only at the last, as in publications. Every
earlier symbol matters, so `gap` is the distance to the first one: accuracy by gap is
the accuracy by length. Token 0 is padding.
"""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.options import declared, option
from attn_research.tasks.contract import LARGEST, Batch, Draws, Spec, Split, no_arrays
from attn_research.tasks.parts import groups, lengths, overlap
from attn_research.tasks.parts.lengths import Answers


def running_spec(
    *, length: int, answers: Answers, symbols: int, states: int, chance: float
) -> Spec:
    """The spec of a task that reads symbols and answers with a state."""
    return Spec(
        inputs="tokens",
        features=1 + symbols,
        target="token",
        outputs=states,
        length=length,
        causal=True,
        labels=1 if answers == "last" else length,
        metrics=("accuracy", "loss"),
        chance=chance,
    )


def running(
    symbol_BT: jax.Array, state_BT: jax.Array, size_B1: jax.Array, answers: Answers
) -> Batch:
    """The batch that asks for the state after each symbol, or after the last."""
    length = symbol_BT.shape[1]
    asked_BT = lengths.asked(answers, size_B1, length)
    gap_1T = jnp.arange(length)[None]
    return lengths.rows(1 + symbol_BT, state_BT, asked_BT, gap_1T, size_B1)


def majority(law_LN: np.ndarray, share_L: np.ndarray) -> float:
    """The accuracy of the best constant answer to weighted distributions."""
    return float(np.max(share_L @ law_LN) / np.sum(share_L))


LAW = 2**16  # steps of which a constant answer's accuracy is computed


@cache
def _cycle(length: int, places: int, answers: Answers) -> float:
    """The accuracy of the best constant place, over rows of each length."""
    place_N = np.eye(places)[0]
    law_TN = np.zeros((length, places))
    after_N, before_N = (np.roll(np.arange(places), step) for step in (-1, 1))
    for row_N in law_TN:
        place_N = (place_N[after_N] + place_N + place_N[before_N]) / 3
        row_N[:] = place_N
    return majority(law_TN, lengths.shares(length, answers))


@declared
class Parity:
    """Whether the number of ones so far is odd.

    Deletang et al., 2022, arXiv:2207.02098, which asks at the end.
    """

    length: int = option(
        40, "Bits in a training sequence, at most.", low=1, high=LARGEST
    )
    test_length: int = option(
        320, "Bits in a test sequence, at most.", low=1, high=LARGEST
    )
    answers: Answers = option("every", "Positions that answer.")

    def __post_init__(self) -> None:
        lengths.check("parity", self.length, self.test_length)

    @property
    def spec(self) -> Spec:
        return running_spec(
            length=self.test_length,
            answers=self.answers,
            symbols=2,
            states=2,
            chance=1 / 2,
        )

    arrays, notes = no_arrays, overlap.notes

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: object = ()
    ) -> Batch:
        length = lengths.room(split, self.length, self.test_length)
        draws = Draws(key, split, size, length + 1)
        size_B1 = lengths.sampled(draws, split, self.length, self.test_length)
        bit_BT = draws.integers(length, 2)
        return running(bit_BT, jnp.cumsum(bit_BT, axis=1) % 2, size_B1, self.answers)


@declared
class CycleNavigation:
    """The place on a cycle after steps back, none and forward; the start is place 0.

    Deletang et al., 2022, arXiv:2207.02098, which asks at the end, on a cycle of 5.
    """

    length: int = option(40, "Steps in a training sequence, at most.", low=1, high=LAW)
    test_length: int = option(
        320, "Steps in a test sequence, at most.", low=1, high=LAW
    )
    places: int = option(5, "Places on the cycle.", low=2, high=1000)
    answers: Answers = option("every", "Positions that answer.")

    def __post_init__(self) -> None:
        lengths.check("cycle_navigation", self.length, self.test_length)

    @property
    def spec(self) -> Spec:
        return running_spec(
            length=self.test_length,
            answers=self.answers,
            symbols=3,
            states=self.places,
            chance=_cycle(self.test_length, self.places, self.answers),
        )

    arrays, notes = no_arrays, overlap.notes

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: object = ()
    ) -> Batch:
        length = lengths.room(split, self.length, self.test_length)
        draws = Draws(key, split, size, length + 1)
        size_B1 = lengths.sampled(draws, split, self.length, self.test_length)
        step_BT = draws.integers(length, 3)
        place_BT = jnp.cumsum(step_BT - 1, axis=1) % self.places
        return running(step_BT, place_BT, size_B1, self.answers)


@declared
class GroupWord:
    """The product of all group elements so far: the word problem of a finite group.

    Over S5 or A5, which are not solvable, a model of constant depth whose state is
    updated by a diagonal matrix cannot answer at every length; over Z60, which has the
    order of A5, it can (Merrill et al., 2024, arXiv:2404.08819). Later factors multiply
    from the right; `groups.table` numbers the elements.
    """

    length: int = option(
        40, "Elements in a training sequence, at most.", low=1, high=LARGEST
    )
    test_length: int = option(
        320, "Elements in a test sequence, at most.", low=1, high=LARGEST
    )
    group: str = option("S5", "Zn, Sn, An or a product of them such as A4xZ5.")
    answers: Answers = option("every", "Positions that answer.")

    def __post_init__(self) -> None:
        lengths.check("group_word", self.length, self.test_length)
        groups.table(self.group)

    @property
    def spec(self) -> Spec:
        order = len(groups.table(self.group))
        return running_spec(
            length=self.test_length,
            answers=self.answers,
            symbols=order,
            states=order,
            chance=1 / order,
        )

    arrays, notes = no_arrays, overlap.notes

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: object = ()
    ) -> Batch:
        length = lengths.room(split, self.length, self.test_length)
        draws = Draws(key, split, size, length + 1)
        size_B1 = lengths.sampled(draws, split, self.length, self.test_length)
        product_NN = jnp.asarray(groups.table(self.group))
        element_BT = draws.integers(length, len(product_NN))
        state_BT = jax.lax.associative_scan(
            lambda left, right: product_NN[left, right], element_BT, axis=1
        )
        return running(element_BT, state_BT, size_B1, self.answers)
