"""Language modelling on files, bytes or subwords: text and code of natural length."""

import hashlib
import os
import sysconfig
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

# Of twenty parts of the data: eighteen to train on, one each to choose and to test.
PARTS = {"train": range(18), "validation": range(18, 19), "test": range(19, 20)}
ENDS = 0  # The byte between files; text holds none of its own.
PREPARED = "data:"  # A path that begins so names a data set.


@dataclass(frozen=True)
class Text:
    """Bytes of a file or directory, or subwords of them, predicted one by one.

    A directory is split by file (by the hash of its relative path), one file by
    contiguous blocks, a data set as it is. Files, and texts of a set, are joined by a
    zero byte, which ends a segment: no document sees another. `gap` is the distance
    back to where the last four bytes, or the last two subwords, stood before in the
    same window, -1 if nowhere.
    """

    path: str = option(
        "stdlib",
        "File or directory; stdlib is this Python's own library source, data:NAME the "
        "texts of a prepared data set.",
    )
    length: int = option(256, "Bytes, or subwords, in a sequence.", low=1)
    suffix: str = option("", "Only files ending so are read; stdlib reads .py.")
    subwords: int = sets.subwords_option()

    def __post_init__(self) -> None:
        subwords.check(self.subwords, "text.subwords")

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
        )

    def arrays(self) -> dict[str, Any]:
        """The tokens of the splits one after another.

        Raises `BadInput` where a split has too few.
        """
        parts = read(self.path, self.suffix)
        rows = [parts[split] for split in SPLITS]
        arrays = sets.coded({"text": rows}, [parts["train"]], self.subwords)
        kind = "subwords" if self.subwords else "bytes"
        for name, size in zip(SPLITS, np.diff(arrays["text"].offsets_N), strict=True):
            if size <= self.length + 1:
                raise BadInput(
                    f"{self.path} gives the {name} split {size} {kind}; more than "
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


def read(path: str, suffix: str = "") -> dict[str, np.ndarray]:
    """The bytes of each split of a file, directory or data set, as uint8 arrays."""
    if path.startswith(PREPARED):
        return _prepared(path.removeprefix(PREPARED))
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
        parts[_part(file.relative_to(root).as_posix())].append(content)
    for split, contents in parts.items():
        if not contents:
            raise BadInput(
                f"{path} has {len(files)} files, too few to split by file (the {split} "
                "split is empty); give one file, or a larger directory"
            )
    return {
        split: np.frombuffer(bytes([ENDS]).join(contents), np.uint8)
        for split, contents in parts.items()
    }


def _prepared(name: str) -> dict[str, np.ndarray]:
    """The texts of a data set, each ended by the byte between files."""
    columns = sets.loaded(name, "", "text")
    end = np.array([ENDS], np.uint8)
    texts = {split: columns[split]["text"] for split in SPLITS}
    return {
        split: np.concatenate([part for text in own for part in (text, end)])
        for split, own in texts.items()
    }


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
