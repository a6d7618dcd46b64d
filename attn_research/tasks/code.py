"""Source code: the next byte, and names that were bound far above."""

import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.options import declared, option
from attn_research.tasks.contract import LARGEST, SPLITS, Batch, Spec, Split
from attn_research.tasks.parts import sets
from attn_research.tasks.parts.texts import ENDS, check, read
from attn_research.tasks.text import Text, path_option

SHORTEST, LONGEST = 4, 31  # letters of a name to complete
APART = 64  # bytes since the last occurrence of the name, at least
MOST = 512  # names to complete
TABLES = ("encodings", "pydoc_data")  # packages of stdlib that are data, not code
NAME = rb"[A-Za-z_][A-Za-z0-9_]{%d,%d}" % (SHORTEST - 1, LONGEST - 1)
GIVEN = re.compile(
    rb"\b(?:def|class)[ \t]+(NAME)[ \t]*[(:]"
    rb"|\bimport[ \t]+[\w.]+[ \t]+as[ \t]+(NAME)\b"
    rb"|^[ \t]*import[ \t]+(NAME)\b"
    rb"|\bas[ \t]+(NAME)[ \t]*[:,)]"
    rb"|\bfor[ \t]+(NAME)[ \t]+in\b"
    rb"|^[ \t]*(NAME)[ \t]*=(?!=)".replace(b"NAME", NAME),
    re.MULTILINE,
)
USED = re.compile(rb"\b%s\b" % NAME)


@declared
class Code:
    """The bytes of source code, one by one; the test also completes whole names.

    A directory is split by package, a folder or file at its top level: a package is
    never divided among splits. Batches are those of `text`. A name to complete was
    bound by its own file (by def, class, import, as, for, or an equals sign) in the
    bytes that the model sees, and last occurred at least 64 bytes before. The prompt
    ends before it; `gap` is the distance to where it was bound.
    """

    path: str = path_option()
    length: int = option(256, "Bytes in a sequence.", low=64, high=LARGEST)
    suffix: str = option(".py", "Read only files with this ending.")

    def __post_init__(self) -> None:
        check(self.path, "code.path")

    @property
    def spec(self) -> Spec:
        return Spec(
            inputs="tokens",
            features=256,
            target="token",
            outputs=256,
            length=self.length,
            causal=True,
            labels=self.length,
            metrics=("bits_per_byte", "loss", "accuracy"),
            chance=8.0,
            completes=True,
        )

    def notes(self, arrays: Any) -> list[str]:
        """The number of names to complete, and the notes of `text`."""
        count = int((np.asarray(arrays["names"])[:, 2] > 0).sum())
        note = f"The test completes {count:,} names."
        return [note, *self._text().notes(arrays)]

    def _text(self) -> Text:
        return Text(path=self.path, length=self.length)

    def arrays(self) -> dict[str, Any]:
        """The bytes of the splits, concatenated, and the names to complete.

        A name is the place of its prompt, its own place, its size and its gap.
        """
        parts = read(self.path, self.suffix, _package)
        text = self._text().checked({"text": sets.stretches(parts[s] for s in SPLITS)})
        first = int(text["text"].offsets_N[SPLITS.index("test")])
        found_N4 = self._names(bytes(parts["test"]))
        # Shuffled, so that the first few come from all files.
        order_N = np.random.default_rng(0).permutation(len(found_N4))[:MOST]
        found_N4 = found_N4[order_N]
        return {**text, "names": found_N4 + np.array([[first, first, 0, 0]], np.int32)}

    def _names(self, stream: bytes) -> np.ndarray:
        """The prompt, place, size and gap of each name that can be completed."""
        seen, found, begin = self.length - LONGEST - 1, [], 0
        for file in stream.split(bytes([ENDS])):
            given = {
                match.start(match.lastindex or 0) for match in GIVEN.finditer(file)
            }
            origin: dict[bytes, int] = {}
            last: dict[bytes, int] = {}
            for match in USED.finditer(file):
                name, at = match[0], match.start()
                since = at - origin.get(name, -seen)
                if since < seen and at - last[name] >= APART and at not in given:
                    prompt = max(0, at - seen)
                    found.append((begin + prompt, begin + at, len(name), since))
                if at in given:
                    origin[name] = at
                last[name] = at
            begin += len(file) + 1
        # Without any, one of size 0, which does not count.
        return np.array(found or [(0, 0, 0, 0)], np.int32)

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: Any = ()
    ) -> Batch:
        return self._text().batch(key, split, size, arrays)

    def completions(self, index_B: jax.Array, arrays: Any) -> Batch:
        """Prompts of the test and the names that follow; no weight beyond the last.

        Inputs and segments have the length of the longest prompt, targets that of the
        longest name.
        """
        names_N4 = arrays["names"]
        real_B = index_B < len(names_N4)
        begin_B, at_B, size_B, gap_B = jnp.where(
            real_B[:, None], names_N4[jnp.minimum(index_B, len(names_N4) - 1)], 0
        ).T
        seen_BS, told_BS = _window(
            arrays, begin_B, at_B - begin_B, self.length - LONGEST - 1
        )
        name_BL, real_BL = _window(arrays, at_B, size_B, LONGEST)
        return Batch(
            inputs=seen_BS,
            targets=name_BL,
            weights=real_BL.astype(jnp.float32),
            segments=told_BS,
            gap=gap_B,
        )


def _package(file: Path) -> str:
    """The top-level folder or file that a file belongs to; "" for tables of data."""
    package = file.parts[0].removesuffix(".py")
    return "" if package in TABLES else package


def _window(
    arrays: Any, begin_B: jax.Array, size_B: jax.Array, length: int
) -> tuple[jax.Array, jax.Array]:
    """`size` bytes from `begin` on, then zeros, and 1 for each byte."""
    real_BT = jnp.arange(length)[None] < size_B[:, None]
    at_BT = jnp.where(real_BT, begin_B[:, None] + jnp.arange(length)[None], 0)
    byte_BT = arrays["text"].values_L[at_BT].astype(jnp.int32)
    return jnp.where(real_BT, byte_BT, ENDS), real_BT.astype(jnp.int32)
