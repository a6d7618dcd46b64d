"""In-context recall of motifs: keys and values of one to three tokens."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from attn_research.options import BadInput, declared, option
from attn_research.tasks.contract import (
    LARGEST,
    Batch,
    Draws,
    Spec,
    Split,
    no_arrays,
    split_index,
)
from attn_research.tasks.mad.tokens import NEXT_TOKEN, shifted, token_spec
from attn_research.tasks.parts import motifs, overlap
from attn_research.tasks.parts.placement import write


class Events(NamedTuple):
    """Pairs of motifs: their tokens and their sizes."""

    key_BNJ: jax.Array
    key_size_BN: jax.Array
    value_BNJ: jax.Array
    value_size_BN: jax.Array

    @property
    def width_BN(self) -> jax.Array:
        return self.key_size_BN + self.value_size_BN


@declared
class MadFuzzyRecall:
    """Key motif, value motif, and so on; a key shown before asks for its value.

    Published variants: vocabulary 32, 64, 128; length 256, 512, 1024; 6,400, 3,200,
    1,600 and 800 examples. Keys use the first half of the vocabulary, values the
    second; its last token pads the front of a sequence, and is a target in training
    like any other. Training has keys of any number of tokens, validation and test only
    of the largest. The sequence always has the key of the final question (the published
    generator omits it in a few per cent, which cannot be answered). Each token of a
    value is a target; `gap` is the distance back to its last occurrence.
    """

    length: int = option(128, "Tokens that a model sees.", low=8, high=LARGEST)
    vocabulary: int = option(
        16, "Number of tokens: keys, values, padding.", low=3, high=LARGEST
    )
    key_motif: int = option(
        3, "Largest number of tokens of a key.", low=1, high=LARGEST
    )
    value_motif: int = option(
        3, "Largest number of tokens of a value.", low=1, high=LARGEST
    )
    next_token: bool = option(True, NEXT_TOKEN)

    def __post_init__(self) -> None:
        keys, values = self._alphabets()
        if self.key_motif > keys or self.value_motif > values:
            raise BadInput(
                f"mad_fuzzy_recall has {keys} tokens for keys and {values} for values; "
                f"they must be at least {self.key_motif} and {self.value_motif}"
            )
        longest = self.key_motif + self.value_motif
        if self.length <= 2 * longest:
            raise BadInput(
                f"mad_fuzzy_recall.length is {self.length}; with pairs of up to "
                f"{longest} tokens it must be at least {2 * longest + 1}"
            )

    def _alphabets(self) -> tuple[int, int]:
        keys = (self.vocabulary - 1) // 2
        return keys, self.vocabulary - 1 - keys

    @property
    def spec(self) -> Spec:
        _, values = self._alphabets()
        return token_spec(self.vocabulary, self.length, self.length, values)

    arrays, notes = no_arrays, overlap.notes

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: object = ()
    ) -> Batch:
        longest, last = self.key_motif + self.value_motif, self.length
        # Pairs of two tokens that start before the end reserved for the probe.
        most = (last - longest - 1) // 2
        count = 1 + most
        draws = Draws(key, split, size, count * (longest + 2) + 1)
        events = self._random(draws, count, split)
        probe_width_B1 = events.width_BN[:, :1]
        limit_B1 = last - longest - probe_width_B1
        wish_B1 = draws.integers(1, last - 2 * probe_width_B1)

        # The probe is placed at the first start from a random place on, unless its key
        # occurs before by chance.
        start_BN, shown_BN = _starts(_bound(events), limit_B1)
        early_BN = shown_BN & (start_BN < wish_B1)
        shown_B1 = jnp.sum(shown_BN, axis=1, keepdims=True)
        place_B1 = jnp.minimum(jnp.sum(early_BN, axis=1, keepdims=True), shown_B1 - 1)
        index_1N = jnp.arange(most)[None]
        earlier_BN = _same(events)[:, 0, 1:] & (index_1N < place_B1)
        put_BN = (index_1N == place_B1) & ~jnp.any(earlier_BN, axis=1, keepdims=True)
        put_BN = jnp.pad(put_BN, ((0, 0), (1, 0)))
        sizes_BN = events.key_size_BN
        events = events._replace(
            key_BNJ=jnp.where(put_BN[..., None], events.key_BNJ[:, :1], events.key_BNJ),
            key_size_BN=jnp.where(put_BN, sizes_BN[:, :1], sizes_BN),
        )
        return self._laid(_bound(events), limit_B1, split)

    def _random(self, draws: Draws, count: int, split: Split | jax.Array) -> Events:
        """Independent random pairs; the first is the probe, which ends the sequence."""
        keys, values = self._alphabets()
        size_BN = 1 + draws.integers(count, self.key_motif)
        training = jnp.asarray(split_index(split)) == 0
        return Events(
            key_size_BN=jnp.where(training, size_BN, self.key_motif),
            value_size_BN=1 + draws.integers(count, self.value_motif),
            key_BNJ=motifs.sampled(draws, count, keys, self.key_motif),
            value_BNJ=keys + motifs.sampled(draws, count, values, self.value_motif),
        )

    def _laid(
        self, events: Events, limit_B1: jax.Array, split: Split | jax.Array
    ) -> Batch:
        """The pairs before the limit and the probe, end to end, padded in front."""
        start_BN, shown_BN = _starts(events, limit_B1)
        width_BN = events.width_BN[:, 1:]
        end_B1 = jnp.sum(jnp.where(shown_BN, width_BN, 0), axis=1, keepdims=True)
        front_B1 = self.length + 1 - end_B1 - events.width_BN[:, :1]
        # The probe is the first event, but is placed after all others.
        start_BN = front_B1 + jnp.concatenate([end_B1, start_BN], axis=1)
        shown_BN = jnp.pad(shown_BN, ((0, 0), (1, 0)), constant_values=True)
        earlier_BNN = start_BN[:, None, :] < start_BN[:, :, None]
        before_BNN = _same(events) & earlier_BNN & shown_BN[:, None, :]
        source_BN = jnp.max(jnp.where(before_BNN, start_BN[:, None, :], -1), axis=2)
        gap_BN = jnp.where(source_BN >= 0, start_BN - source_BN - 1, -1)

        outside = self.length + 1
        tokens, gaps = [], []
        for j in range(self.key_motif):
            at_BN = jnp.where(
                shown_BN & (j < events.key_size_BN), start_BN + j, outside
            )
            tokens.append((at_BN, events.key_BNJ[:, :, j]))
        for j in range(self.value_motif):
            at_BN = start_BN + events.key_size_BN + j
            at_BN = jnp.where(shown_BN & (j < events.value_size_BN), at_BN, outside)
            tokens.append((at_BN, events.value_BNJ[:, :, j]))
            asks_BN = jnp.where(at_BN < outside, at_BN - 1, outside)
            gaps.append((asks_BN, gap_BN + 1))
        shape = (start_BN.shape[0], self.length + 1)
        at_1T = jnp.arange(self.length + 1)[None]
        tokens_BT = jnp.where(
            at_1T < front_B1, self.vocabulary - 1, write(shape, tokens)
        )
        return shifted(tokens_BT, write(shape, gaps) - 1, split, self.next_token)


def _same(events: Events) -> jax.Array:
    """same_BNN: whether two events have one key."""
    size_BN = events.key_size_BN
    same_BNN = size_BN[:, :, None] == size_BN[:, None, :]
    for j in range(events.key_BNJ.shape[2]):
        token_BN = jnp.where(j < size_BN, events.key_BNJ[:, :, j], -1)
        same_BNN &= token_BN[:, :, None] == token_BN[:, None, :]
    return same_BNN


def _bound(events: Events) -> Events:
    """The events, each with the value of the first event with its key."""
    first_BN = jnp.argmax(_same(events), axis=2)
    return events._replace(
        value_BNJ=jnp.take_along_axis(events.value_BNJ, first_BN[..., None], axis=1),
        value_size_BN=jnp.take_along_axis(events.value_size_BN, first_BN, axis=1),
    )


def _starts(events: Events, limit_B1: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Where the events after the probe start, and which start before the limit."""
    width_BN = events.width_BN[:, 1:]
    start_BN = jnp.cumsum(width_BN, axis=1) - width_BN
    return start_BN, start_BN < limit_B1
