"""Recordings as waves or log-mel frames, and the class of each."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.ops.mel import mel_frames
from attn_research.options import option
from attn_research.tasks import sets
from attn_research.tasks.contract import SPLITS, Batch, Spec, Split
from attn_research.tasks.data import waves

WINDOW, HOP, BANDS = 200, 80, 40  # 25 ms and 10 ms at 8 kHz
RATE = 8000
LOUDEST = 2.0**15


def heard(wave_BL: jax.Array, real_BL: jax.Array, form: str, length: int):
    """Values and segments of positions: samples, or frames of them."""
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
    folder, names = Path(path).expanduser(), waves.names(path)
    found = waves.listed(path)
    rows = {s: [row for row in found if row.split == s] for s in SPLITS}
    every = [row for split in SPLITS for row in rows[split]]
    return {
        "audio": sets.stretches(waves.read(folder / row.file, RATE) for row in every),
        "label": np.array([names.index(row.label) for row in every], np.int32),
        "edges": sets.edges(rows),
    }


def path_option() -> str:
    """The option that says where a user's own recordings lie."""
    return option(
        "",
        "Folder of your own recordings at 8 kHz: LABEL/NAME.wav, or any .wav and a "
        "labels.csv; empty: those of `data`.",
    )


@dataclass(frozen=True)
class AudioClassification(sets.OfASet):
    """The class of a recording, from its samples or from log-mel frames.

    Read by an encoder; `model.strides` shortens a wave. What is longer than `samples`
    is cut at its end. Where it is known who speaks, the test tells the speakers apart.
    """

    data: str = option("fsdd", "Data set with audio at 8 kHz and a label.")
    form: Literal["wave", "frames"] = option("wave", "Samples, or log-mel frames.")
    samples: int = option(8192, "Samples read of a recording.", low=HOP)
    label: str = option("label", "The feature that is predicted.")
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
        """What is not read, and what is padding."""
        sizes = np.diff(arrays["audio"].offsets_N)
        return sets.told(sizes, self.samples, "recordings", "samples")

    def examples(
        self, index_B: jax.Array, split: Split | jax.Array, arrays: Any
    ) -> Batch:
        row_B = sets.rows(arrays["edges"], split, index_B)
        wave_BL, real_BL = sets.window(arrays["audio"], row_B, self.samples)
        wave_BL = wave_BL.astype(jnp.float32) / LOUDEST
        values_BTF, segments_BT = heard(wave_BL, real_BL, self.form, self.spec.length)
        return Batch(
            inputs=values_BTF,
            targets=arrays["label"][row_B],
            weights=jnp.ones(index_B.shape),
            segments=segments_BT,
            gap=jnp.full(index_B.shape, -1),
            group=arrays["group"][row_B] if "group" in arrays else None,
        )
