"""Classification of recordings, as waves or log-mel frames."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.ops.mel import mel_frames
from attn_research.options import declared, option
from attn_research.tasks.contract import (
    LARGEST,
    SPLITS,
    Batch,
    Spec,
    Split,
    random_batch,
)
from attn_research.tasks.data import files, waves
from attn_research.tasks.parts import set_notes, sets

WINDOW, HOP, BANDS = 200, 80, 40  # 25 ms and 10 ms at 8 kHz
RATE = 8000
LOUDEST = 2.0**15


def positions(wave_BL: jax.Array, real_BL: jax.Array, form: str, length: int):
    """Values and segments of the positions: samples, or log-mel frames of them."""
    if form == "wave":
        # Speech is quiet: its samples deviate by about a tenth of the range.
        return wave_BL[..., None] * 10.0, real_BL
    frames_BTF = mel_frames(wave_BL, window=WINDOW, hop=HOP, bands=BANDS, rate=RATE)
    real_BT = real_BL[:, ::HOP][:, :length]
    return frames_BTF[:, :length], real_BT


def named(path: str, data: str, data_dir: str, label: str) -> tuple[str, ...]:
    """The names of the classes of a user's recordings, or of a data set."""
    return waves.names(path) if path else sets.names(data, data_dir, label)


def recordings(path: str, data: str, data_dir: str, label: str) -> dict[str, Any]:
    """All samples, their classes, and where the splits begin."""
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
    folder, names = (
        files.place(path, "The folder of recordings", waves.FORM),
        waves.names(path),
    )
    found = waves.listed(path)
    rows = {s: [row for row in found if row.split == s] for s in SPLITS}
    every = [row for split in SPLITS for row in rows[split]]
    return {
        "audio": sets.stretches(waves.read(folder / row.file, RATE) for row in every),
        "label": np.array([names.index(row.label) for row in every], np.int32),
        "edges": sets.edges(rows),
    }


def path_option() -> str:
    """The option for a folder of a user's own recordings."""
    return option(
        "",
        "Folder of your own recordings at 8 kHz: LABEL/NAME.wav, or any .wav and a "
        "labels.csv; empty: those of `data`.",
    )


@declared
class AudioClassification:
    """The class of a recording, from its samples or from log-mel frames.

    Read by an encoder; `model.strides` shortens a wave. Recordings longer than
    `samples` are cut at their end. If the speakers are known, the test reports each.
    """

    data: str = option("fsdd", "Data set with audio at 8 kHz and a label.")
    form: Literal["wave", "frames"] = option("wave", "Samples, or log-mel frames.")
    samples: int = option(
        8192, "Samples of a recording to read.", low=HOP, high=LARGEST
    )
    label: str = option("label", "Feature to predict.")
    path: str = path_option()
    data_dir: str = sets.data_option()

    @property
    def spec(self) -> Spec:
        classes = len(named(self.path, self.data, self.data_dir, self.label))
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
        return recordings(self.path, self.data, self.data_dir, self.label)

    def notes(self, arrays: Any) -> list[str]:
        """Notes on truncated, padded and copied recordings, and parts of one class."""
        sizes = np.diff(arrays["audio"].offsets_N)
        return [
            *set_notes.length_notes(sizes, self.samples, "recordings", "samples"),
            *set_notes.copy_notes(arrays["audio"], arrays["edges"], "recordings"),
            *set_notes.class_notes(arrays),
        ]

    batch, count = random_batch, sets.count

    def examples(
        self, index_B: jax.Array, split: Split | jax.Array, arrays: Any
    ) -> Batch:
        row_B = sets.rows(arrays["edges"], split, index_B)
        wave_BL, real_BL = sets.window(arrays["audio"], row_B, self.samples)
        wave_BL = wave_BL.astype(jnp.float32) / LOUDEST
        values_BTF, segments_BT = positions(
            wave_BL, real_BL, self.form, self.spec.length
        )
        return Batch(
            inputs=values_BTF,
            targets=arrays["label"][row_B],
            weights=jnp.ones(index_B.shape),
            segments=segments_BT,
            gap=jnp.full(index_B.shape, -1),
            group=arrays["group"][row_B] if "group" in arrays else None,
        )
