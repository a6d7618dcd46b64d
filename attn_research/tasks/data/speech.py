"""Spoken digits as waves."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from attn_research.options import BadInput
from attn_research.tasks.contract import SPLITS, Split
from attn_research.tasks.data.raw import content
from attn_research.tasks.data.schema import DataSet, Example, File, array, label

RATE = 8000
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")


def _fsdd(raw: Path) -> Iterator[tuple[Split, Example]]:
    path = raw / "fsdd_8k_int16.npz"
    with np.load(io.BytesIO(content(raw, path.name))) as stored:
        rate, speakers = int(stored["rate"]), tuple(stored["speakers"].tolist())
        wave, offsets = stored["audio"], stored["offsets"]
        columns = [stored[name].tolist() for name in ("label", "speaker", "index")]
    if rate != RATE:
        raise BadInput(f"{path} has {rate} samples a second; it must be {RATE}")
    if speakers != SPEAKERS:
        raise BadInput(f"{path} has the speakers {speakers}; they must be {SPEAKERS}")
    spans = zip(offsets[:-1], offsets[1:], *columns, strict=True)
    for low, high, digit, speaker, index in spans:
        # The first five of a speaker's takes are the official test.
        split = SPLITS[2 if index < 5 else 1 if index < 10 else 0]
        yield (
            split,
            {
                "audio": wave[low:high],
                "label": digit,
                "speaker": speaker,
                "index": index,
            },
        )


FSDD = DataSet(
    name="fsdd",
    task="spoken digits, 8 kHz",
    licence="CC BY-SA 4.0",
    source="Jakobovski/free-spoken-digit-dataset: recordings/*.wav (as one npz: audio, "
    "offsets, label, speaker, speakers, index, rate)",
    folder="fsdd",
    files=(
        File(
            "fsdd_8k_int16.npz",
            15_427_086,
            "47d17a4eb7cb47641436a5ca47f2d35f03cac9013ae55c86363491c74042cd9e",
        ),
    ),
    features={
        "audio": array("int16", (None,), "the wave, 8,000 samples a second"),
        "label": label(map(str, range(10)), "the digit"),
        "speaker": label(SPEAKERS, "who speaks"),
        "index": array("int32", (), "which of the speaker's takes of the digit"),
    },
    split="the official one: takes 0-4 test; takes 5-9 validation, the rest train",
    examples={"train": 2400, "validation": 300, "test": 300},
    generate=_fsdd,
)
