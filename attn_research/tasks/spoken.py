"""Strings of spoken words: recordings joined, to be written down."""

from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.options import option
from attn_research.tasks import sets
from attn_research.tasks.audio import (
    BANDS,
    HOP,
    LOUDEST,
    heard,
    named,
    path_option,
    recordings,
)
from attn_research.tasks.contract import Batch, Draws, Spec, Split
from attn_research.tasks.translation import written


@dataclass(frozen=True)
class SpokenStrings:
    """Recordings of single words joined to strings, to be written down.

    Each string joins 1 to `words` recordings of one split, drawn anew, as many as fit
    whole into `samples`. An encoder answers at every position with a word or nothing
    (Graves et al., 2006); the error rate is edits per word. Targets are labels plus
    one. Or a decoder, which reads the encoded recordings, writes the names of the words
    letter by letter, a space between two (Chan et al., 2015, arXiv:1508.01211).
    """

    data: str = option("fsdd", "Data set with audio at 8 kHz and a label.")
    form: Literal["wave", "frames"] = option("frames", "Samples, or log-mel frames.")
    words: int = option(5, "The most recordings in a string.", low=1)
    samples: int = option(24000, "Samples in a string.", low=HOP)
    path: str = path_option()
    data_dir: str = sets.data_option()
    writes: bool = option(False, "A decoder writes the words as text.")

    @property
    def spec(self) -> Spec:
        names = named(self.path, self.data, self.data_dir, "label")
        wave = self.form == "wave"
        length = self._length()
        if self.writes:
            letters = self._letters(names)
            return Spec(
                inputs="tokens",
                features=256,
                target="token",
                outputs=256,
                length=letters,
                causal=True,
                labels=letters,
                metrics=("bits_per_byte", "accuracy", "loss"),
                chance=8.0,
                source_inputs="values",
                source_features=1 if wave else BANDS,
                source_length=length,
                names=names,
                noted=True,
            )
        return Spec(
            inputs="values",
            features=1 if wave else BANDS,
            target="string",
            outputs=len(names) + 1,
            length=length,
            causal=False,
            labels=length,
            metrics=("error_rate", "loss"),
            chance=1.0,
            names=names,
            noted=True,
        )

    def notes(self, arrays: Any) -> list[str]:
        """How many recordings are too long for any string."""
        sizes = np.diff(arrays["audio"].offsets_N)
        long = int((sizes > self.samples).sum())
        return [
            f"{long:,} of {len(sizes):,} recordings are longer than {self.samples:,} "
            "samples and in no string."
        ] * (long > 0)

    def _letters(self, names: tuple[str, ...]) -> int:
        """Bytes of the longest text and its end: none is cut."""
        return self.words * (1 + max(len(name.encode()) for name in names))

    def _length(self) -> int:
        """Positions of what is heard."""
        return self.samples if self.form == "wave" else self.samples // HOP

    def arrays(self) -> dict[str, Any]:
        found = recordings(self.path, self.data, self.data_dir, "label")
        if not self.writes:
            return found
        names = named(self.path, self.data, self.data_dir, "label")
        coded = [f"{name} ".encode() for name in names]
        name_VL = np.zeros((len(names), max(map(len, coded))), np.int32)
        for row, name in zip(name_VL, coded, strict=True):
            row[: len(name)] = list(name)
        return {**found, "name": name_VL}

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: Any = ()
    ) -> Batch:
        draws = Draws(key, split, size, self.words + 1)
        count_B1 = 1 + draws.integers(1, self.words)
        index_BN = draws.integers(
            self.words, sets.count(arrays["edges"], split).astype(jnp.uint32)
        )
        row_BN = sets.rows(arrays["edges"], split, index_BN)
        audio = arrays["audio"]
        start_BN = audio.offsets_N[row_BN]
        size_BN = audio.offsets_N[row_BN + 1] - start_BN
        end_BN = jnp.cumsum(size_BN, axis=1)
        order_1N = jnp.arange(self.words)[None]
        said_BN = (order_1N < count_B1) & (end_BN <= self.samples)
        place_1L = jnp.arange(self.samples)[None]
        # The recording that a sample belongs to: as many as have ended before it.
        which_BL = jnp.sum(
            (place_1L[..., None] >= end_BN[:, None]) & said_BN[:, None], axis=2
        )
        which_BL = jnp.minimum(which_BL, self.words - 1)

        def of(array_BN: jax.Array) -> jax.Array:
            return jnp.take_along_axis(array_BN, which_BL, axis=1)

        real_BL = of(said_BN) & (place_1L < of(end_BN))
        at_BL = of(start_BN) + place_1L - (of(end_BN) - of(size_BN))
        wave_BL = audio.values_L[jnp.where(real_BL, at_BL, 0)].astype(jnp.float32)
        wave_BL = jnp.where(real_BL, wave_BL / LOUDEST, 0)
        values_BTF, segments_BT = heard(
            wave_BL, real_BL.astype(jnp.int32), self.form, self._length()
        )
        if self.writes:
            name_BNL = arrays["name"][arrays["label"][row_BN]]
            name_BNL = jnp.where(said_BN[:, :, None], name_BNL, 0)
            return _written(name_BNL, values_BTF, segments_BT)
        label_BN = jnp.where(said_BN, 1 + arrays["label"][row_BN], 0)
        # A string counts as often as it has words: the mean is edits per word.
        return Batch(
            inputs=values_BTF,
            targets=label_BN,
            weights=jnp.sum(said_BN, axis=1).astype(jnp.float32),
            segments=segments_BT,
            gap=jnp.full((size,), -1),
        )


def _written(
    name_BNL: jax.Array, values_BTF: jax.Array, segments_BT: jax.Array
) -> Batch:
    """The batch that asks for the text of names, each with a space, 0 after it.

    A row without a name asks for nothing.
    """
    size = name_BNL.shape[0]
    name_BT = name_BNL.reshape(size, -1)
    # Letters in their order, what is 0 behind them all.
    order_BT = jnp.argsort(name_BT == 0, axis=1, stable=True)
    letter_BT = jnp.take_along_axis(name_BT, order_BT, axis=1)
    count_B1 = jnp.sum(letter_BT > 0, axis=1, keepdims=True) - 1
    real_BT = (jnp.arange(letter_BT.shape[1])[None] < count_B1).astype(jnp.int32)
    inputs_BT, targets_BT, counted_BT = written(letter_BT * real_BT, real_BT)
    counted_BT = jnp.where(count_B1 > 0, counted_BT, 0)
    return Batch(
        inputs=inputs_BT,
        targets=targets_BT,
        weights=counted_BT.astype(jnp.float32),
        segments=counted_BT,
        gap=jnp.full(inputs_BT.shape, -1),
        source=values_BTF,
        source_segments=segments_BT,
    )
