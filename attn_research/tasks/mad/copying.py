"""Selective copying among blanks."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from attn_research.options import BadInput, option
from attn_research.tasks.contract import Batch, Draws, Spec, Split
from attn_research.tasks.mad.tokens import token_spec
from attn_research.tasks.placement import asked


@dataclass(frozen=True)
class MadSelectiveCopying:
    """Symbols among blanks, a sign, then a blank for each symbol, in order.

    Published variants: vocabulary 32, 64, 128; length 512, 1024; 32, 64 and 96 symbols
    to copy; 6,400, 3,200, 1,600 and 800 examples. The last two tokens of the vocabulary
    are the blank and the sign. Each blank stands before a symbol drawn for it, so that
    the last symbol is always next to the sign. Training asks for the copies alone.
    """

    length: int = option(256, "Tokens in a sequence.", low=4)
    count: int = option(16, "Symbols to copy.", low=1)
    vocabulary: int = option(16, "Number of tokens: symbols, blank, sign.", low=4)

    def __post_init__(self) -> None:
        if 2 * self.count + 1 >= self.length:
            raise BadInput(
                f"mad_selective_copying of {self.count} symbols needs a length of at "
                f"least {2 * self.count + 2}; it is {self.length}"
            )

    @property
    def spec(self) -> Spec:
        symbols = self.vocabulary - 2
        return token_spec(self.vocabulary, self.length, self.count, symbols)

    def arrays(self) -> tuple[()]:
        return ()

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: object = ()
    ) -> Batch:
        n, symbols = self.count, self.vocabulary - 2
        blank, sign = symbols, symbols + 1
        blanks = self.length - 2 * n - 1
        draws = Draws(key, split, size, n + blanks)
        symbol_BN = draws.integers(n, symbols)
        before_BU = draws.integers(blanks, n)
        index_1N = jnp.arange(n)[None]
        from_BN = index_1N + jnp.sum(
            before_BU[:, :, None] <= index_1N[:, None], axis=1, dtype=jnp.int32
        )
        rows_B1 = jnp.arange(size)[:, None]
        inputs_BT = jnp.full((size, self.length), blank, jnp.int32)
        inputs_BT = inputs_BT.at[:, n + blanks].set(sign)
        inputs_BT = inputs_BT.at[rows_B1, from_BN].set(symbol_BN)
        answer_BN = jnp.broadcast_to(index_1N + n + blanks + 1, (size, n))
        return asked(inputs_BT, answer_BN, symbol_BN, answer_BN - from_BN)
