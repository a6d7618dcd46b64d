"""Data sets of made-up examples, in the form of the catalogue's."""

from pathlib import Path

import numpy as np

from attn_research.tasks.contract import SPLITS
from attn_research.tasks.data import packing
from attn_research.tasks.data.catalogue import DATA_SETS

COUNTS = {"train": 23, "validation": 7, "test": 9}
SERIES = {"train": 300, "validation": 90, "test": 80}
NAMES = (
    "movie_reviews",
    "subjectivity",
    "gap",
    "xquad",
    "tico19",
    "qmsum",
    "mnist_t10k",
    "clothing32",
    "fsdd",
    "etth1",
    "etth2",
    "listops_d20s",
)


def text(draw, low=5, high=60) -> bytes:
    """Words of no meaning, some of two bytes a letter."""
    letters = np.array(list("abcdefg éü\n"))
    size = int(draw.integers(low, high))
    return "".join(draw.choice(letters, size)).encode()


def any_example(features, draw):
    """Whatever each feature admits."""
    example = {}
    for name, feature in features.items():
        match feature.kind:
            case "text":
                example[name] = text(draw)
            case "texts":
                example[name] = [text(draw) for _ in range(3)]
            case "label":
                example[name] = int(draw.integers(len(feature.names)))
            case _:
                first = int(draw.integers(50, 400))
                shape = [n or first for n in feature.shape]
                kind = np.dtype(feature.dtype)
                values = draw.normal(size=shape) * 100
                if kind.kind == "u":
                    values = abs(values)
                example[name] = values.astype(kind)
    return example


def fitted(name: str, example, draw, number: int, split: str):
    """The example, its parts made to agree with each other."""
    match name:
        case "gap":
            words = [bytes(text(draw, 3, 9)) for _ in range(7)]
            example["text"] = b" ".join(words)
            starts = np.cumsum([0, *[len(word) + 1 for word in words]])
            for key, place in (("pronoun", 5), ("a", 1), ("b", 3)):
                low = starts[place]
                example[key] = np.array([low, low + len(words[place])], np.int32)
        case "xquad":
            before, answer, after = text(draw), text(draw, 3, 9), text(draw)
            example |= {"context": before + answer + after, "answer": answer}
            example["start"] = len(before)
        case "tico19":
            example["document"] = f"{split} {number // 3}".encode()
        case "qmsum":
            turns = [text(draw) for _ in range(5)]
            example["transcript"] = b"".join(turns)
            example["turns"] = np.cumsum([0, *map(len, turns)])[:-1].astype(np.int32)
            example["spans"] = np.array([[0, 0, 1], [0, 3, 3], [1, 2, 4]], np.int32)
        case "etth1" | "etth2":
            example["values"] = draw.normal(size=(SERIES[split], 7)).astype(np.float32)
    return example


def prepare(where: Path) -> None:
    """Packs made-up examples of every data set that a task reads by default."""
    for name in NAMES:
        found, draw = DATA_SETS[name], np.random.default_rng(len(name))
        splits = {
            split: [
                fitted(name, any_example(found.features, draw), draw, number, split)
                for number in range(1 if name in ("etth1", "etth2") else COUNTS[split])
            ]
            for split in SPLITS
        }
        packing.write(name, found.version, found.features, splits, where, {})
