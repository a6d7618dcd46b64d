"""Notes on packed sets: what is cut, padded, left out or copied, in sentences."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from attn_research.tasks.contract import SPLITS
from attn_research.tasks.data import packed, splits
from attn_research.tasks.parts.sets import Stretches

FEW = 0.01  # A smaller fraction of padding is not reported.


def split_notes(name: str, data_dir: str) -> list[str]:
    """One sentence for each split that a data set lacks: what replaces it."""
    return splits.notes(tuple(packed.manifest(name, data_dir or None)["splits"]), name)


def left_out(arrays: Any, column: str, what: str, cut_off: str) -> list[str]:
    """A sentence on examples that cannot be answered, as `asked` counts all."""
    lost = int(arrays.get("asked", 0)) - len(arrays[column])
    if lost <= 0:
        return []
    return [f"{lost:,} {what} are left out: {cut_off} cut off."]


def class_notes(arrays: Any) -> list[str]:
    """A sentence for each split of one class among several."""
    label_N, edges_4 = np.asarray(arrays["label"]), np.asarray(arrays["edges"])
    if len(np.unique(label_N)) < 2:
        return []
    parts = zip(SPLITS, np.split(label_N, edges_4[1:-1]), strict=True)
    return [
        f"All {len(part):,} examples of {split} are of one class: accuracy on them "
        "says nothing."
        for split, part in parts
        if len(np.unique(part)) == 1
    ]


def copy_notes(column: Stretches, edges_4: np.ndarray, what: str) -> list[str]:
    """A sentence for each held-out split with copies of examples of train."""
    values = np.asarray(column.values_L)
    edges = np.asarray(column.offsets_N).tolist()
    found = [
        values[low:high].tobytes() for low, high in zip(edges, edges[1:], strict=False)
    ]
    parts = [found[low:high] for low, high in zip(edges_4, edges_4[1:], strict=False)]
    train = set(parts[0])
    copied = [sum(row in train for row in part) for part in parts[1:]]
    return [
        f"{count:,} of {len(part):,} {what} of {split} are copies of some of train."
        for split, part, count in zip(SPLITS[1:], parts[1:], copied, strict=True)
        if count
    ]


def cut(lengths: Sequence[int] | np.ndarray, length: int, what: str) -> str | None:
    """A sentence on examples longer than what a model reads, None if there are none."""
    sizes = np.asarray(lengths)
    long = sizes > length
    if not long.any():
        return None
    lost = (sizes[long] - length).sum() / sizes.sum()
    return (
        f"{long.sum():,} of {long.size:,} {what} are longer than {length:,} and are "
        f"cut there: {lost:.1%} of the data is not read."
    )


def padding(
    lengths: Sequence[int] | np.ndarray, length: int, what: str, unit: str
) -> str | None:
    """A sentence on the fraction of padding, None if it is below `FEW`."""
    sizes = np.asarray(lengths)
    share = 1 - np.minimum(sizes, length).mean() / length
    if share < FEW:
        return None
    longest = int(sizes.max())
    enough = f"; {longest:,} would be enough" if longest < length else ""
    return (
        f"{share:.1%} of all positions are padding: {what} have {sizes.mean():,.0f} "
        f"{unit} on average, a row has {length:,}{enough}."
    )


def length_notes(
    lengths: Sequence[int] | np.ndarray, length: int, what: str, unit: str
) -> list[str]:
    """Notes on truncated, padded and empty examples."""
    notes = cut(lengths, length, what), padding(lengths, length, what, unit)
    empty = int((np.asarray(lengths) == 0).sum())
    return [
        *(note for note in notes if note),
        *([f"{empty:,} {what} are empty."] if empty else []),
    ]
