"""Strings of spoken words: concatenated recordings to transcribe."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.options import BadInput, declared, option
from attn_research.tasks.audio import (
    BANDS,
    HOP,
    LOUDEST,
    named,
    path_option,
    positions,
    recordings,
)
from attn_research.tasks.contract import (
    LARGEST,
    SPLITS,
    Batch,
    Draws,
    Spec,
    Split,
    check_arrays,
)
from attn_research.tasks.parts import set_notes, sets
from attn_research.tasks.translation import written


@declared
class SpokenStrings:
    """Recordings of single words, concatenated to strings, to transcribe.

    Each string has 1 to `words` random recordings of one split, as far as they fit
    whole into `samples`; longer ones, and those of less than two positions, are left
    out. An encoder answers at every position with a word or a blank
    (Graves et al., 2006); the error rate is edits per word. Targets are labels plus
    one. With `writes`, a decoder reads the encoded recordings and writes the names of
    the words letter by letter, separated by spaces (Chan et al., 2015,
    arXiv:1508.01211).
    """

    data: str = option("fsdd", "Data set with audio at 8 kHz and a label.")
    form: Literal["wave", "frames"] = option("frames", "Samples, or log-mel frames.")
    words: int = option(5, "Recordings in a string, at most.", low=1, high=LARGEST)
    samples: int = option(24000, "Samples in a string.", low=HOP, high=LARGEST)
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
            symbols=self.words,
            chance=1.0,
            names=names,
        )

    def notes(self, arrays: Any) -> list[str]:
        """Notes on recordings that are in no string, and on copied ones."""
        left_out = int(arrays.get("left_out", 0))
        copied = set_notes.copy_notes(arrays["audio"], arrays["edges"], "recordings")
        return copied + [
            f"{left_out:,} of {left_out + len(arrays['label']):,} recordings are left "
            f"out: {self._fit()}."
        ] * (left_out > 0)

    def _shortest(self) -> int:
        """Samples of a recording, at least.

        Equal words need two positions each, so that a blank fits between them.
        """
        return 2 * (1 if self.form == "wave" else HOP)

    def _fit(self) -> str:
        return (
            f"a string holds those of {self._shortest():,} to {self.samples:,} samples"
        )

    def _letters(self, names: tuple[str, ...]) -> int:
        """Bytes of the longest text and its end."""
        return self.words * (1 + max(len(name.encode()) for name in names))

    def _length(self) -> int:
        """The number of positions of a string."""
        return self.samples if self.form == "wave" else self.samples // HOP

    def arrays(self) -> dict[str, Any]:
        arrays = self._fitting(recordings(self.path, self.data, self.data_dir, "label"))
        if not self.writes:
            return arrays
        names = named(self.path, self.data, self.data_dir, "label")
        coded = [f"{name} ".encode() for name in names]
        name_VL = np.zeros((len(names), max(map(len, coded))), np.int32)
        for row, name in zip(name_VL, coded, strict=True):
            row[: len(name)] = list(name)
        return {**arrays, "name": name_VL}

    def _fitting(self, arrays: dict[str, Any]) -> dict[str, Any]:
        """The arrays without the recordings that no string can hold.

        Raises `BadInput` if a split has no other.
        """
        sizes = np.diff(arrays["audio"].offsets_N)
        fits_N = (sizes >= self._shortest()) & (sizes <= self.samples)
        if fits_N.all():
            return arrays
        kept = np.flatnonzero(fits_N)
        edges = np.searchsorted(kept, arrays["edges"])
        for split, count in zip(SPLITS, np.diff(edges), strict=True):
            if not count:
                raise BadInput(
                    f"spoken_strings.samples is {self.samples:,} and no recording of "
                    f"the {split} split of {self.path or self.data} fits: {self._fit()}"
                )
        audio = arrays["audio"]
        waves = np.split(np.asarray(audio.values_L), audio.offsets_N[1:-1])
        return {
            "audio": sets.stretches(waves[n] for n in kept),
            "label": arrays["label"][kept],
            "edges": edges.astype(np.int32),
            "left_out": np.int32(len(sizes) - len(kept)),
        }

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: Any = ()
    ) -> Batch:
        check_arrays(arrays)
        draws = Draws(key, split, size, self.words + 1)
        count_B1 = 1 + draws.integers(1, self.words)
        index_BN = draws.integers(
            self.words, sets.split_size(arrays["edges"], split).astype(jnp.uint32)
        )
        row_BN = sets.rows(arrays["edges"], split, index_BN)
        audio = arrays["audio"]
        start_BN = audio.offsets_N[row_BN]
        size_BN = audio.offsets_N[row_BN + 1] - start_BN
        end_BN = jnp.cumsum(size_BN, axis=1)
        order_1N = jnp.arange(self.words)[None]
        said_BN = (order_1N < count_B1) & (end_BN <= self.samples)
        place_1L = jnp.arange(self.samples)[None]
        # The number of recordings that end before a sample is the one it belongs to.
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
        values_BTF, segments_BT = positions(
            wave_BL, real_BL.astype(jnp.int32), self.form, self._length()
        )
        if self.writes:
            name_BNL = arrays["name"][arrays["label"][row_BN]]
            name_BNL = jnp.where(said_BN[:, :, None], name_BNL, 0)
            return _written(name_BNL, values_BTF, segments_BT)
        label_BN = jnp.where(said_BN, 1 + arrays["label"][row_BN], 0)
        # The weight of a string is its number of words: the mean is edits per word.
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
    """The batch whose targets are the letters of names, separated by spaces, then 0.

    A row without names has no weight.
    """
    size = name_BNL.shape[0]
    name_BT = name_BNL.reshape(size, -1)
    # Letters in their order, zeros behind them.
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
