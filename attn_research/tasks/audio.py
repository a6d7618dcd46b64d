"""Spoken words as waves or log-mel frames: which one, and strings of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.ops.mel import mel_frames
from attn_research.options import option
from attn_research.tasks import sets
from attn_research.tasks.contract import SPLITS, Batch, Draws, Spec, Split, drawn
from attn_research.tasks.data import waves
from attn_research.tasks.translation import written

WINDOW, HOP, BANDS = 200, 80, 40  # 25 ms and 10 ms at 8 kHz
RATE = 8000
LOUDEST = 2.0**15


def _heard(wave_BL: jax.Array, real_BL: jax.Array, form: str, length: int):
    """Values and segments of positions: samples, or frames of them."""
    if form == "wave":
        # Speech is quiet: its samples deviate by about a tenth of the range.
        return wave_BL[..., None] * 10.0, real_BL
    frames_BTF = mel_frames(wave_BL, window=WINDOW, hop=HOP, bands=BANDS, rate=RATE)
    real_BT = real_BL[:, ::HOP][:, :length]
    return frames_BTF[:, :length], real_BT


def _names(path: str, data: str, data_dir: str, label: str) -> tuple[str, ...]:
    return waves.names(path) if path else sets.names(data, data_dir, label)


def _arrays(path: str, data: str, data_dir: str, label: str) -> dict[str, Any]:
    if path:
        return _recorded(path)
    columns = sets.loaded(data, data_dir, "audio", label)
    audio = [wave for split in SPLITS for wave in columns[split]["audio"]]
    group, names = sets.groups(data, data_dir, label)
    return {
        "audio": sets.stretches(audio),
        "label": sets.labels(columns, label),
        "edges": sets.edges({split: columns[split][label] for split in SPLITS}),
        **({"group": sets.labels(columns, group)} if names else {}),
    }


def _recorded(path: str) -> dict[str, Any]:
    """The arrays of a user's own recordings."""
    folder, names = Path(path).expanduser(), waves.names(path)
    found = waves.listed(path)
    rows = {s: [row for row in found if row.split == s] for s in SPLITS}
    every = [row for split in SPLITS for row in rows[split]]
    return {
        "audio": sets.stretches(waves.read(folder / row.file, RATE) for row in every),
        "label": np.array([names.index(row.label) for row in every], np.int32),
        "edges": sets.edges(rows),
    }


def _path_option() -> str:
    return option(
        "",
        "Folder of your own recordings at 8 kHz: LABEL/NAME.wav, or any .wav and a "
        "labels.csv; empty: those of `data`.",
    )


@dataclass(frozen=True)
class AudioClassification:
    """The class of a recording, from its samples or from log-mel frames.

    Read by an encoder; `model.strides` shortens a wave. What is longer than `samples`
    is cut at its end. Where it is known who speaks, the test tells the speakers apart.
    """

    data: str = option("fsdd", "Data set with audio at 8 kHz and a label.")
    form: Literal["wave", "frames"] = option("wave", "Samples, or log-mel frames.")
    samples: int = option(8192, "Samples read of a recording.", low=HOP)
    label: str = option("label", "The feature that is predicted.")
    path: str = _path_option()
    data_dir: str = sets.data_option()

    @property
    def spec(self) -> Spec:
        classes = len(_names(self.path, self.data, self.data_dir, self.label))
        wave = self.form == "wave"
        return Spec(
            inputs="values",
            features=1 if wave else BANDS,
            target="class",
            outputs=classes,
            length=self.samples if wave else self.samples // HOP,
            causal=False,
            labels=1,
            metrics=("accuracy", "macro_f1", "loss"),
            per_sequence=True,
            chance=1 / classes,
            finite=True,
            groups=() if self.path else self._groups(),
        )

    def _groups(self) -> tuple[str, ...]:
        return sets.groups(self.data, self.data_dir, self.label)[1]

    def arrays(self) -> dict[str, Any]:
        return _arrays(self.path, self.data, self.data_dir, self.label)

    def notes(self, arrays: Any) -> list[str]:
        """What is not read, and what is padding."""
        sizes = np.diff(arrays["audio"].offsets_N)
        return sets.told(sizes, self.samples, "recordings", "samples")

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: Any = ()
    ) -> Batch:
        return drawn(self, key, split, size, arrays)

    def count(self, split: Split | jax.Array, arrays: Any) -> jax.Array:
        return sets.count(arrays["edges"], split)

    def examples(
        self, index_B: jax.Array, split: Split | jax.Array, arrays: Any
    ) -> Batch:
        row_B = sets.rows(arrays["edges"], split, index_B)
        wave_BL, real_BL = sets.window(arrays["audio"], row_B, self.samples)
        wave_BL = wave_BL.astype(jnp.float32) / LOUDEST
        values_BTF, segments_BT = _heard(wave_BL, real_BL, self.form, self.spec.length)
        return Batch(
            inputs=values_BTF,
            targets=arrays["label"][row_B],
            weights=jnp.ones(index_B.shape),
            segments=segments_BT,
            gap=jnp.full(index_B.shape, -1),
            group=arrays["group"][row_B] if "group" in arrays else None,
        )


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
    path: str = _path_option()
    data_dir: str = sets.data_option()
    writes: bool = option(False, "A decoder writes the words as text.")

    @property
    def spec(self) -> Spec:
        names = _names(self.path, self.data, self.data_dir, "label")
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
            chance=1.0,
            names=names,
        )

    def _letters(self, names: tuple[str, ...]) -> int:
        """Bytes of the longest text and its end: none is cut."""
        return self.words * (1 + max(len(name.encode()) for name in names))

    def _length(self) -> int:
        """Positions of what is heard."""
        return self.samples if self.form == "wave" else self.samples // HOP

    def arrays(self) -> dict[str, Any]:
        found = _arrays(self.path, self.data, self.data_dir, "label")
        if not self.writes:
            return found
        names = _names(self.path, self.data, self.data_dir, "label")
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
        values_BTF, segments_BT = _heard(
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
    counted_BT = counted_BT * (count_B1 > 0)
    return Batch(
        inputs=inputs_BT,
        targets=targets_BT,
        weights=counted_BT.astype(jnp.float32),
        segments=counted_BT,
        gap=jnp.full(inputs_BT.shape, -1),
        source=values_BTF,
        source_segments=segments_BT,
    )
