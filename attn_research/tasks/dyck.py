"""Dyck languages of bounded depth: the kind of the next closing bracket.

Train short, test long (see `lengths`).
"""

import jax
import jax.numpy as jnp

from attn_research.options import declared, option
from attn_research.tasks.contract import LARGEST, Batch, Draws, Spec, Split, no_arrays
from attn_research.tasks.parts import lengths, overlap
from attn_research.tasks.parts.lengths import Answers
from attn_research.tasks.state_tracking import running_spec


@declared
class Dyck:
    """Nested brackets of several kinds; the kind that a closing one must have.

    Rows are prefixes of words of the language: at depth 0 a bracket opens, at the
    maximum depth one closes, otherwise both are equally likely. A position answers if a
    bracket is open; rows have an odd number of tokens, so that the last one does. `gap`
    is the distance to the innermost open bracket, whose kind is the answer. Hewitt et
    al., 2020, arXiv:2010.07515. Tokens: 0 padding, then opening and closing brackets by
    kind.
    """

    length: int = option(
        40, "Tokens in a training sequence, at most.", low=1, high=LARGEST
    )
    test_length: int = option(
        320, "Tokens in a test sequence, at most.", low=1, high=LARGEST
    )
    kinds: int = option(2, "Kinds of brackets.", low=2, high=LARGEST)
    depth: int = option(8, "Brackets open at once, at most.", low=1, high=LARGEST)
    answers: Answers = option("every", "Positions that answer.")

    def __post_init__(self) -> None:
        lengths.check("dyck", self.length, self.test_length)

    @property
    def spec(self) -> Spec:
        return running_spec(
            length=self.test_length,
            answers=self.answers,
            symbols=2 * self.kinds,
            states=self.kinds,
            chance=1 / self.kinds,
        )

    arrays, notes = no_arrays, overlap.notes

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: object = ()
    ) -> Batch:
        length = lengths.room(split, self.length, self.test_length)
        draws = Draws(key, split, size, 1 + 2 * length)
        half_B1 = lengths.sampled(
            draws, split, (self.length + 1) // 2, (self.test_length + 1) // 2
        )
        # A folded free random walk is a walk between two reflecting walls.
        walk_BT = jnp.cumsum(2 * draws.integers(length, 2) - 1, axis=1)
        depth_BT = self.depth - jnp.abs(walk_BT % (2 * self.depth) - self.depth)
        before_BT = jnp.pad(depth_BT, ((0, 0), (1, 0)))[:, :-1]
        opens_BT = depth_BT > before_BT
        kind_BT = draws.integers(length, self.kinds)
        # The innermost bracket at a depth is the last one that opened it.
        at_11T = jnp.arange(length)[None, None]
        levels_1D1 = jnp.arange(self.depth + 1)[None, :, None]
        opened_BDT = opens_BT[:, None] & (depth_BT[:, None] == levels_1D1)
        opened_BDT = jax.lax.cummax(jnp.where(opened_BDT, at_11T, 0), axis=2)

        def innermost(level_BT: jax.Array) -> jax.Array:
            return jnp.take_along_axis(opened_BDT, level_BT[:, None], axis=1)[:, 0]

        def kind(place_BT: jax.Array) -> jax.Array:
            return jnp.take_along_axis(kind_BT, place_BT, axis=1)

        open_BT = innermost(depth_BT)
        closing_BT = self.kinds + kind(innermost(before_BT))
        size_B1 = 2 * half_B1 - 1
        return lengths.rows(
            1 + jnp.where(opens_BT, kind_BT, closing_BT),
            kind(open_BT),
            lengths.asked(self.answers, size_B1, length) & (depth_BT > 0),
            at_11T[0] - open_BT,
            size_B1,
        )
