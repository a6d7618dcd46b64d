"""Masked language modelling: hidden tokens, predicted from their context."""

from dataclasses import fields
from typing import Any

import jax
import jax.numpy as jnp

from attn_research.options import declared, option
from attn_research.tasks import text
from attn_research.tasks.contract import Batch, Draws, Spec, Split
from attn_research.tasks.data import subwords
from attn_research.tasks.parts import sets, texts


@declared
class MaskedText:
    """Bytes or subwords of texts, a fraction of them hidden, for an encoder.

    Four fifths of the predicted positions show the mask (the last token), a tenth a
    random token, a tenth their own (Devlin et al., 2018, arXiv:1810.04805). Data,
    splits and `gap` are those of `text`.
    """

    path: str = text.path_option()
    length: int = text.length_option(low=2)
    suffix: str = text.suffix_option()
    hidden: float = option(0.15, "Share of the tokens to predict.", above=0, high=1)
    subwords: int = sets.subwords_option()
    data: str = text.texts_option()
    feature: str = text.feature_option()
    data_dir: str = sets.data_option()

    def __post_init__(self) -> None:
        subwords.check(self.subwords, "masked_text.subwords")
        texts.check(self.path, "masked_text.path")
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
            stored=self._text().spec.stored,
        )

    def notes(self, arrays: Any) -> list[str]:
        """The notes of `text`."""
        return self._text().notes(arrays)

    def _count(self) -> int:
        return max(1, round(self.hidden * self.length))

    def _text(self) -> text.Text:
        """The task whose batches are masked: its options are those of the same name."""
        return text.Text(**{f.name: getattr(self, f.name) for f in fields(text.Text)})

    def arrays(self) -> Any:
        return self._text().arrays()

    def stored(self) -> Any:
        return self._text().stored()

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: Any = ()
    ) -> Batch:
        whole = self._text().batch(key, split, size, arrays)
        count = self._count()
        # Independent of the stream that chose the windows.
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
            weights=asked_BT * whole.weights,
            gap=jnp.where(asked_BT > 0, whole.gap, -1),
            bytes=sets.sizes(arrays, whole.inputs),
        )
