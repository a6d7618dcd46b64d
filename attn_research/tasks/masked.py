"""Masked language modelling: bytes that are hidden, from what stands around them."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from attn_research.options import option
from attn_research.tasks.contract import Batch, Draws, Spec, Split
from attn_research.tasks.text import Text

MASK = 256  # The token in place of a hidden byte.


@dataclass(frozen=True)
class MaskedText:
    """Bytes of a file or directory, a share of them hidden, for an encoder.

    Of the positions asked for, four fifths hold the mask, a tenth a random byte, a
    tenth what they held (Devlin et al., 2018, arXiv:1810.04805). Data and splits are
    those of `text`; so is `gap`.
    """

    path: str = option("stdlib", "What is read, as in `text`.")
    length: int = option(256, "Bytes in a sequence.", low=2)
    suffix: str = option("", "Only files ending so are read; stdlib reads .py.")
    hidden: float = option(0.15, "Share of the bytes asked for.", above=0, high=1)

    @property
    def spec(self) -> Spec:
        return Spec(
            inputs="tokens",
            features=257,
            target="token",
            outputs=257,
            length=self.length,
            causal=False,
            labels=self._count(),
            metrics=("accuracy", "bits_per_byte", "loss"),
        )

    def _count(self) -> int:
        return max(1, round(self.hidden * self.length))

    def _text(self) -> Text:
        return Text(self.path, self.length, self.suffix)

    def arrays(self) -> Any:
        return self._text().arrays()

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: Any = ()
    ) -> Batch:
        whole = self._text().batch(key, split, size, arrays)
        count = self._count()
        # Another stream than the one that chose the windows.
        draws = Draws(jax.random.fold_in(key, 1), split, size, self.length + 2 * count)
        place_BN = draws.order(self.length)[:, :count]
        kind_BN, random_BN = draws.integers(count, 10), draws.integers(count, 256)
        held_BN = jnp.take_along_axis(whole.inputs, place_BN, axis=1)
        shown_BN = jnp.where(kind_BN == 8, random_BN, held_BN)
        shown_BN = jnp.where(kind_BN < 8, MASK, shown_BN)
        rows_B1 = jnp.arange(size)[:, None]
        asked_BT = jnp.zeros(whole.inputs.shape).at[rows_B1, place_BN].set(1.0)
        return whole._replace(
            inputs=whole.inputs.at[rows_B1, place_BN].set(shown_BN),
            targets=whole.inputs,
            weights=asked_BT,
            gap=jnp.where(asked_BT > 0, whole.gap, -1),
        )
