"""Copying tasks: repeat symbols after a lag, or the symbols among blanks.

Tokens: 0 blank, 1 the query sign, then the symbols.
"""

import math

import jax
import jax.numpy as jnp

from attn_research.options import BadInput, declared, option
from attn_research.tasks.contract import LARGEST, Batch, Draws, Spec, Split, no_arrays
from attn_research.tasks.parts import overlap

BLANK, GO, SIGNS = 0, 1, 2


def _spec(symbols: int, length: int, count: int) -> Spec:
    return Spec(
        inputs="tokens",
        features=symbols + SIGNS,
        target="token",
        outputs=symbols + SIGNS,
        length=length,
        causal=True,
        whole=True,
        labels=count,
        metrics=("accuracy", "loss"),
        chance=1 / symbols,
    )


def _answered(inputs_BT, symbol_BN, from_BN) -> Batch:
    """The batch whose last N positions answer with the symbols shown at `from_BN`."""
    size, length = inputs_BT.shape
    count = symbol_BN.shape[1]
    before = ((0, 0), (length - count, 0))
    answer_1N = jnp.arange(length - count, length)[None]
    return Batch(
        inputs=inputs_BT,
        targets=jnp.pad(symbol_BN, before),
        weights=jnp.pad(jnp.ones((size, count)), before),
        segments=jnp.ones((size, length), jnp.int32),
        gap=jnp.pad(
            jnp.broadcast_to(answer_1N - from_BN, (size, count)),
            before,
            constant_values=-1,
        ),
    )


@declared
class Copying:
    """Symbols, a lag of blanks, then the symbols again.

    Every answer is `lag` + `count` tokens after its symbol (Hochreiter & Schmidhuber,
    1997; Arjovsky et al., 2016, arXiv:1511.06464).
    """

    lag: int = option(
        32, "Positions from the last symbol to the first answer.", low=1, high=LARGEST
    )
    count: int = option(10, "Symbols to copy.", low=1, high=LARGEST)
    symbols: int = option(8, "Number of different symbols.", low=2, high=LARGEST)

    @property
    def spec(self) -> Spec:
        return _spec(self.symbols, self.lag + 2 * self.count, self.count)

    arrays, notes = no_arrays, overlap.notes

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: object = ()
    ) -> Batch:
        bits = self.count * math.log2(self.symbols)
        return overlap.separated(self._rows, key, split, size, bits)

    def _rows(self, key: jax.Array, split: Split | jax.Array, size: int) -> Batch:
        draws = Draws(key, split, size, self.count)
        symbol_BN = SIGNS + draws.integers(self.count, self.symbols)
        inputs_BT = jnp.zeros((size, self.spec.length), jnp.int32)
        inputs_BT = inputs_BT.at[:, : self.count].set(symbol_BN)
        inputs_BT = inputs_BT.at[:, self.count + self.lag - 1].set(GO)
        from_1N = jnp.arange(self.count)[None]
        return _answered(inputs_BT, symbol_BN, from_1N)


@declared
class SelectiveCopying:
    """Symbols scattered among blanks, then all of them in order.

    What to keep depends on content, so that a fixed kernel cannot solve it (Gu & Dao,
    2023, arXiv:2312.00752).
    """

    length: int = option(
        64, "Tokens in a sequence, including the answers.", low=4, high=LARGEST
    )
    count: int = option(8, "Symbols to copy.", low=1, high=LARGEST)
    symbols: int = option(16, "Number of different symbols.", low=2, high=LARGEST)

    def __post_init__(self) -> None:
        if 2 * self.count > self.length:
            raise BadInput(
                f"selective_copying.count is {self.count}; at length {self.length} it "
                f"must be at most {self.length // 2}"
            )

    @property
    def spec(self) -> Spec:
        return _spec(self.symbols, self.length, self.count)

    arrays, notes = no_arrays, overlap.notes

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: object = ()
    ) -> Batch:
        shown = self.length - self.count
        places = math.lgamma(shown + 1) - math.lgamma(self.count + 1)
        places -= math.lgamma(shown - self.count + 1)
        bits = places / math.log(2) + self.count * math.log2(self.symbols)
        return overlap.separated(self._rows, key, split, size, bits)

    def _rows(self, key: jax.Array, split: Split | jax.Array, size: int) -> Batch:
        draws = Draws(key, split, size, self.length)
        symbol_BN = SIGNS + draws.integers(self.count, self.symbols)
        place_BS = draws.order(self.length - self.count)
        from_BN = jnp.sort(place_BS[:, : self.count], axis=1)
        rows_B1 = jnp.arange(size)[:, None]
        inputs_BT = jnp.zeros((size, self.length), jnp.int32)
        inputs_BT = inputs_BT.at[:, self.length - self.count :].set(GO)
        inputs_BT = inputs_BT.at[rows_B1, from_BN].set(symbol_BN)
        return _answered(inputs_BT, symbol_BN, from_BN)
