"""Induction: complete the second occurrence of a bigram."""

import jax
import jax.numpy as jnp

from attn_research.options import BadInput, declared, option
from attn_research.tasks.contract import LARGEST, Batch, Draws, Spec, Split, no_arrays
from attn_research.tasks.parts import overlap
from attn_research.tasks.parts.placement import (
    asked,
    bounds,
    check_room,
    grouped,
    scattered,
)


@declared
class Induction:
    """Random tokens in which some bigrams `A B` occur twice; the second A asks for B.

    An induction head does this: it finds the earlier occurrence of the current token
    and copies its successor (Olsson et al., 2022, arXiv:2209.11895). A trigger A occurs
    only in its two bigrams; B and all tokens between are non-triggers. Triggers change
    from sequence to sequence. `gap` is the distance from the second A back to the first
    B.
    """

    length: int = option(64, "Tokens in a sequence.", low=4, high=LARGEST)
    triggers: int = option(4, "Bigrams that occur twice.", low=1, high=LARGEST)
    gap: str = option(
        "any",
        "Distance from the second A to the first B: any (bigrams anywhere), N (exact), "
        "or LOW..HIGH (one distance per sequence, uniform).",
    )
    vocabulary: int = option(64, "Number of tokens.", low=2, high=LARGEST)

    def __post_init__(self) -> None:
        if self.triggers >= self.vocabulary:
            raise BadInput(
                f"induction.triggers is {self.triggers}; with {self.vocabulary} tokens "
                f"it must be at most {self.vocabulary - 1}"
            )
        if self.gap != "any":
            check_room(*self._range(), self.triggers, self.length, query=2)
        elif 4 * self.triggers > self.length:
            raise BadInput(
                f"induction.triggers is {self.triggers}; at length {self.length} it "
                f"must be at most {self.length // 4}"
            )

    def _range(self) -> tuple[int, int]:
        """The lowest and highest exact gap."""
        return bounds(self.gap, "induction.gap", "any, N or LOW..HIGH")

    @property
    def spec(self) -> Spec:
        return Spec(
            inputs="tokens",
            features=self.vocabulary,
            target="token",
            outputs=self.vocabulary,
            length=self.length,
            causal=True,
            whole=True,
            labels=self.triggers,
            metrics=("accuracy", "loss"),
            chance=1 / self.vocabulary,
        )

    arrays, notes = no_arrays, overlap.notes

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: object = ()
    ) -> Batch:
        n = self.triggers
        draws = Draws(key, split, size, 6 * n + self.length)
        trigger_BN = draws.distinct(n, self.vocabulary)
        other_BT = draws.integers(self.length, self.vocabulary - n)
        # The other tokens, from their ranks among the non-triggers.
        sorted_BN = jnp.sort(trigger_BN, axis=1)
        for i in range(n):
            over_BT = other_BT >= sorted_BN[:, i : i + 1]
            other_BT = jnp.where(over_BT, other_BT + 1, other_BT)
        first_BN, again_BN = self._places(draws, size)
        follower_BN = jnp.take_along_axis(other_BT, first_BN + 1, axis=1)
        rows_B1 = jnp.arange(size)[:, None]
        inputs_BT = other_BT.at[rows_B1, first_BN].set(trigger_BN)
        inputs_BT = inputs_BT.at[rows_B1, again_BN].set(trigger_BN)
        inputs_BT = inputs_BT.at[rows_B1, again_BN + 1].set(follower_BN)
        return asked(inputs_BT, again_BN, follower_BN, again_BN - first_BN - 1)

    def _places(self, draws: Draws, size: int) -> tuple[jax.Array, jax.Array]:
        """The starts of the first and the second bigram of each trigger."""
        n = self.triggers
        if self.gap != "any":
            return grouped(draws, *self._range(), n, self.length, query=2)
        start_BE = scattered(draws, jnp.full((size, 2 * n), 2), self.length)
        place_B2N = jnp.sort(draws.order(2 * n).reshape(size, 2, n), axis=1)
        first_BN, again_BN = (
            jnp.take_along_axis(start_BE, place_B2N[:, i], axis=1) for i in (0, 1)
        )
        return first_BN, again_BN
