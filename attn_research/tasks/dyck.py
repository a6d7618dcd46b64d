"""Dyck languages of bounded depth: which bracket closes next.

Train short, test long (see `lengths`).
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from attn_research.options import option
from attn_research.tasks import lengths
from attn_research.tasks.contract import Batch, Draws, Spec, Split
from attn_research.tasks.lengths import Answers
from attn_research.tasks.state_tracking import running_spec


@dataclass(frozen=True)
class Dyck:
    """Brackets of several kinds, nested; the kind that a closing one would have.

    Rows are beginnings of words of the language: at depth 0 a bracket opens, at the
    greatest depth one closes, between them either is as likely. A position is asked
    where a bracket is open; rows have an odd number of tokens, so that at the last one
    it is. `gap` is the distance to the innermost open bracket, whose kind is the
    answer. Hewitt et al., 2020, arXiv:2010.07515. Tokens: 0 padding, then opening and
    closing brackets by kind.
    """

    length: int = option(40, "Tokens in a training sequence, at most.", low=1)
    test_length: int = option(320, "Tokens in a test sequence, at most.", low=1)
    kinds: int = option(2, "Kinds of brackets.", low=2)
    depth: int = option(8, "Brackets open at once, at most.", low=1)
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

    def arrays(self) -> tuple[()]:
        return ()

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: object = ()
    ) -> Batch:
        length = lengths.room(split, self.length, self.test_length)
        draws = Draws(key, split, size, 1 + 2 * length)
        half_B1 = lengths.drawn(
            draws, split, (self.length + 1) // 2, (self.test_length + 1) // 2
        )
        # A free random walk, folded, is one between two walls.
        walk_BT = jnp.cumsum(2 * draws.integers(length, 2) - 1, axis=1)
        depth_BT = self.depth - jnp.abs(walk_BT % (2 * self.depth) - self.depth)
        before_BT = jnp.pad(depth_BT, ((0, 0), (1, 0)))[:, :-1]
        opens_BT = depth_BT > before_BT
        kind_BT = draws.integers(length, self.kinds)
        # The innermost bracket at a depth is the last one that opened to it.
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
