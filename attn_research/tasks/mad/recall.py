"""In-context recall, and recall among noise: pairs end to end."""

import jax
import jax.numpy as jnp

from attn_research.options import BadInput, declared, option
from attn_research.tasks.contract import LARGEST, Batch, Draws, Spec, Split, no_arrays
from attn_research.tasks.mad.tokens import NEXT_TOKEN, shifted, token_spec
from attn_research.tasks.parts import overlap
from attn_research.tasks.text import repeat_distance


def _halves(task: str, tokens: int) -> tuple[int, int]:
    """The number of keys and of values among tokens."""
    if tokens < 2:
        raise BadInput(
            f"{task} has {tokens} tokens for keys and values; it must be at least 2"
        )
    return tokens // 2, tokens - tokens // 2


def _even(task: str, length: int) -> None:
    if length % 2:
        raise BadInput(
            f"{task}.length is {length}; it must be even, for pairs of tokens"
        )


def _pairs(
    draws: Draws, slots: int, keys: int, values: int, noise: float, noise_tokens: int
) -> tuple[jax.Array, jax.Array]:
    """The tokens of all slots, and the gap of each answer.

    A slot is a pair or two tokens of noise. A key has one value throughout a sequence;
    keys may share values. The last slot asks for an earlier key, uniformly.
    """
    size, last = draws.rows, slots - 1
    key_BS = draws.integers(last, keys)
    value_BK = draws.integers(keys, values)
    # At least one slot is a pair, so that there is a key to ask for.
    pair_BS = draws.integers(1, last) == jnp.arange(last)[None]
    pair_BS |= draws.uniform(last) >= noise
    noise_BT = keys + values + draws.integers(2 * last, noise_tokens)
    is_BSK = key_BS[:, :, None] == jnp.arange(keys)[None, None]
    shown_BK = jnp.any(is_BSK & pair_BS[:, :, None], axis=1)
    score_BK = jnp.where(shown_BK, 1 + (draws.bits(keys) >> 1), 0)
    asked_B1 = jnp.argmax(score_BK, axis=1, keepdims=True).astype(jnp.int32)

    key_BS = jnp.concatenate([key_BS, asked_B1], axis=1)
    pair_BS = jnp.pad(pair_BS, ((0, 0), (0, 1)), constant_values=True)
    noise_BS2 = jnp.pad(noise_BT, ((0, 0), (0, 2))).reshape(size, slots, 2)
    value_BS = keys + jnp.take_along_axis(value_BK, key_BS, axis=1)
    slot_BS2 = jnp.where(
        pair_BS[:, :, None], jnp.stack([key_BS, value_BS], axis=2), noise_BS2
    )
    # Slots of noise never repeat each other.
    name_BS = jnp.where(pair_BS, key_BS, keys + jnp.arange(slots)[None])
    back_BS = repeat_distance(name_BS, order=1)
    gap_BS = jnp.where(back_BS > 0, 2 * back_BS - 1, -1)
    gap_BS2 = jnp.stack([gap_BS, jnp.full_like(gap_BS, -1)], axis=2)
    return slot_BS2.reshape(size, 2 * slots), gap_BS2.reshape(size, 2 * slots)


def _columns(slots: int, keys: int) -> int:
    return 4 * slots + 2 * keys + 1


@declared
class MadRecall:
    """Key, value, key, value; a key shown before asks for its value.

    Published variants: vocabulary 32, 64, 128; length 256, 512, 1024; 6,400, 3,200,
    1,600 and 800 examples. The keys are the first half of the vocabulary. A model sees
    all but the last token. `gap` is the distance from a key back to the last occurrence
    of its value.
    """

    length: int = option(
        128, "Tokens in a sequence, including the last answer.", low=4, high=LARGEST
    )
    vocabulary: int = option(16, "Number of tokens: keys, values.", low=2, high=LARGEST)
    next_token: bool = option(True, NEXT_TOKEN)

    def __post_init__(self) -> None:
        _even("mad_recall", self.length)

    def _halves(self) -> tuple[int, int]:
        return _halves("mad_recall", self.vocabulary)

    @property
    def spec(self) -> Spec:
        labels = self.length - 1 if self.next_token else self.length // 2 - 1
        return token_spec(self.vocabulary, self.length - 1, labels, self._halves()[1])

    arrays, notes = no_arrays, overlap.notes

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: object = ()
    ) -> Batch:
        slots, (keys, values) = self.length // 2, self._halves()
        draws = Draws(key, split, size, _columns(slots, keys))
        tokens_BT, gap_BT = _pairs(draws, slots, keys, values, 0.0, 1)
        return shifted(tokens_BT, gap_BT, split, self.next_token)


@declared
class MadNoisyRecall:
    """`mad_recall` with some pairs replaced by two tokens of a noise vocabulary.

    Published variants: vocabulary 48, 80, 144 (16 of them noise); length 256, 512,
    1024; noise 0.4, 0.6, 0.8; 6,400, 3,200, 1,600 and 800 examples.
    """

    length: int = option(
        128, "Tokens in a sequence, including the last answer.", low=4, high=LARGEST
    )
    vocabulary: int = option(
        32, "Number of tokens: keys, values, noise.", low=3, high=LARGEST
    )
    noise: float = option(
        0.2, "Probability that a pair is replaced by noise.", low=0, below=1
    )
    noise_vocabulary: int = option(
        16, "Tokens of the vocabulary that are noise.", low=1, high=LARGEST
    )
    next_token: bool = option(True, NEXT_TOKEN)

    def __post_init__(self) -> None:
        _even("mad_noisy_recall", self.length)
        self._halves()

    def _halves(self) -> tuple[int, int]:
        return _halves("mad_noisy_recall", self.vocabulary - self.noise_vocabulary)

    @property
    def spec(self) -> Spec:
        labels = self.length - 1 if self.next_token else self.length // 2 - 1
        return token_spec(self.vocabulary, self.length - 1, labels, self._halves()[1])

    arrays, notes = no_arrays, overlap.notes

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: object = ()
    ) -> Batch:
        slots, (keys, values) = self.length // 2, self._halves()
        draws = Draws(key, split, size, _columns(slots, keys))
        tokens_BT, gap_BT = _pairs(
            draws, slots, keys, values, self.noise, self.noise_vocabulary
        )
        return shifted(tokens_BT, gap_BT, split, self.next_token)
