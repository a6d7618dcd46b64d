"""Multi-query associative recall: key-value pairs, then queries for the values.

A sequence binds keys to values, `key value`; later a single key asks for the value it
is bound to (Arora et al., 2023, arXiv:2312.04927). All other tokens are blank (0). Keys
of one sequence are distinct and queried once, so that queries are unambiguous. `gap` is
the distance from a query back to its value.
"""

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.options import BadInput, declared, option
from attn_research.tasks.contract import LARGEST, Batch, Draws, Spec, Split, no_arrays
from attn_research.tasks.parts import overlap
from attn_research.tasks.parts.placement import (
    asked,
    bounds,
    check_room,
    grouped,
    write,
)


def _sizes(vocabulary: int, needed_keys: int, needed_values: int) -> tuple[int, int]:
    keys = (vocabulary - 1) // 2
    values = vocabulary - 1 - keys
    if needed_keys > keys or needed_values > values:
        raise BadInput(
            f"recall.vocabulary is {vocabulary}, which gives {keys} keys and {values} "
            f"values; they must be at least {needed_keys} and {needed_values}"
        )
    return keys, values


def _spec(length: int, vocabulary: int, labels: int) -> Spec:
    return Spec(
        inputs="tokens",
        features=vocabulary,
        target="token",
        outputs=vocabulary,
        length=length,
        causal=True,
        whole=True,
        labels=labels,
        metrics=("accuracy", "loss"),
        chance=1 / (vocabulary - 1 - (vocabulary - 1) // 2),
    )


@declared
class Recall:
    """Recall with independent options; by default pairs and queries are anywhere."""

    length: int = option(64, "Tokens in a sequence.", low=4, high=LARGEST)
    pairs: int = option(
        8, "Pairs per sequence, each queried once.", low=1, high=LARGEST
    )
    gap: str = option(
        "any",
        "Distance from query to value: any (pairs and queries anywhere), N (exact), or "
        "LOW..HIGH (one distance per sequence, uniform).",
    )
    vocabulary: int = option(
        128, "Number of tokens: blank, keys, values.", low=4, high=LARGEST
    )
    overwrites: int = option(
        0,
        "Pairs first bound to another value; the last binding counts.",
        low=0,
        high=LARGEST,
    )

    def __post_init__(self) -> None:
        if self.overwrites > self.pairs:
            raise BadInput(
                f"recall.overwrites is {self.overwrites}; it must be at most the "
                f"number of pairs, {self.pairs}"
            )
        _sizes(self.vocabulary, self.pairs, 1)
        if self.gap == "any":
            events = 2 * self.pairs + self.overwrites
            if events > self.length // 2:
                raise BadInput(
                    f"recall has {events} pairs and queries; at length {self.length} "
                    f"they must be at most {self.length // 2}"
                )
            return
        check_room(*self._range(), self.pairs, self.length, lead=2 * self.overwrites)

    def _range(self) -> tuple[int, int]:
        """The lowest and highest exact gap."""
        return bounds(self.gap, "recall.gap", "any, N or LOW..HIGH")

    @property
    def spec(self) -> Spec:
        return _spec(self.length, self.vocabulary, self.pairs)

    arrays, notes = no_arrays, overlap.notes

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: object = ()
    ) -> Batch:
        return self.sampled(Draws(key, split, size, self.columns))

    @property
    def columns(self) -> int:
        """The columns of random numbers that `sampled` takes, at most."""
        return 5 * self.pairs + self.length // 2 + 2

    def sampled(self, draws: Draws) -> Batch:
        """The batch made from the next columns of `draws`."""
        n, size = self.pairs, draws.rows
        keys, values = _sizes(self.vocabulary, n, 1)
        key_BN = 1 + draws.distinct(n, keys)
        value_BN = draws.integers(n, values)
        # The old value differs from the new one.
        step_BN = 1 + draws.integers(n, max(values - 1, 1))
        old_BN = 1 + keys + (value_BN + step_BN) % values
        value_BN = 1 + keys + value_BN
        place = self._anywhere if self.gap == "any" else self._exactly
        first_BO, pair_BN, query_BN = place(draws)
        written = slice(0, self.overwrites)
        inputs_BT = write(
            (size, self.length),
            [
                (first_BO, key_BN[:, written]),
                (first_BO + 1, old_BN[:, written]),
                (pair_BN, key_BN),
                (pair_BN + 1, value_BN),
                (query_BN, key_BN),
            ],
        )
        return asked(inputs_BT, query_BN, value_BN, query_BN - pair_BN - 1)

    def _anywhere(self, draws: Draws):
        """Random slots of two tokens, matched at random; their "
        "order sets their role."""
        n, extra = self.pairs, self.overwrites
        slot_BE = draws.order(self.length // 2)[:, : 2 * n + extra]
        size = slot_BE.shape[0]
        thirds = jnp.sort(slot_BE[:, : 3 * extra].reshape(size, extra, 3), axis=2)
        halves = jnp.sort(slot_BE[:, 3 * extra :].reshape(size, n - extra, 2), axis=2)
        slot_BN2 = jnp.concatenate([thirds[:, :, 1:], halves], axis=1)
        late_BN = draws.integers(n, 2)
        first_BO = 2 * thirds[:, :, 0]
        return first_BO, 2 * slot_BN2[:, :, 0], 2 * slot_BN2[:, :, 1] + late_BN

    def _exactly(self, draws: Draws):
        """Groups of pairs, each followed by its queries at one exact distance."""
        lead = 2 * self.overwrites
        pair_BN, query_BN = grouped(
            draws, *self._range(), self.pairs, self.length, lead
        )
        first_BO = pair_BN[:, :1] - lead + 2 * jnp.arange(self.overwrites)[None]
        return first_BO, pair_BN, query_BN


@declared
class Mqar:
    """Recall as published: all pairs first, then queries by a power law of slots.

    Arora et al., 2023, arXiv:2312.04927, appendix: keys are half of the vocabulary,
    values the other, both without repetition; query slots of two tokens are sampled
    without replacement with probability proportional to slot^(power - 1); the filler is
    blank.
    """

    length: int = option(64, "Tokens in a sequence.", low=4, high=LARGEST)
    pairs: int = option(
        4, "Pairs per sequence, each queried once.", low=1, high=LARGEST
    )
    power: float = option(0.01, "Exponent of the power law of query slots.", above=0)
    vocabulary: int = option(
        8192, "Number of tokens: blank, keys, values.", low=4, high=LARGEST
    )

    def __post_init__(self) -> None:
        if 4 * self.pairs > self.length:
            raise BadInput(
                f"mqar.pairs is {self.pairs}; at length {self.length} it must be at "
                f"most {self.length // 4}"
            )
        if self.pairs > self.vocabulary // 2 - 1:
            raise BadInput(
                f"mqar.pairs is {self.pairs}; with {self.vocabulary} tokens it must be "
                f"at most {self.vocabulary // 2 - 1}"
            )

    @property
    def spec(self) -> Spec:
        return _spec(self.length, self.vocabulary, self.pairs)

    arrays, notes = no_arrays, overlap.notes

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: object = ()
    ) -> Batch:
        half, n = self.vocabulary // 2, self.pairs
        draws = Draws(key, split, size, 4 * n + self.length)
        key_BN = 1 + draws.distinct(n, half - 1)
        value_BN = half + draws.distinct(n, self.vocabulary - half)
        slots = np.arange(1, (self.length - 2 * n) // 2 + 1)
        law_S = np.log(self.power * slots ** (self.power - 1.0)).astype(np.float32)
        # Gumbel top-k: weighted sampling without replacement (Kool et al., 2019).
        even_BS = draws.uniform(slots.size) + jnp.float32(2.0**-25)
        score_BS = law_S[None] - jnp.log(-jnp.log(even_BS))
        query_BN = 2 * n + 2 * jax.lax.top_k(score_BS, n)[1]
        pair_BN = jnp.broadcast_to(2 * jnp.arange(n)[None], (size, n))
        inputs_BT = write(
            (size, self.length),
            [(pair_BN, key_BN), (pair_BN + 1, value_BN), (query_BN, key_BN)],
        )
        return asked(inputs_BT, query_BN, value_BN, query_BN - pair_BN - 1)
