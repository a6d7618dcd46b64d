"""Copying tasks: repeat symbols after a lag, or pick them out of blanks and repeat.

Tokens: 0 blank, 1 the sign that asks for an answer, then the symbols.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from attn_research.options import BadInput, option
from attn_research.tasks.contract import Batch, Draws, Spec, Split

BLANK, GO, SIGNS = 0, 1, 2


def _spec(symbols: int, length: int, count: int) -> Spec:
    return Spec(
        inputs="tokens",
        features=symbols + SIGNS,
        target="token",
        outputs=symbols + SIGNS,
        length=length,
        causal=True,
        labels=count,
        metrics=("accuracy", "loss"),
        chance=1 / symbols,
    )


def _answered(inputs_BT, symbol_BN, from_BN) -> Batch:
    """The batch whose last N positions answer with the symbols seen at `from_BN`."""
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


@dataclass(frozen=True)
class Copying:
    """Symbols, a lag of blanks, then the symbols again.

    Every answer lies `lag` + `count` tokens after its symbol (Hochreiter &
    Schmidhuber, 1997; Arjovsky et al., 2016, arXiv:1511.06464).
    """

    lag: int = option(32, "Positions from the last symbol to the first answer.", low=1)
    count: int = option(10, "Symbols to copy.", low=1)
    symbols: int = option(8, "Number of different symbols.", low=2)

    @property
    def spec(self) -> Spec:
        return _spec(self.symbols, self.lag + 2 * self.count, self.count)

    def arrays(self) -> tuple[()]:
        return ()

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: object = ()
    ) -> Batch:
        draws = Draws(key, split, size, self.count)
        symbol_BN = SIGNS + draws.integers(self.count, self.symbols)
        inputs_BT = jnp.zeros((size, self.spec.length), jnp.int32)
        inputs_BT = inputs_BT.at[:, : self.count].set(symbol_BN)
        inputs_BT = inputs_BT.at[:, self.count + self.lag - 1].set(GO)
        from_1N = jnp.arange(self.count)[None]
        return _answered(inputs_BT, symbol_BN, from_1N)


@dataclass(frozen=True)
class SelectiveCopying:
    """Symbols scattered among blanks, then all of them in order.

    What to keep depends on content, so no fixed kernel solves it (Gu & Dao, 2023,
    arXiv:2312.00752).
    """

    length: int = option(64, "Tokens in a sequence, answers included.", low=4)
    count: int = option(8, "Symbols to copy.", low=1)
    symbols: int = option(16, "Number of different symbols.", low=2)

    def __post_init__(self) -> None:
        if 2 * self.count > self.length:
            raise BadInput(
                f"selective_copying of length {self.length} has room for "
                f"{self.length // 2} symbols and their answers; {self.count} are asked"
            )

    @property
    def spec(self) -> Spec:
        return _spec(self.symbols, self.length, self.count)

    def arrays(self) -> tuple[()]:
        return ()

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: object = ()
    ) -> Batch:
        draws = Draws(key, split, size, self.length)
        symbol_BN = SIGNS + draws.integers(self.count, self.symbols)
        place_BS = draws.order(self.length - self.count)
        from_BN = jnp.sort(place_BS[:, : self.count], axis=1)
        rows_B1 = jnp.arange(size)[:, None]
        inputs_BT = jnp.zeros((size, self.length), jnp.int32)
        inputs_BT = inputs_BT.at[:, self.length - self.count :].set(GO)
        inputs_BT = inputs_BT.at[rows_B1, from_BN].set(symbol_BN)
        return _answered(inputs_BT, symbol_BN, from_BN)
