"""Examples of packed data sets as arrays on the device, gathered by their number.

The splits of a set are concatenated in the order of `SPLITS`; `edges` says where each
begins. A column of examples of one length is an array, one of varying length a
`Stretches`.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.options import INT_MAX, BadInput, option
from attn_research.tasks.contract import SPLITS, Split, split_index
from attn_research.tasks.data import forms, packed, splits, subwords

END = 0  # The byte that ends or joins texts; it does not occur in them.
# Who speaks; whether a stereotype helps; the gender of a pronoun.
GROUPS = ("speaker", "stereotype", "gender")


class Stretches(NamedTuple):
    """Concatenated values, and where each example begins and the last one ends."""

    values_L: Any
    offsets_N: Any


def data_option() -> str:
    """The option for the directory of data sets."""
    return option(
        "", "Directory of prepared data sets; empty: ATTN_RESEARCH_DATA, or the cache."
    )


def subwords_option() -> int:
    """The option for the vocabulary."""
    return option(
        0,
        "Size of a subword vocabulary, learned from the training split; 0: tokens are "
        "bytes.",
        low=0,
        high=subwords.MOST,
    )


def loaded(name: str, data_dir: str, *features: str) -> packed.Columns:
    """The columns of each of `SPLITS`, memory-mapped.

    Raises `BadInput` if the set is not prepared, or lacks one of the features in the
    form of `forms.FORMS`.
    """
    columns = splits.completed(packed.load(name, data_dir or None), name)
    forms.check(columns, name, features)
    return columns


def names(data: str, data_dir: str, feature: str = "label") -> tuple[str, ...]:
    """The names of a data set's classes; raises `BadInput` if it has none."""
    features = packed.manifest(data, data_dir or None)["features"]
    if features.get(feature, {}).get("kind") != "label":
        raise BadInput(
            f"The data set {data} must have classes in its feature {feature}"
        )
    return tuple(features[feature]["names"])


def labels(columns: packed.Columns, feature: str = "label") -> np.ndarray:
    """The classes of all examples, split after split.

    Raises `BadInput` for a number outside the classes: TFDS writes -1 for unknown ones.
    """
    if wrong := forms.fault(columns["train"][feature], forms.LABEL):
        raise BadInput(f"The feature {feature} {wrong}")
    classes = len(columns["train"][feature].feature.names)
    for split in SPLITS:
        found = np.asarray(columns[split][feature].values)
        for number in np.flatnonzero((found < 0) | (found >= classes))[:1].tolist():
            raise BadInput(
                f"Example {number} of {split} has the {feature} {found[number]}; it "
                f"must be 0 to {classes - 1}"
            )
    found = stacked({s: columns[s][feature].values for s in SPLITS})
    return found.astype(np.int32)


def groups(name: str, data_dir: str, feature: str = "") -> tuple[str, tuple[str, ...]]:
    """The feature by which the test groups examples, and the names of its groups.

    The first of `GROUPS` that a data set has and that is not the predicted `feature`;
    empty if there is none.
    """
    features = packed.manifest(name, data_dir or None)["features"]
    for group in GROUPS:
        if group != feature and features.get(group, {}).get("kind") == "label":
            return group, tuple(features[group]["names"])
    return "", ()


def stretches(rows: Iterable[np.ndarray]) -> Stretches:
    """Arrays of any length, concatenated; raises `BadInput` beyond int32."""
    rows = list(rows)
    offsets_N = np.cumsum([0, *map(len, rows)])
    if offsets_N[-1] > INT_MAX:
        raise BadInput(
            f"The examples hold {offsets_N[-1]:,} values; it must be at most "
            f"{INT_MAX:,}, which int32 can index"
        )
    return Stretches(np.concatenate(rows), offsets_N.astype(np.int32))


def coded(
    columns: Mapping[str, Iterable[np.ndarray]],
    training: Iterable[np.ndarray],
    count: int,
    data_dir: str = "",
) -> dict[str, Any]:
    """Columns of texts as stretches of tokens: bytes, or `count` subwords.

    Subwords are learned from the `training` texts; the column `pieces` has the bytes of
    each.
    """
    if not count:
        return {name: stretches(rows) for name, rows in columns.items()}
    found = subwords.learned(training, count, packed.data_dir(data_dir or None))
    tokens = {name: map(found.encoded, rows) for name, rows in columns.items()}
    tokens["pieces"] = map(partial(np.frombuffer, dtype=np.uint8), found.pieces)
    return {name: stretches(rows) for name, rows in tokens.items()}


def sizes(arrays: Any, tokens: jax.Array) -> jax.Array | None:
    """The number of bytes of each token; None if tokens are bytes."""
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
    """The arrays of the splits, concatenated."""
    return np.concatenate([np.asarray(columns[split]) for split in SPLITS])


def edges(columns: Mapping[str, Any]) -> np.ndarray:
    """Where each split begins, and the last one ends."""
    sizes = [len(columns[split]) for split in SPLITS]
    return np.cumsum([0, *sizes]).astype(np.int32)


def count(task: object, split: Split | jax.Array, arrays: Any) -> jax.Array:
    """The number of examples of a split: `count` of a task with `edges`."""
    return split_size(arrays["edges"], split)


def split_size(edges_4: jax.Array, split: Split | jax.Array) -> jax.Array:
    """The number of examples of a split."""
    place = split_index(split)
    return edges_4[place + 1] - edges_4[place]


def rows(edges_4: jax.Array, split: Split | jax.Array, index_B: jax.Array) -> jax.Array:
    """The rows, among all splits, of a split's examples with these numbers."""
    return edges_4[split_index(split)] + index_B


def window(
    column: Stretches, row_B: jax.Array, length: int
) -> tuple[jax.Array, jax.Array]:
    """The first `length` values of each example, BT..., and 1 for each real one."""
    return joined([column], row_B, length)


def joined(
    columns: Sequence[Stretches],
    row_B: jax.Array | Sequence[jax.Array],
    length: int,
) -> tuple[jax.Array, jax.Array]:
    """Stretches of several columns with an `END` between them, BT..., and segments.

    `row_B` may differ by column. What exceeds `length` is cut at its end.
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


def kept(
    fits_N: np.ndarray, edges_4: np.ndarray, given: str, data: str
) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the examples that fit, and where each split of them begins.

    Raises `BadInput` if a split has none; `given` says by which option.
    """
    chosen = np.flatnonzero(fits_N)
    edges = np.searchsorted(chosen, edges_4).astype(np.int32)
    for split, count in zip(SPLITS, np.diff(edges), strict=True):
        if not count:
            raise BadInput(
                f"{given}; it must be larger for the {split} split of {data} to have "
                "an example that can be answered"
            )
    return chosen, edges
