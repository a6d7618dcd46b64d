"""Recall of motifs: keys and values of several tokens."""

import math

import jax
import jax.numpy as jnp

from attn_research.options import BadInput, declared, option
from attn_research.tasks.contract import LARGEST, Batch, Draws, Spec, Split, no_arrays
from attn_research.tasks.parts import motifs, overlap
from attn_research.tasks.parts.placement import asked, bounds, scattered, write

# Sampling among more is uneven (see `Draws.integers`).
MOST_KEYS = 2**24


@declared
class FuzzyRecall:
    """Pairs of a key motif and a value motif; each pair occurs twice in a sequence.

    The second occurrence asks for the value token by token: the last token of the key
    for the first of the value, and each token of the value for the next. Keys use one
    half of the vocabulary and values the other, so that each run of tokens is one
    motif; the keys of a sequence are distinct but may share tokens (Poli et al., 2024,
    arXiv:2403.17844). Blanks (token 0) separate the pairs. `gap` is the distance back
    to the first occurrence of the answer.
    """

    length: int = option(128, "Tokens in a sequence.", low=4, high=LARGEST)
    pairs: int = option(
        8, "Pairs per sequence, each queried once.", low=1, high=LARGEST
    )
    key_motif: str = option("1..3", "Tokens of a key: N, or LOW..HIGH (uniform).")
    value_motif: str = option("1..3", "Tokens of a value: N, or LOW..HIGH (uniform).")
    vocabulary: int = option(
        64,
        "Number of tokens: blank, tokens of keys, tokens of values.",
        low=3,
        high=LARGEST,
    )

    def __post_init__(self) -> None:
        keys, values = self._alphabets()
        (low, high), (_, longest) = self._sizes()
        need = 2 * self.pairs * (high + longest)
        if need > self.length:
            raise BadInput(
                f"fuzzy_recall.length is {self.length}; for {self.pairs} pairs of up "
                f"to {high + longest} tokens, twice each, it must be at least {need}"
            )
        if high > keys or longest > values:
            raise BadInput(
                f"fuzzy_recall has {keys} tokens for keys and {values} for values; "
                f"they must be at least {high} and {longest}"
            )
        if math.perm(keys, low) < self.pairs:
            raise BadInput(
                f"fuzzy_recall has {math.perm(keys, low)} distinct keys of {low} of "
                f"its {keys} tokens; it must be at least the number of pairs, "
                f"{self.pairs}"
            )
        if math.perm(keys, high) > MOST_KEYS:
            raise BadInput(
                f"fuzzy_recall has {math.perm(keys, high)} keys of {high} of its "
                f"{keys} tokens; it must be at most {MOST_KEYS}"
            )

    def _alphabets(self) -> tuple[int, int]:
        """The number of tokens for keys, and for values."""
        keys = (self.vocabulary - 1) // 2
        return keys, self.vocabulary - 1 - keys

    def _sizes(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """The smallest and largest number of tokens of a key, and of a value."""
        forms = "N or LOW..HIGH"
        return (
            bounds(self.key_motif, "fuzzy_recall.key_motif", forms),
            bounds(self.value_motif, "fuzzy_recall.value_motif", forms),
        )

    @property
    def spec(self) -> Spec:
        _, (_, longest) = self._sizes()
        return Spec(
            inputs="tokens",
            features=self.vocabulary,
            target="token",
            outputs=self.vocabulary,
            length=self.length,
            causal=True,
            whole=True,
            labels=self.pairs * longest,
            metrics=("accuracy", "loss"),
            chance=1 / self._alphabets()[1],
        )

    arrays, notes = no_arrays, overlap.notes

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: object = ()
    ) -> Batch:
        n, (keys, values) = self.pairs, self._alphabets()
        (low, high), (least, longest) = self._sizes()
        draws = Draws(
            key, split, size, n * (2 + 2 * (high - low + 1) + longest + 2 + 2)
        )
        key_size_BN = low + draws.integers(n, high - low + 1)
        value_size_BN = least + draws.integers(n, longest - least + 1)
        key_BNJ = 1 + motifs.distinct(draws, key_size_BN, keys, low, high)
        value_BNJ = 1 + keys + motifs.sampled(draws, n, values, longest)

        # Both events of a pair have places in one random order; the earlier one binds.
        place_B2N = jnp.sort(draws.order(2 * n).reshape(size, 2, n), axis=1)
        width_BN = key_size_BN + value_size_BN
        width_BE = write((size, 2 * n), [(place_B2N[:, i], width_BN) for i in (0, 1)])
        start_BE = scattered(draws, width_BE, self.length)
        first_BN, again_BN = (
            jnp.take_along_axis(start_BE, place_B2N[:, i], axis=1) for i in (0, 1)
        )

        events, query, answer = [], [], []
        outside = self.length
        for j in range(high):
            for start_BN in (first_BN, again_BN):
                at_BN = jnp.where(j < key_size_BN, start_BN + j, outside)
                events.append((at_BN, key_BNJ[:, :, j]))
        for j in range(longest):
            real_BN = j < value_size_BN
            for start_BN in (first_BN, again_BN):
                at_BN = jnp.where(real_BN, start_BN + key_size_BN + j, outside)
                events.append((at_BN, value_BNJ[:, :, j]))
            query.append(jnp.where(real_BN, again_BN + key_size_BN + j - 1, outside))
            answer.append(value_BNJ[:, :, j])
        gap_BN = again_BN - first_BN - 1
        return asked(
            write((size, self.length), events),
            jnp.concatenate(query, axis=1),
            jnp.concatenate(answer, axis=1),
            jnp.tile(gap_BN, (1, longest)),
        )
