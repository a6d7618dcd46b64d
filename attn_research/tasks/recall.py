"""Multi-query associative recall: key-value pairs, then queries for the values.

A sequence binds keys to values, `key value`; later a key alone asks for the value it
is bound to (Arora et al., 2023, arXiv:2312.04927). Everything else is blank (token 0).
Keys of one sequence are distinct and a query is asked once, so no query is ambiguous.
`gap` is the distance from a query back to the value that answers it.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.options import BadInput, option
from attn_research.tasks.contract import Batch, Spec, Split, split_key


def distinct(key: jax.Array, rows: int, count: int, range_size: int) -> jax.Array:
    """`count` distinct integers below `range_size` in each row, in random order.

    Floyd's algorithm: cost in `count`, not in the range (Bentley & Floyd, 1987,
    doi:10.1145/30401.315746).
    """
    draw, order = jax.random.split(key)
    tops = jnp.arange(range_size - count, range_size)
    picks = jax.random.randint(draw, (rows, count), 0, tops[None] + 1)

    def add(i, chosen):
        pick = picks[:, i]
        taken = jnp.any(chosen == pick[:, None], axis=1)
        return chosen.at[:, i].set(jnp.where(taken, tops[i], pick))

    chosen = jax.lax.fori_loop(0, count, add, jnp.full((rows, count), -1))
    return jax.random.permutation(order, chosen, axis=1, independent=True)


def _sizes(vocabulary: int, needed_keys: int, needed_values: int) -> tuple[int, int]:
    keys = (vocabulary - 1) // 2
    values = vocabulary - 1 - keys
    if needed_keys > keys or needed_values > values:
        raise BadInput(
            f"recall has {vocabulary} tokens, so {keys} keys and {values} values; "
            f"{needed_keys} distinct keys and {needed_values} values are asked for"
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
        labels=labels,
        metrics=("accuracy", "loss"),
        chance=1 / (vocabulary - 1 - (vocabulary - 1) // 2),
    )


def _write(
    shape: tuple[int, int], events: list[tuple[jax.Array, jax.Array]], dtype=jnp.int32
) -> jax.Array:
    rows = jnp.arange(shape[0])[:, None]
    sequence = jnp.zeros(shape, dtype)
    for position, token in events:
        sequence = sequence.at[rows, position].set(token.astype(dtype))
    return sequence


@dataclass(frozen=True)
class Recall:
    """Recall with independent axes; pairs and queries stand anywhere by default."""

    length: int = option(64, "Tokens in a sequence.", low=4)
    pairs: int = option(8, "Pairs bound and queried in a sequence.", low=1)
    gap: str = option(
        "any",
        "Distance from query to value: any (pairs and queries anywhere), N (exact), or "
        "LOW..HIGH (one distance per sequence, uniform).",
    )
    vocabulary: int = option(128, "Number of tokens: blank, keys, values.", low=4)
    overwrites: int = option(
        0, "Pairs bound to another value first; the last binding counts.", low=0
    )

    def __post_init__(self) -> None:
        if self.overwrites > self.pairs:
            raise BadInput(
                f"recall has {self.pairs} pairs, {self.overwrites} overwrites; at most "
                "every pair can be overwritten"
            )
        _sizes(self.vocabulary, self.pairs, 1)
        low, high = self._range()
        if low is None:
            events = 2 * self.pairs + self.overwrites
            if events > self.length // 2:
                raise BadInput(
                    f"recall of length {self.length} has room for {self.length // 2} "
                    f"pairs and queries; {events} are asked for"
                )
            return
        for gap in range(low, high + 1):
            need = self._extent(gap)
            if need > self.length:
                raise BadInput(
                    f"A gap of {gap} with {self.pairs} pairs needs {need} tokens; the "
                    f"length is {self.length}"
                )

    def _range(self) -> tuple[int | None, int]:
        if self.gap == "any":
            return None, 0
        low, dots, high = self.gap.partition("..")
        try:
            bounds = int(low), int(high if dots else low)
        except ValueError:
            bounds = 0, 0
        if not 1 <= bounds[0] <= bounds[1]:
            raise BadInput(
                f"recall.gap is {self.gap!r}; allowed are any, N and LOW..HIGH with "
                "1 <= LOW <= HIGH"
            )
        return bounds

    def _extent(self, gap):
        """Tokens that the layout of one exact gap takes."""
        together = min(self.pairs, max(1, (gap + 1) // 2))
        full, rest = divmod(self.pairs, together)
        last = 2 * rest + gap if rest else 0
        return 2 * self.overwrites + full * (2 * together + gap) + last

    @property
    def spec(self) -> Spec:
        return _spec(self.length, self.vocabulary, self.pairs)

    def arrays(self) -> tuple[()]:
        return ()

    def batch(
        self, key: jax.Array, split: Split, size: int, arrays: object = ()
    ) -> Batch:
        where, keys_key, values_key, old_key = jax.random.split(
            split_key(key, split), 4
        )
        keys, values = _sizes(self.vocabulary, self.pairs, 1)
        key_BN = 1 + distinct(keys_key, size, self.pairs, keys)
        value_BN = jax.random.randint(values_key, (size, self.pairs), 0, values)
        # The old value differs from the new one, or it would be no overwrite.
        step_BN = jax.random.randint(old_key, (size, self.pairs), 1, max(values, 2))
        old_BN = 1 + keys + (value_BN + step_BN) % values
        value_BN = 1 + keys + value_BN
        place = self._anywhere if self.gap == "any" else self._exactly
        first_BO, pair_BN, query_BN = place(where, size)
        written = slice(0, self.overwrites)
        inputs_BT = _write(
            (size, self.length),
            [
                (first_BO, key_BN[:, written]),
                (first_BO + 1, old_BN[:, written]),
                (pair_BN, key_BN),
                (pair_BN + 1, value_BN),
                (query_BN, key_BN),
            ],
        )
        return _queried(inputs_BT, query_BN, value_BN, query_BN - pair_BN - 1)

    def _anywhere(self, key: jax.Array, size: int):
        """Random slots of two tokens, matched at random; the order makes the role."""
        slot_key, bit_key = jax.random.split(key)
        n, extra = self.pairs, self.overwrites
        noise = jax.random.uniform(slot_key, (size, self.length // 2))
        slot_BE = jnp.argsort(noise, axis=1)[:, : 2 * n + extra]
        thirds = jnp.sort(slot_BE[:, : 3 * extra].reshape(size, extra, 3), axis=2)
        halves = jnp.sort(slot_BE[:, 3 * extra :].reshape(size, n - extra, 2), axis=2)
        slot_BN2 = jnp.concatenate([thirds[:, :, 1:], halves], axis=1)
        late_BN = jax.random.bernoulli(bit_key, 0.5, (size, n)).astype(jnp.int32)
        first_BO = 2 * thirds[:, :, 0]
        return first_BO, 2 * slot_BN2[:, :, 0], 2 * slot_BN2[:, :, 1] + late_BN

    def _exactly(self, key: jax.Array, size: int):
        """Groups of pairs, each followed by its queries at one exact distance."""
        gap_key, shift_key = jax.random.split(key)
        low, high = self._range()
        gap_B1 = jax.random.randint(gap_key, (size, 1), low, high + 1)
        together_B1 = jnp.clip((gap_B1 + 1) // 2, 1, self.pairs)
        index_1N = jnp.arange(self.pairs)[None]
        group_BN, within_BN = index_1N // together_B1, index_1N % together_B1
        pair_BN = (
            2 * self.overwrites + group_BN * (2 * together_B1 + gap_B1) + 2 * within_BN
        )
        last_B = jnp.max(pair_BN + 1 + gap_B1, axis=1)
        shift_B1 = jax.random.randint(shift_key, (size,), 0, self.length - last_B)[
            :, None
        ]
        first_BO = shift_B1 + 2 * jnp.arange(self.overwrites)[None]
        pair_BN = pair_BN + shift_B1
        return first_BO, pair_BN, pair_BN + 1 + gap_B1


@dataclass(frozen=True)
class Mqar:
    """Recall as published: all pairs first, then queries by a power law of slots.

    Arora et al., 2023, arXiv:2312.04927, appendix: half the vocabulary are keys, half
    values, both without repetition; query slots of two tokens are drawn without
    replacement with probability proportional to slot^(power - 1); no random filler.
    """

    length: int = option(64, "Tokens in a sequence.", low=4)
    pairs: int = option(4, "Pairs bound and queried in a sequence.", low=1)
    power: float = option(0.01, "Exponent of the law of query slots.", above=0)
    vocabulary: int = option(8192, "Number of tokens: blank, keys, values.", low=4)

    def __post_init__(self) -> None:
        if 4 * self.pairs > self.length:
            raise BadInput(
                f"mqar of length {self.length} has room for {self.length // 4} pairs; "
                f"{self.pairs} are asked for"
            )
        if self.pairs > self.vocabulary // 2 - 1:
            raise BadInput(
                f"mqar with {self.vocabulary} tokens has {self.vocabulary // 2 - 1} "
                f"keys; {self.pairs} pairs are asked for"
            )

    @property
    def spec(self) -> Spec:
        return _spec(self.length, self.vocabulary, self.pairs)

    def arrays(self) -> tuple[()]:
        return ()

    def batch(
        self, key: jax.Array, split: Split, size: int, arrays: object = ()
    ) -> Batch:
        keys_key, values_key, slot_key = jax.random.split(split_key(key, split), 3)
        half, n = self.vocabulary // 2, self.pairs
        key_BN = 1 + distinct(keys_key, size, n, half - 1)
        value_BN = half + distinct(values_key, size, n, self.vocabulary - half)
        slots = np.arange(1, (self.length - 2 * n) // 2 + 1)
        law_S = np.log(self.power * slots ** (self.power - 1.0)).astype(np.float32)
        # Gumbel top-k: draws without replacement by weight (Kool et al., 2019).
        score_BS = law_S[None] + jax.random.gumbel(slot_key, (size, slots.size))
        query_BN = 2 * n + 2 * jax.lax.top_k(score_BS, n)[1]
        pair_BN = jnp.broadcast_to(2 * jnp.arange(n)[None], (size, n))
        inputs_BT = _write(
            (size, self.length),
            [(pair_BN, key_BN), (pair_BN + 1, value_BN), (query_BN, key_BN)],
        )
        return _queried(inputs_BT, query_BN, value_BN, query_BN - pair_BN - 1)


def _queried(inputs_BT, query_BN, value_BN, gap_BN) -> Batch:
    shape = inputs_BT.shape
    return Batch(
        inputs=inputs_BT,
        targets=_write(shape, [(query_BN, value_BN)]),
        weights=_write(shape, [(query_BN, jnp.ones_like(query_BN))], jnp.float32),
        segments=jnp.ones(shape, jnp.int32),
        gap=_write(shape, [(query_BN, gap_BN + 1)]) - 1,
    )
