"""Masked language modelling: tokens that are hidden, from what stands around them."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from attn_research.options import option
from attn_research.tasks import sets
from attn_research.tasks.contract import Batch, Draws, Spec, Split
from attn_research.tasks.data import subwords
from attn_research.tasks.text import Text


@dataclass(frozen=True)
class MaskedText:
    """Bytes of texts, or subwords of them, a share of them hidden, for an encoder.

    Of the positions asked for, four fifths hold the mask, which is the last token, a
    tenth a random one, a tenth what they held (Devlin et al., 2018, arXiv:1810.04805).
    Data and splits are those of `text`; so is `gap`.
    """

    path: str = option(
        "stdlib", "File or directory; stdlib is this Python's own library source."
    )
    length: int = option(256, "Bytes, or subwords, in a sequence.", low=2)
    suffix: str = option("", "Only files ending so are read; stdlib reads .py.")
    hidden: float = option(0.15, "Share of the tokens asked for.", above=0, high=1)
    subwords: int = sets.subwords_option()
    data: str = option("", "Data set that is read in place of `path`.")
    feature: str = option("text", "The feature of it that is read.")
    data_dir: str = sets.data_option()

    def __post_init__(self) -> None:
        subwords.check(self.subwords, "masked_text.subwords")
        self._text()

    @property
    def _tokens(self) -> int:
        """The number of tokens without the mask."""
        return self.subwords or subwords.BYTES

    @property
    def spec(self) -> Spec:
        return Spec(
            inputs="tokens",
            features=self._tokens + 1,
            target="token",
            outputs=self._tokens + 1,
            length=self.length,
            causal=False,
            labels=self._count(),
            metrics=("accuracy", "bits_per_byte", "loss"),
            subwords=self.subwords > 0,
            noted=True,
        )

    def notes(self, arrays: Any) -> list[str]:
        """Those of `text`."""
        return self._text().notes(arrays)

    def _count(self) -> int:
        return max(1, round(self.hidden * self.length))

    def _text(self) -> Text:
        return Text(
            path=self.path,
            length=self.length,
            suffix=self.suffix,
            subwords=self.subwords,
            data=self.data,
            feature=self.feature,
            data_dir=self.data_dir,
        )

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
        kind_BN = draws.integers(count, 10)
        random_BN = draws.integers(count, self._tokens)
        held_BN = jnp.take_along_axis(whole.inputs, place_BN, axis=1)
        shown_BN = jnp.where(kind_BN == 8, random_BN, held_BN)
        shown_BN = jnp.where(kind_BN < 8, self._tokens, shown_BN)
        rows_B1 = jnp.arange(size)[:, None]
        asked_BT = jnp.zeros(whole.inputs.shape).at[rows_B1, place_BN].set(1.0)
        return whole._replace(
            inputs=whole.inputs.at[rows_B1, place_BN].set(shown_BN),
            targets=whole.inputs,
            weights=asked_BT,
            gap=jnp.where(asked_BT > 0, whole.gap, -1),
            bytes=sets.sizes(arrays, whole.inputs),
        )
