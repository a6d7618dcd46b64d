"""Language modelling on files, bytes or subwords: text and code of natural length."""

import hashlib
import os
import re
import sysconfig
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.options import BadInput, option
from attn_research.tasks import sets
from attn_research.tasks.contract import (
    SPLITS,
    Batch,
    Draws,
    Spec,
    Split,
    split_index,
)
from attn_research.tasks.data import subwords
from attn_research.tasks.data.raw import decoded

# Of twenty parts of the data: eighteen to train on, one each to choose and to test.
PARTS = {"train": range(18), "validation": range(18, 19), "test": range(19, 20)}
ENDS = 0  # The byte between files; text holds none of its own.
STRANGE = re.compile("[\udc80-\udcff]")  # how `decoded` keeps what is no UTF-8


@dataclass(frozen=True)
class Text:
    """Bytes of texts, or subwords of them, predicted one by one.

    The texts are those of a prepared data set, each once, or of a file or directory. A
    directory is split by file (by the hash of its relative path), one file by
    contiguous blocks. Texts are joined by a zero byte, which ends a segment: no
    document sees another. `gap` is the distance back to where the last four bytes, or
    the last two subwords, stood before in the same window, -1 if nowhere.
    """

    path: str = option(
        "stdlib", "File or directory; stdlib is this Python's own library source."
    )
    length: int = option(256, "Bytes, or subwords, in a sequence.", low=1)
    suffix: str = option("", "Only files ending so are read; stdlib reads .py.")
    subwords: int = sets.subwords_option()
    data: str = option("", "Data set that is read in place of `path`.")
    feature: str = option("text", "The feature of it that is read.")
    data_dir: str = sets.data_option()

    def __post_init__(self) -> None:
        subwords.check(self.subwords, "text.subwords")
        if self.data and self.path != "stdlib":
            raise BadInput(
                f"There are a path, {self.path}, and a data set, {self.data}; give one "
                "of both"
            )

    @property
    def spec(self) -> Spec:
        return Spec(
            inputs="tokens",
            features=self.subwords or subwords.BYTES,
            target="token",
            outputs=self.subwords or subwords.BYTES,
            length=self.length,
            causal=True,
            labels=self.length,
            metrics=("bits_per_byte", "loss", "accuracy"),
            chance=None if self.subwords else 8.0,
            subwords=self.subwords > 0,
            noted=True,
        )

    def notes(self, arrays: Any) -> list[str]:
        """What is no UTF-8, of bytes, and what stands for a split that there is not."""
        told = sets.divisions(self.data, self.data_dir) if self.data else []
        stream = np.asarray(arrays["text"].values_L)
        if stream.dtype == np.uint8:
            strange = len(STRANGE.findall(decoded(stream.tobytes())))
            told += [
                f"{strange:,} bytes of {self.data or self.path} are no UTF-8 and read "
                "as they are."
            ] * (strange > 0)
        return told

    def arrays(self) -> dict[str, Any]:
        """The tokens of the splits one after another.

        Raises `BadInput` where a split has too few.
        """
        if self.data:
            parts = documents(self.data, self.data_dir, self.feature)
        else:
            parts = read(self.path, self.suffix)
        rows = [parts[split] for split in SPLITS]
        return self.checked(
            sets.coded({"text": rows}, [parts["train"]], self.subwords, self.data_dir)
        )

    def checked(self, arrays: dict[str, Any]) -> dict[str, Any]:
        """The arrays; raises `BadInput` where a split has too few tokens."""
        kind = "subwords" if self.subwords else "bytes"
        for name, size in zip(SPLITS, np.diff(arrays["text"].offsets_N), strict=True):
            if size <= self.length + 1:
                raise BadInput(
                    f"{self.data or self.path} gives the {name} split {size} {kind}; "
                    "more than "
                    f"{self.length + 1} are needed for a length of {self.length}"
                )
        return arrays

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: Any = ()
    ) -> Batch:
        data_L, edges_4 = arrays["text"]
        low, high = edges_4[split_index(split)], edges_4[split_index(split) + 1]
        starts = high - low - self.length
        start_B1 = low + Draws(key, split, size, 1).integers(1, starts)
        window_1T = jnp.arange(self.length + 1)[None]
        window_BT = data_L[start_B1 + window_1T].astype(jnp.int32)
        inputs_BT, targets_BT = window_BT[:, :-1], window_BT[:, 1:]
        ended_BT = jnp.cumsum(inputs_BT == ENDS, axis=1)
        return Batch(
            inputs=inputs_BT,
            targets=targets_BT,
            weights=jnp.ones((size, self.length)),
            # The zero byte opens the segment of the file that follows it.
            segments=1 + ended_BT,
            gap=repeat_distance(inputs_BT, 2 if self.subwords else 4),
            bytes=sets.sizes(arrays, targets_BT),
        )


def repeat_distance(tokens_BT: jax.Array, order: int = 4) -> jax.Array:
    """Distance back to the last earlier position with the same `order` last tokens.

    A token has 32 / `order` bits. -1 where there is none; found by a stable sort,
    O(T log T).
    """
    code_BT = jnp.zeros(tokens_BT.shape, jnp.uint32)
    for back in range(order):
        shifted_BT = jnp.pad(tokens_BT, ((0, 0), (back, 0)))[:, : tokens_BT.shape[1]]
        code_BT = code_BT | (shifted_BT.astype(jnp.uint32) << (32 // order * back))
    order_BT = jnp.argsort(code_BT, axis=1, stable=True)
    sorted_BT = jnp.take_along_axis(code_BT, order_BT, axis=1)
    same_BT = jnp.pad(sorted_BT[:, 1:] == sorted_BT[:, :-1], ((0, 0), (1, 0)))
    before_BT = jnp.pad(order_BT, ((0, 0), (1, 0)))[:, :-1]
    # The first order - 1 positions of a window have no whole context.
    same_BT &= before_BT >= order - 1
    found_BT = jnp.where(same_BT, order_BT - before_BT, -1)
    rows_B1 = jnp.arange(tokens_BT.shape[0])[:, None]
    return jnp.zeros_like(found_BT).at[rows_B1, order_BT].set(found_BT)


def documents(data: str, data_dir: str, feature: str) -> dict[str, np.ndarray]:
    """The texts of each split of a data set, each once, as uint8 arrays.

    Raises `BadInput` where the feature is no text.
    """
    columns = sets.loaded(data, data_dir, feature)
    if columns["train"][feature].feature.kind != "text":
        raise BadInput(f"The feature {feature} of {data} is no text; choose another")
    # A paragraph may stand with each of its questions.
    return {
        split: _joined(dict.fromkeys(map(bytes, columns[split][feature])))
        for split in SPLITS
    }


def read(
    path: str, suffix: str = "", part: Callable[[Path], str] = Path.as_posix
) -> dict[str, np.ndarray]:
    """The bytes of each split of a file or directory, as uint8 arrays.

    Of a directory, files whose `part` is the same are in one split, those where it is
    empty in none.
    """
    if path == "stdlib":
        root, suffix = Path(sysconfig.get_paths()["stdlib"]), suffix or ".py"
    else:
        root = Path(path).expanduser()
    if not root.exists():
        raise BadInput(f"{path} does not exist; give a file or a directory of text")
    files = [root] if root.is_file() else _files(root, suffix)
    if not files:
        raise BadInput(f"{path} holds no file{f' ending in {suffix}' * bool(suffix)}")
    try:
        texts = [file.read_bytes() for file in files]
    except OSError as error:
        raise BadInput(f"{error.filename} cannot be read: {error.strerror}") from None
    if not any(texts):
        raise BadInput(f"{path} is empty; give a file or a directory of text")
    if root.is_file():
        return _blocks(np.frombuffer(texts[0], np.uint8))
    parts: dict[str, list[bytes]] = {split: [] for split in SPLITS}
    for file, content in zip(files, texts, strict=True):
        if name := part(file.relative_to(root)):
            parts[_part(name)].append(content)
    for split, contents in parts.items():
        if not contents:
            raise BadInput(
                f"{path} has {len(files)} files, too few to split by file (the {split} "
                "split is empty); give one file, or a larger directory"
            )
    return {split: _joined(contents) for split, contents in parts.items()}


def _joined(contents: Iterable[bytes]) -> np.ndarray:
    return np.frombuffer(bytes([ENDS]).join(contents), np.uint8)


def _files(root: Path, suffix: str) -> list[Path]:
    """Files below a directory in a fixed order; installed packages are no source."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(
            f for f in folders if f not in ("site-packages", "__pycache__")
            and not f.startswith(".")
        )  # fmt: skip
        found += [Path(folder, n) for n in sorted(names) if n.endswith(suffix)]
    return [file for file in found if file.is_file()]


def _part(name: str) -> str:
    digest = hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=8)
    slot = int.from_bytes(digest.digest(), "big") % 20
    return next(split for split, slots in PARTS.items() if slot in slots)


def _blocks(data: np.ndarray) -> dict[str, np.ndarray]:
    edge = [data.size * slots.stop // 20 for slots in PARTS.values()]
    cuts = zip([0, *edge], edge, strict=False)
    return {
        split: data[low:high] for split, (low, high) in zip(PARTS, cuts, strict=True)
    }
