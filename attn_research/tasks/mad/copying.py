"""Selective copying among blanks."""

import jax
import jax.numpy as jnp

from attn_research.options import BadInput, declared, option
from attn_research.tasks.contract import LARGEST, Batch, Draws, Spec, Split, no_arrays
from attn_research.tasks.mad.tokens import token_spec
from attn_research.tasks.parts import overlap
from attn_research.tasks.parts.placement import asked


@declared
class MadSelectiveCopying:
    """Symbols among blanks, a sign, then a blank for each symbol, in order.

    Published variants: vocabulary 32, 64, 128; length 512, 1024; 32, 64 and 96 symbols
    to copy; 6,400, 3,200, 1,600 and 800 examples. The last two tokens of the vocabulary
    are the blank and the sign. Each blank precedes a random symbol, so that the last
    symbol is always next to the sign. Training asks only for the copies.
    """

    length: int = option(256, "Tokens in a sequence.", low=4, high=LARGEST)
    count: int = option(16, "Symbols to copy.", low=1, high=LARGEST)
    vocabulary: int = option(
        16, "Number of tokens: symbols, blank, sign.", low=4, high=LARGEST
    )

    def __post_init__(self) -> None:
        if 2 * self.count + 1 >= self.length:
            raise BadInput(
                f"mad_selective_copying.length is {self.length}; for {self.count} "
                f"symbols it must be at least {2 * self.count + 2}"
            )

    @property
    def spec(self) -> Spec:
        symbols = self.vocabulary - 2
        return token_spec(self.vocabulary, self.length, self.count, symbols)

    arrays, notes = no_arrays, overlap.notes

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
