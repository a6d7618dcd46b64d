"""What a data set is: its features, its raw files, its splits and its reader."""

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
    """One named column of a data set, and what it is about.

    A `text` is bytes of UTF-8, `texts` a list of them, a `label` a place in `names`, an
    `array` numbers of a dtype and shape, whose first axis varies where it is None.
    """

    kind: Kind
    about: str
    dtype: str = "uint8"
    shape: tuple[int | None, ...] = ()
    names: tuple[str, ...] = ()

    @property
    def varies(self) -> bool:
        """Whether one example is longer than another."""
        return self.kind in ("text", "texts") or None in self.shape[:1]

    @property
    def rest(self) -> tuple[int, ...]:
        """The axes that every element of a packed column has."""
        return tuple(int(n or 0) for n in self.shape[self.varies :])


def text(about: str) -> Feature:
    """A feature of UTF-8 bytes."""
    return Feature("text", about)


def texts(about: str) -> Feature:
    """A feature of any number of texts."""
    return Feature("texts", about)


def label(names: Iterable[str], about: str) -> Feature:
    """A feature that is one of some names, kept as its place among them."""
    return Feature("label", about, "int32", names=tuple(names))


def array(dtype: str, shape: tuple[int | None, ...], about: str) -> Feature:
    """A feature of numbers; a first axis of None may have any length."""
    return Feature("array", about, dtype, shape)


@dataclass(frozen=True)
class File:
    """A raw file, known by the size and the digest of its content, unpacked of gzip."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class DataSet:
    """A data set made from raw files: `generate` yields (split, example) in order.

    `source` says where a user gets the files, which lie in `folder`; `split` how the
    examples are divided; `examples` how many there are in each split.
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
    """The examples of each split in order, and how many bytes were no UTF-8."""

    splits: dict[Split, list[Example]]
    replaced: dict[str, int]


def collect(data: DataSet, stream: Iterable[tuple[Split, Example]]) -> Collected:
    """What a reader yields, each example as its schema says.

    Raises `BadInput` naming the example that does not fit, or the split that has not
    as many as it should.
    """
    splits: dict[Split, list[Example]] = {split: [] for split in SPLITS}
    replaced: Counter[str] = Counter()
    for split, example in stream:
        if split not in splits:
            raise unknown(f"split of {data.name}", split, splits)
        where = f"{data.name}: example {len(splits[split])} of {split}"
        if example.keys() != data.features.keys():
            raise BadInput(
                f"{where} has {', '.join(example)}; it should have "
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
                f"{data.name} has {len(splits[split]):,} {split} examples; {wanted:,} "
                "are expected"
            )
    return Collected(splits, dict(replaced))


def fit(feature: Feature, name: str, value: Any, replaced: Counter[str]) -> Any:
    """`value` in the dtype of its feature; raises `BadInput` where it cannot be one."""
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
                f"has the {name} {value}; 0 to {len(feature.names) - 1} is allowed"
            )
        return int(value)
    found = np.asarray(value)
    shape = (*found.shape[: feature.varies], *feature.rest)
    if found.ndim != len(feature.shape) or found.shape != shape:
        raise BadInput(f"has {name} of shape {found.shape}, not {feature.shape}")
    converted = found.astype(feature.dtype)
    if found.dtype.kind in "iub" and not np.array_equal(converted, found):
        raise BadInput(f"has {name} beyond {feature.dtype}")
    if converted.dtype.kind == "f" and not np.all(np.isfinite(converted)):
        raise BadInput(f"has {name} that is not finite")
    return converted


def as_utf8(content: bytes) -> bytes:
    """`content` with `?` for each byte that is no UTF-8, so that no byte moves."""
    try:
        content.decode()
    except UnicodeDecodeError:
        return content.decode(errors="surrogateescape").encode(errors="replace")
    return content
