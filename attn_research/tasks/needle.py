"""A needle in a haystack: one sentence hidden in long text, queried at the end."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.options import BadInput, declared, option
from attn_research.tasks.contract import (
    LARGEST,
    Batch,
    Draws,
    Spec,
    Split,
    check_arrays,
    split_index,
)
from attn_research.tasks.parts import overlap, sets
from attn_research.tasks.parts.texts import ENDS
from attn_research.tasks.text import Text

ASKS, SAYS, STOPS = b"The magic number of ", b" is ", b". "
LETTERS = 5  # of a key
NOISE = (
    b"The grass is green. The sky is blue. The sun is yellow. Here we go. There and "
    b"back again. "
)


@declared
class Needle:
    """Bytes of text with facts between its words; the end queries one of them.

    A fact is "The magic number of qzfka is 4821736. " with a random key and number; the
    end asks "The magic number of qzfka is ", and the model answers digit by digit, each
    digit seeing those before it. `gap` is the distance to the same digit in the fact.
    Kamradt's test in the form of Hsieh et al., 2024, arXiv:2404.06654, over bytes.
    Text and splits are those of the task `text`.
    """

    length: int = option(1024, "Bytes in a sequence.", low=1, high=LARGEST)
    filler: str = option(
        "stdlib",
        "Text around the facts: a file, a directory, stdlib, or noise (five repeated "
        "sentences).",
    )
    depth: float | None = option(
        None,
        "Position of the fact in the text, from 0 (start) to 1 (end); none: anywhere.",
        low=0,
        high=1,
    )
    distractors: int = option(
        0, "Facts with other keys, anywhere.", low=0, high=LARGEST
    )
    digits: int = option(7, "Digits per number.", low=1, high=LARGEST)

    def __post_init__(self) -> None:
        if self._words() < 1:
            raise BadInput(
                f"needle.length is {self.length}; with {1 + self.distractors} facts "
                f"and the question it must be at least "
                f"{self.length - self._words() + 1}"
            )

    def _question(self) -> int:
        return len(ASKS) + LETTERS + len(SAYS)

    def _words(self) -> int:
        """The number of bytes left for text."""
        fact = self._question() + self.digits + len(STOPS)
        end = 1 + self._question() + self.digits - 1
        return self.length - end - (1 + self.distractors) * fact

    @property
    def spec(self) -> Spec:
        return Spec(
            inputs="tokens",
            features=256,
            target="token",
            outputs=256,
            length=self.length,
            causal=True,
            whole=True,
            labels=self.digits,
            metrics=("accuracy", "loss"),
            chance=1 / 10,
        )

    notes = overlap.notes

    def arrays(self) -> dict[str, Any]:
        """The text of the splits, in the form of `Text.arrays`."""
        if self.filler != "noise":
            return Text(path=self.filler, length=self.length).arrays()
        noise = np.frombuffer(NOISE * (2 + self.length // len(NOISE)), np.uint8)
        return {"text": sets.stretches([noise] * 3)}

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: Any = ()
    ) -> Batch:
        check_arrays(arrays)
        facts, words = 1 + self.distractors, self._words()
        draws = Draws(key, split, size, 1 + facts * (3 + self.digits))
        key_BF = draws.distinct(facts, 26**LETTERS)
        digit_BN = ord("0") + draws.integers(facts * self.digits, 10)
        digit_BFN = digit_BN.reshape(size, facts, self.digits)
        at_BF = draws.integers(facts, words + 1)
        if self.depth is not None:
            at_BF = at_BF.at[:, 0].set(round(self.depth * words))
        byte_L, edges_4 = arrays["text"]
        at = split_index(split)
        starts = edges_4[at + 1] - edges_4[at] - words + 1
        from_B1 = edges_4[at] + draws.integers(1, starts)
        text_BW = byte_L[from_B1 + jnp.arange(words)[None]].astype(jnp.int32)
        text_BW = jnp.where(text_BW == ENDS, ord("\n"), text_BW)

        ask_BFL = _sentence(key_BF, ASKS, SAYS)
        stop_BFL = jnp.broadcast_to(_bytes(STOPS), (size, facts, len(STOPS)))
        fact_BFL = jnp.concatenate([ask_BFL, digit_BFN, stop_BFL], axis=2)
        start_BF = _starts(text_BW, at_BF, fact_BFL.shape[2])
        body_BT = _woven(text_BW, fact_BFL, start_BF)
        line_B1 = jnp.full((size, 1), ord("\n"))
        end = [line_B1, ask_BFL[:, 0], digit_BFN[:, 0, :-1]]
        return answered_digits(
            jnp.concatenate([body_BT, *end], axis=1),
            digit_BFN[:, 0],
            start_BF[:, :1] + self._question(),
        )


def answered_digits(
    inputs_BT: jax.Array, digit_BN: jax.Array, from_B1: jax.Array
) -> Batch:
    """The batch whose last N positions answer with the digits shown at `from`."""
    (size, length), count = inputs_BT.shape, digit_BN.shape[1]
    before = ((0, 0), (length - count, 0))
    gap_BN = jnp.broadcast_to(length - count - from_B1, digit_BN.shape)
    return Batch(
        inputs=inputs_BT,
        targets=jnp.pad(digit_BN, before),
        weights=jnp.pad(jnp.ones((size, count)), before),
        segments=jnp.ones((size, length), jnp.int32),
        gap=jnp.pad(gap_BN, before, constant_values=-1),
    )


def _bytes(text: bytes) -> jax.Array:
    return jnp.asarray(np.frombuffer(text, np.uint8).astype(np.int32))


def _sentence(key_BF: jax.Array, before: bytes, after: bytes) -> jax.Array:
    """Each key in letters between two texts, BFL."""
    power_L = 26 ** jnp.arange(LETTERS)[None, None]
    letter_BFL = ord("a") + key_BF[:, :, None] // power_L % 26
    shape = key_BF.shape
    texts = [jnp.broadcast_to(_bytes(t), (*shape, len(t))) for t in (before, after)]
    return jnp.concatenate([texts[0], letter_BFL, texts[1]], axis=2)


def _starts(text_BW: jax.Array, at_BF: jax.Array, extent: int) -> jax.Array:
    """start_BF of facts inserted into the text, each before the word at `at`.

    A fact is shifted by the extents of those before it, in the order of `at`.
    """
    blank_BW = (text_BW == ord(" ")) | (text_BW == ord("\n"))
    after_1W = jnp.arange(1, text_BW.shape[1] + 1)[None]
    word_BW = jax.lax.cummax(jnp.where(blank_BW, after_1W, 0), axis=1)
    word_BW = jnp.pad(word_BW, ((0, 0), (1, 0)))  # the start is a word's start too
    place_BF = jnp.take_along_axis(word_BW, at_BF, axis=1)
    order_1F = jnp.arange(at_BF.shape[1])[None]
    earlier_BFF = at_BF[:, None] < at_BF[:, :, None]
    tied_BFF = at_BF[:, None] == at_BF[:, :, None]
    earlier_BFF |= tied_BFF & (order_1F[:, None] < order_1F[:, :, None])
    return place_BF + extent * jnp.sum(earlier_BFF.astype(jnp.int32), axis=2)


def _woven(text_BW: jax.Array, fact_BFL: jax.Array, start_BF: jax.Array) -> jax.Array:
    """The text with its facts, BT."""
    size, facts, extent = fact_BFL.shape
    rows_B1 = jnp.arange(size)[:, None]
    place_BL = start_BF[:, :, None] + jnp.arange(extent)[None, None]
    place_BL = place_BL.reshape(size, -1)
    body_BT = jnp.full((size, text_BW.shape[1] + facts * extent), -1)
    body_BT = body_BT.at[rows_B1, place_BL].set(fact_BFL.reshape(size, -1))
    free_BT = body_BT < 0
    word_BT = jnp.cumsum(free_BT, axis=1) - 1
    return jnp.where(free_BT, jnp.take_along_axis(text_BW, word_BT, axis=1), body_BT)
