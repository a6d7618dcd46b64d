"""Images by pillow and recordings by soundfile, as the tasks read them."""

import contextlib
import io
import re
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from attn_research.options import BadInput
from attn_research.tasks.data import files
from attn_research.tasks.data.own.columns import Missing
from attn_research.tasks.data.own.tables import Row

EXTRA = "install the extra: pip install .[media]"
RATE = 8000  # samples a second, as the tasks of audio read them
PIXELS = 2**24  # of an image, at most


def _stored(row: Row, column: str, base: Path, role: str) -> bytes:
    """The bytes of a file that a cell names below `base`, or holds."""
    value = row.cells[column]
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str | Path) or not str(value).strip():
        raise Missing(f"{row.where} has no {role}")
    if isinstance(value, str):
        value = files.place(value, f"The {role} of {row.where}", "a file")
    path = base / value
    if files.kind(path) == "missing":
        raise BadInput(f"{row.where} names {path}, which is not there; it must be a "
                       "file")  # fmt: skip
    return files.content(path)


def measures(size: str) -> tuple[int, int] | None:
    """Height and width of `28x28`, None if nothing is given."""
    if not size:
        return None
    found = re.fullmatch(r"([1-9]\d{0,3})x([1-9]\d{0,3})", size)
    if found is None:
        raise BadInput(f"--size is {size!r}; it must be HEIGHTxWIDTH, such as 32x32")
    return int(found[1]), int(found[2])


def image(row: Row, column: str, base: Path, size: tuple[int, int] | None) -> Any:
    """Pixels as uint8: (height, width) if grey, (height, width, 3) if coloured.

    A transparent image lies on white; a photo is turned as its camera was held. Resized
    if a `size` is given.
    """
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise BadInput(f"Images are read by pillow; {EXTRA}") from None
    stored = _stored(row, column, base, "image")
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(stored)) as opened:
            warnings.simplefilter("ignore")
            if opened.width * opened.height > PIXELS:
                raise ValueError(f"{opened.width} x {opened.height} pixels")
            with contextlib.suppress(SyntaxError, ValueError, struct.error):
                # Damaged notes of a camera say nothing; the pixels may be whole.
                ImageOps.exif_transpose(opened, in_place=True)
            grey = opened.mode in ("1", "L", "I", "I;16", "F")
            if opened.mode.startswith(("I", "F")):
                raise ValueError("its pixels have more than 8 bits")
            if opened.mode in ("LA", "PA", "RGBA") or "transparency" in opened.info:
                grey = opened.mode == "LA"
                above = opened.convert("RGBA")
                paper = Image.new("RGBA", above.size, "white")
                made = Image.alpha_composite(paper, above).convert("RGB")
            else:
                made = opened.convert("RGB")
            made = made.convert("L") if grey else made
            if size is not None and made.size != (size[1], size[0]):
                made = made.resize(
                    (size[1], size[0]), Image.Resampling.BILINEAR, reducing_gap=3
                )
            return np.asarray(made, np.uint8)
    except Exception as error:  # many kinds, by what is damaged
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise BadInput(
            f"The image of {row.where} cannot be read ({reason}); it must be of at "
            f"most {PIXELS:,} pixels of 8 bits, in a form that pillow reads"
        ) from None


def alike(images: list[np.ndarray], places: list[str]) -> list[np.ndarray]:
    """Images of one shape: grey ones get three channels if one is coloured.

    Raises `BadInput` if two differ in size.
    """
    for made, place in zip(images, places, strict=True):
        if made.shape[:2] != images[0].shape[:2]:
            height, width = images[0].shape[:2]
            raise BadInput(
                f"The image of {place} has {made.shape[0]} x {made.shape[1]} pixels, "
                f"that of {places[0]} {height} x {width}; they must be of one size: "
                f"--size={height}x{width} resizes them"
            )
    if all(made.ndim == 2 for made in images):
        return images
    return [m if m.ndim == 3 else np.repeat(m[..., None], 3, 2) for m in images]


def audio(row: Row, column: str, base: Path) -> np.ndarray:
    """The samples of a recording as int16, the mean of its channels."""
    try:
        import soundfile
    except (ImportError, OSError):  # the package, or the library that it loads
        raise BadInput(f"Recordings are read by soundfile; {EXTRA}") from None
    stored = _stored(row, column, base, "audio")
    try:
        wave_LC, rate = soundfile.read(
            io.BytesIO(stored), dtype="int16", always_2d=True
        )
    except Exception as error:  # many kinds, by what is damaged
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise BadInput(
            f"The audio of {row.where} cannot be read ({reason}); it must be in a form "
            "that soundfile reads"
        ) from None
    if rate != RATE:
        raise BadInput(
            f"The audio of {row.where} has {rate:,} samples a second; it must be "
            f"{RATE:,}: resample it"
        )
    if not len(wave_LC):
        raise Missing(f"The audio of {row.where} has no sample")
    return np.rint(wave_LC.mean(axis=1)).astype(np.int16)
