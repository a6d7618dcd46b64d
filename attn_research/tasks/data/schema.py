"""The schema of a data set: its features, raw files, splits and reader."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from attn_research.options import BadInput, unknown
from attn_research.tasks.contract import SPLITS, Split

Kind = Literal["text", "texts", "label", "array"]
Example = dict[str, Any]


@dataclass(frozen=True)
class Feature:
    """One column of a data set; `about` describes it.

    A `text` is bytes of UTF-8, `texts` a list of them, a `label` an index into `names`,
    an `array` numbers of a dtype and shape, whose first axis varies if it is None.
    """

    kind: Kind
    about: str
    dtype: str = "uint8"
    shape: tuple[int | None, ...] = ()
    names: tuple[str, ...] = ()

    @property
    def varies(self) -> bool:
        """Whether examples vary in length."""
        return self.kind in ("text", "texts") or None in self.shape[:1]

    @property
    def rest(self) -> tuple[int, ...]:
        """The axes of every element of a packed column."""
        return tuple(int(n or 0) for n in self.shape[self.varies :])


def text(about: str) -> Feature:
    """A feature of UTF-8 bytes."""
    return Feature("text", about)


def texts(about: str) -> Feature:
    """A feature of any number of texts."""
    return Feature("texts", about)


def label(names: Iterable[str], about: str) -> Feature:
    """A feature that is one of some names, stored as its index."""
    return Feature("label", about, "int32", names=tuple(names))


def array(dtype: str, shape: tuple[int | None, ...], about: str) -> Feature:
    """A feature of numbers; a first axis of None may have any length."""
    return Feature("array", about, dtype, shape)


@dataclass(frozen=True)
class File:
    """A raw file, identified by the size and digest of its content without gzip."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class DataSet:
    """A data set made from raw files: `generate` yields (split, example) in order.

    `source` is where a user gets the files, `folder` where they are expected; `split`
    says how the examples are divided; `examples` is the count of each split.
    """

    name: str
    task: str
    licence: str
    source: str
    folder: str
    files: tuple[File, ...]
    features: Mapping[str, Feature]
    split: str
    examples: Mapping[Split, int]
    generate: Callable[[Path], Iterator[tuple[Split, Example]]]
    version: str = "1.0.0"


class Collected(NamedTuple):
    """The examples of each split in order, and the number of bytes not UTF-8."""

    splits: dict[Split, list[Example]]
    replaced: dict[str, int]


def collect(data: DataSet, stream: Iterable[tuple[Split, Example]]) -> Collected:
    """The examples that a reader yields, each in the form of its schema.

    Raises `BadInput` naming an example that does not fit, or a split of another size.
    """
    splits: dict[Split, list[Example]] = {split: [] for split in SPLITS}
    replaced: Counter[str] = Counter()
    for split, example in stream:
        if split not in splits:
            raise unknown(f"split of {data.name}", split, splits)
        where = f"{data.name}: example {len(splits[split])} of {split}"
        if example.keys() != data.features.keys():
            raise BadInput(
                f"{where} has the features {', '.join(example)}; they must be "
                f"{', '.join(data.features)}"
            )
        fitted = {}
        for name, value in example.items():
            try:
                fitted[name] = fit(data.features[name], name, value, replaced)
            except BadInput as error:
                raise BadInput(f"{where} {error}") from None
        splits[split].append(fitted)
    for split, wanted in data.examples.items():
        if len(splits[split]) != wanted:
            raise BadInput(
                f"{data.name} has {len(splits[split]):,} {split} examples; it must be "
                f"{wanted:,}"
            )
    return Collected(splits, dict(replaced))


def fit(feature: Feature, name: str, value: Any, replaced: Counter[str]) -> Any:
    """`value` in the dtype of its feature; raises `BadInput` if it does not fit."""
    if feature.kind == "texts":
        return [fit(text(feature.about), name, item, replaced) for item in value]
    if feature.kind == "text":
        clean = as_utf8(value)
        if clean != value:
            replaced[name] += sum(a != b for a, b in zip(clean, value, strict=True))
        if not clean.strip():
            raise BadInput(f"has an empty {name}")
        return clean
    if feature.kind == "label":
        if not 0 <= int(value) < len(feature.names):
            raise BadInput(
                f"has the {name} {value}; it must be 0 to {len(feature.names) - 1}"
            )
        return int(value)
    return numbers(feature, name, value)


def numbers(feature: Feature, name: str, value: Any) -> np.ndarray:
    """`value` in the dtype of its feature.

    Raises `BadInput` if its shape is another, a number does not fit or is not finite.
    """
    found = np.asarray(value)
    shape = (*found.shape[: feature.varies], *feature.rest)
    if found.ndim != len(feature.shape) or found.shape != shape:
        raise BadInput(f"has {name} of shape {found.shape}; it must be {feature.shape}")
    with np.errstate(over="ignore", invalid="ignore"):
        converted = found.astype(feature.dtype, copy=False)
    whole = found.dtype.kind in "iub" or converted.dtype.kind in "iub"
    if whole and not np.array_equal(converted, found):
        raise BadInput(f"has {name} that {feature.dtype} cannot hold")
    if converted.dtype.kind in "fc" and not np.all(np.isfinite(converted)):
        place = np.argwhere(~np.isfinite(converted))[0]
        wrong, at = found[tuple(place)], ", ".join(map(str, place))
        raise BadInput(
            f"holds {wrong} at [{at}] of {name}; every number must be finite"
        )
    return converted


def as_utf8(content: bytes) -> bytes:
    """`content` with `?` for each byte that is not UTF-8, so that no byte moves."""
    try:
        content.decode()
    except UnicodeDecodeError:
        return content.decode(errors="surrogateescape").encode(errors="replace")
    return content
