"""What a set holds: lengths, classes, and what a model would not read of it."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from attn_research.tasks.contract import SPLITS
from attn_research.tasks.data.own.splitting import Divided
from attn_research.tasks.data.schema import Feature

MANY = 20  # classes of a table


def measured(
    splits: Divided, features: dict[str, Feature], read: Iterable[str], length: int
) -> dict[str, Any]:
    """Lengths and cut examples of the features in `read`, and counts of each class."""
    found: dict[str, Any] = {"length": length, "lengths": {}, "classes": {}}
    for name in read:
        sizes = [_size(example[name]) for s in SPLITS for example in splits[s]]
        found["lengths"][name] = {
            "median": float(np.median(sizes)),
            "95 %": float(np.percentile(sizes, 95)),
            "most": max(sizes),
            "cut": sum(size > length for size in sizes),
            "of": len(sizes),
        }
    for name, feature in features.items():
        if feature.kind == "label":
            counts = {s: Counter(e[name] for e in splits[s]) for s in SPLITS}
            found["classes"][name] = {
                word: [counts[s][place] for s in SPLITS]
                for place, word in enumerate(feature.names)
            }
    return found


def _size(value: Any) -> int:
    return sum(map(len, value)) if isinstance(value, list) else len(value)


def lines(found: dict[str, Any], unit: str) -> list[str]:
    """The statistics as a user reads them."""
    told = []
    for name, sizes in found["lengths"].items():
        line = (
            f"{name}: {sizes['median']:,.0f} {unit} in the median, "
            f"{sizes['95 %']:,.0f} at 95 %, {sizes['most']:,} at most"
        )
        if sizes["cut"]:
            share = sizes["cut"] / sizes["of"]
            line += (
                f"; {sizes['cut']:,} of {sizes['of']:,} ({share:.1%}) are longer than "
                f"{found['length']:,} and would be cut there"
            )
        told.append(f"{line}.")
    for name, counts in found["classes"].items():
        told.append(f"{name} (train, validation, test):")
        rows = list(counts.items())
        told += [
            f"  {word}: {', '.join(f'{n:,}' for n in row)}" for word, row in rows[:MANY]
        ]
        if len(rows) > MANY:
            told.append(f"  and {len(rows) - MANY:,} more classes")
        absent = [word for word, row in rows if not row[0]]
        if absent:
            told.append(
                f"{len(absent):,} classes have no row in train, first {absent[0]}: "
                "no model can learn them."
            )
    return told


def of_series(
    splits: Divided, names: Iterable[str]
) -> tuple[dict[str, Any], list[str]]:
    """The steps of each split and the range of each channel, and lines that say so."""
    parts = [np.asarray(splits[split][0]["values"]) for split in SPLITS]
    steps = dict(zip(SPLITS, map(len, parts), strict=True))
    every_TF = np.concatenate(parts)
    found = {
        name: {"least": float(v.min()), "mean": float(v.mean()), "most": float(v.max())}
        for name, v in zip(names, every_TF.T, strict=True)
    }
    told = [f"Steps: {', '.join(f'{n:,} {split}' for split, n in steps.items())}."]
    for name, facts in found.items():
        told.append(
            f"{name}: {facts['least']:g} to {facts['most']:g}, "
            f"{facts['mean']:g} in the mean."
        )
        if facts["least"] == facts["most"]:
            told.append(f"{name} never changes.")
    return {"steps": steps, "channels": found}, told
