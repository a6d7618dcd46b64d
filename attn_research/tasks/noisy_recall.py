"""Recall among noise: tokens that mean nothing stand where recall has blanks."""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp

from attn_research.options import option
from attn_research.tasks.contract import Batch, Draws, Spec, Split
from attn_research.tasks.recall import Recall


@dataclass(frozen=True)
class NoisyRecall:
    """`recall` with tokens of a vocabulary of their own between pairs and queries.

    What to keep is told by the token alone: noise is never part of a pair (Poli et al.,
    2024, arXiv:2403.17844). `gap` is the distance from a query back to its value.
    """

    length: int = option(64, "Tokens in a sequence.", low=4)
    pairs: int = option(8, "Pairs bound and queried in a sequence.", low=1)
    noise: float = option(
        0.5, "Probability of noise where a blank would be.", low=0, high=1
    )
    noise_vocabulary: int = option(16, "Number of noise tokens.", low=1)
    gap: str = option(
        "any",
        "Distance from query to value: any (pairs and queries anywhere), N (exact), or "
        "LOW..HIGH (one distance per sequence, uniform).",
    )
    vocabulary: int = option(
        128, "Number of tokens without noise: blank, keys, values.", low=4
    )
    overwrites: int = option(
        0, "Pairs bound to another value first; the last binding counts.", low=0
    )

    def __post_init__(self) -> None:
        self._quiet()

    def _quiet(self) -> Recall:
        """The task without noise; raises `BadInput` where it does not fit."""
        return Recall(
            self.length, self.pairs, self.gap, self.vocabulary, self.overwrites
        )

    @property
    def spec(self) -> Spec:
        tokens = self.vocabulary + self.noise_vocabulary
        return replace(self._quiet().spec, features=tokens, outputs=tokens)

    def arrays(self) -> tuple[()]:
        return ()

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: object = ()
    ) -> Batch:
        quiet = self._quiet()
        draws = Draws(key, split, size, quiet.columns + 2 * self.length)
        batch = quiet.drawn(draws)
        noisy_BT = draws.uniform(self.length) < self.noise
        noise_BT = self.vocabulary + draws.integers(self.length, self.noise_vocabulary)
        inputs_BT = jnp.where((batch.inputs == 0) & noisy_BT, noise_BT, batch.inputs)
        return batch._replace(inputs=inputs_BT)
