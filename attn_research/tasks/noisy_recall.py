"""Recall among noise: meaningless tokens in place of the blanks of recall."""

from dataclasses import replace

import jax
import jax.numpy as jnp

from attn_research.options import declared, option
from attn_research.tasks.contract import LARGEST, Batch, Draws, Spec, Split, no_arrays
from attn_research.tasks.parts import overlap
from attn_research.tasks.recall import Recall


@declared
class NoisyRecall:
    """`recall` with tokens of a separate noise vocabulary between pairs and queries.

    The token alone says what to keep: noise is never part of a pair (Poli et al., 2024,
    arXiv:2403.17844). `gap` is the distance from a query back to its value.
    """

    length: int = option(64, "Tokens in a sequence.", low=4, high=LARGEST)
    pairs: int = option(
        8, "Pairs per sequence, each queried once.", low=1, high=LARGEST
    )
    noise: float = option(
        0.5, "Probability of noise in place of a blank.", low=0, high=1
    )
    noise_vocabulary: int = option(16, "Number of noise tokens.", low=1, high=LARGEST)
    gap: str = option(
        "any",
        "Distance from query to value: any (pairs and queries anywhere), N (exact), or "
        "LOW..HIGH (one distance per sequence, uniform).",
    )
    vocabulary: int = option(
        128, "Number of tokens without noise: blank, keys, values.", low=4, high=LARGEST
    )
    overwrites: int = option(
        0,
        "Pairs first bound to another value; the last binding counts.",
        low=0,
        high=LARGEST,
    )

    def __post_init__(self) -> None:
        self._quiet()

    def _quiet(self) -> Recall:
        """The task without noise; raises `BadInput` if it does not fit."""
        return Recall(
            self.length, self.pairs, self.gap, self.vocabulary, self.overwrites
        )

    @property
    def spec(self) -> Spec:
        tokens = self.vocabulary + self.noise_vocabulary
        return replace(self._quiet().spec, features=tokens, outputs=tokens)

    arrays, notes = no_arrays, overlap.notes

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: object = ()
    ) -> Batch:
        quiet = self._quiet()
        draws = Draws(key, split, size, quiet.columns + 2 * self.length)
        batch = quiet.sampled(draws)
        noisy_BT = draws.uniform(self.length) < self.noise
        noise_BT = self.vocabulary + draws.integers(self.length, self.noise_vocabulary)
        inputs_BT = jnp.where((batch.inputs == 0) & noisy_BT, noise_BT, batch.inputs)
        return batch._replace(inputs=inputs_BT)
