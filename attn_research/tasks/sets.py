"""Examples of packed data sets as arrays on the device, found by their number.

The splits of a set stand one after another in the order of `SPLITS`; `edges` says where
each begins. A column of examples of one length is an array, one of stretches of any
length is a `Stretches`.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.options import INT_MAX, BadInput, option
from attn_research.tasks.contract import (
    SPLITS,
    Batch,
    Finite,
    Split,
    drawn,
    split_index,
)
from attn_research.tasks.data import packed, splits, subwords

END = 0  # The byte that ends or joins texts; none holds one of its own.
FEW = 0.01  # A smaller share of padding is not told.
# Who speaks; whether a stereotype helps; the gender of a pronoun.
GROUPS = ("speaker", "stereotype", "gender")


class Stretches(NamedTuple):
    """Values one after another, and where each example begins and the last one ends."""

    values_L: Any
    offsets_N: Any


class OfASet:
    """A task of the rows of a set: batches are its `examples`, drawn with replacement.

    Where each split begins among the rows is `edges`, one of its arrays.
    """

    def batch(
        self: Finite,
        key: jax.Array,
        split: Split | jax.Array,
        size: int,
        arrays: Any = (),
    ) -> Batch:
        return drawn(self, key, split, size, arrays)

    def count(self, split: Split | jax.Array, arrays: Any) -> jax.Array:
        return count(arrays["edges"], split)


def data_option() -> str:
    """The option that says where data sets lie."""
    return option(
        "", "Where data sets are prepared; empty: ATTN_RESEARCH_DATA, or the cache."
    )


def subwords_option() -> int:
    """The option that says what a token is."""
    return option(
        0,
        "Tokens of a vocabulary of subwords, learned from the training split; 0: "
        "tokens are bytes.",
        low=0,
        high=subwords.MOST,
    )


def loaded(name: str, data_dir: str, *features: str) -> packed.Columns:
    """The columns of each of `SPLITS`, memory-mapped.

    Raises `BadInput` where the set is not prepared, or lacks one of the features.
    """
    columns = splits.completed(packed.load(name, data_dir or None), name)
    for feature in features:
        if feature not in columns["train"]:
            raise BadInput(
                f"The data set {name} has no {feature}; it has "
                f"{', '.join(columns['train'])}"
            )
    return columns


def names(data: str, data_dir: str, feature: str = "label") -> tuple[str, ...]:
    """The names of the classes of a data set; raises `BadInput` where it has none."""
    features = packed.manifest(data, data_dir or None)["features"]
    if features.get(feature, {}).get("kind") != "label":
        raise BadInput(f"The data set {data} has no {feature}; one with classes has")
    return tuple(features[feature]["names"])


def labels(columns: packed.Columns, feature: str = "label") -> np.ndarray:
    """The classes of all examples, split after split.

    Raises `BadInput` where one is no class: TFDS writes -1 where nobody knows it.
    """
    found = stacked({s: columns[s][feature].values for s in SPLITS})
    classes = len(columns["train"][feature].feature.names)
    if found.size and not 0 <= found.min() <= found.max() < classes:
        wrong = found.min() if found.min() < 0 else found.max()
        raise BadInput(
            f"An example has the {feature} {wrong}; 0 to {classes - 1} is allowed"
        )
    return found.astype(np.int32)


def groups(name: str, data_dir: str, feature: str = "") -> tuple[str, tuple[str, ...]]:
    """The feature by which the test tells examples apart, and the names of its groups.

    The first of `GROUPS` that a data set has; empty where it has none, or where that is
    the `feature` which is predicted.
    """
    told = packed.manifest(name, data_dir or None)["features"]
    for group in GROUPS:
        if group != feature and told.get(group, {}).get("kind") == "label":
            return group, tuple(told[group]["names"])
    return "", ()


def divisions(name: str, data_dir: str) -> list[str]:
    """A sentence on each split that a data set lacks, and what stands for it."""
    told = packed.manifest(name, data_dir or None)["splits"]
    return splits.told(tuple(told), name)


def stretches(rows: Iterable[np.ndarray]) -> Stretches:
    """Arrays of any length, joined; raises `BadInput` where they are too many."""
    rows = list(rows)
    offsets_N = np.cumsum([0, *map(len, rows)])
    if offsets_N[-1] > INT_MAX:
        raise BadInput(
            f"The examples hold {offsets_N[-1]:,} values; at most {INT_MAX:,} are "
            "gathered on a device"
        )
    return Stretches(np.concatenate(rows), offsets_N.astype(np.int32))


def coded(
    columns: Mapping[str, Iterable[np.ndarray]],
    training: Iterable[np.ndarray],
    count: int,
    data_dir: str = "",
) -> dict[str, Any]:
    """Columns of texts as stretches of tokens: bytes, or `count` subwords.

    Subwords are those of the `training` texts; the bytes of each are the column
    `pieces`.
    """
    if not count:
        return {name: stretches(rows) for name, rows in columns.items()}
    found = subwords.learned(training, count, packed.data_dir(data_dir or None))
    tokens = {name: map(found.encoded, rows) for name, rows in columns.items()}
    tokens["pieces"] = map(partial(np.frombuffer, dtype=np.uint8), found.pieces)
    return {name: stretches(rows) for name, rows in tokens.items()}


def sizes(arrays: Any, tokens: jax.Array) -> jax.Array | None:
    """The bytes that tokens stand for; None where each is one."""
    if "pieces" not in arrays:
        return None
    offsets_N = jnp.asarray(arrays["pieces"].offsets_N)
    return (offsets_N[tokens + 1] - offsets_N[tokens]).astype(jnp.float32)


def spelled(arrays: Any) -> list[bytes]:
    """The bytes of each subword."""
    text = np.asarray(arrays["pieces"].values_L).tobytes()
    edges = np.asarray(arrays["pieces"].offsets_N).tolist()
    return [text[low:high] for low, high in zip(edges, edges[1:], strict=False)]


def stacked(columns: Mapping[str, Any]) -> np.ndarray:
    """The arrays of the splits, one after another."""
    return np.concatenate([np.asarray(columns[split]) for split in SPLITS])


def edges(columns: Mapping[str, Any]) -> np.ndarray:
    """Where each split begins, and the last one ends."""
    sizes = [len(columns[split]) for split in SPLITS]
    return np.cumsum([0, *sizes]).astype(np.int32)


def count(edges_4: jax.Array, split: Split | jax.Array) -> jax.Array:
    """The number of examples of a split."""
    place = split_index(split)
    return edges_4[place + 1] - edges_4[place]


def rows(edges_4: jax.Array, split: Split | jax.Array, index_B: jax.Array) -> jax.Array:
    """Where the examples of these numbers stand among those of all splits."""
    return edges_4[split_index(split)] + index_B


def window(
    column: Stretches, row_B: jax.Array, length: int
) -> tuple[jax.Array, jax.Array]:
    """The first `length` values of each example, BT..., and 1 where there are any."""
    return joined([column], row_B, length)


def joined(
    columns: Sequence[Stretches],
    row_B: jax.Array | Sequence[jax.Array],
    length: int,
) -> tuple[jax.Array, jax.Array]:
    """Stretches of several columns with an `END` between them, BT..., and segments.

    `row_B` may be one for each column. What is longer than `length` is cut at its end.
    """
    each_B = row_B if isinstance(row_B, Sequence) else [row_B] * len(columns)
    place_1T = jnp.arange(length)[None]
    values, before_B1 = None, jnp.zeros((1, 1), jnp.int32)
    for column, one_B in zip(columns, each_B, strict=True):
        start_B1 = column.offsets_N[one_B][:, None]
        size_B1 = column.offsets_N[one_B + 1][:, None] - start_B1
        own_BT = place_1T - before_B1
        inside_BT = (own_BT >= 0) & (own_BT < size_B1)
        at_BT = jnp.where(inside_BT, start_B1 + own_BT, 0)
        found = column.values_L[at_BT]
        inside = inside_BT.reshape(inside_BT.shape + (1,) * (found.ndim - 2))
        found = jnp.where(inside, found, jnp.zeros((), found.dtype))
        values = found if values is None else values + found
        before_B1 = before_B1 + size_B1 + 1
    assert values is not None
    return values, (place_1T < before_B1 - 1).astype(jnp.int32)


def cut(lengths: Sequence[int] | np.ndarray, length: int, what: str) -> str | None:
    """A sentence on the examples that are longer than a model reads, None if none."""
    sizes = np.asarray(lengths)
    long = sizes > length
    if not long.any():
        return None
    lost = (sizes[long] - length).sum() / sizes.sum()
    return (
        f"{long.sum():,} of {long.size:,} {what} are longer than {length:,} and cut "
        f"there: {lost:.1%} of all is not read."
    )


def padding(
    lengths: Sequence[int] | np.ndarray, length: int, what: str, unit: str
) -> str | None:
    """A sentence on the positions that hold nothing, None where those are few."""
    sizes = np.asarray(lengths)
    share = 1 - np.minimum(sizes, length).mean() / length
    if share < FEW:
        return None
    longest = int(sizes.max())
    enough = f"; {longest:,} hold every one" if longest < length else ""
    return (
        f"{share:.1%} of all positions are padding: {what} have {sizes.mean():,.0f} "
        f"{unit} on average, and a row {length:,}{enough}."
    )


def told(
    lengths: Sequence[int] | np.ndarray, length: int, what: str, unit: str
) -> list[str]:
    """The sentences there are on what is cut, on padding, and on what is empty."""
    notes = cut(lengths, length, what), padding(lengths, length, what, unit)
    empty = int((np.asarray(lengths) == 0).sum())
    return [
        *(note for note in notes if note),
        *([f"{empty:,} {what} are empty: nothing is read of them."] if empty else []),
    ]
