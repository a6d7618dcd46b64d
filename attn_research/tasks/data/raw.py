"""Raw files, gzipped or not: verified by size and digest, read as bytes."""

import gzip
import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from attn_research.options import BadInput
from attn_research.tasks.contract import SPLITS, Split
from attn_research.tasks.data.schema import DataSet


def verified(data: DataSet, raw_dir: Path) -> Path:
    """The folder of the raw files; raises `BadInput` if a size or digest differs."""
    folder = raw_dir / data.folder
    for file in data.files:
        path = folder / file.name
        if path.is_file() and path.stat().st_size != file.bytes:
            raise _other_size(path, path.stat().st_size, file.bytes, data)
        found = content(folder, file.name, f"; {data.name} is made from {data.source}")
        if len(found) != file.bytes:
            raise _other_size(path, len(found), file.bytes, data)
        digest = hashlib.sha256(found).hexdigest()
        if digest != file.sha256:
            raise BadInput(
                f"{path} has the SHA-256 {digest[:12]}...; it must be "
                f"{file.sha256[:12]}..., as in {data.source}: copy it again"
            )
    return folder


def _other_size(path: Path, size: int, wanted: int, data: DataSet) -> BadInput:
    return BadInput(
        f"{path} has {size:,} bytes; it must be {wanted:,}, as in {data.source}: copy "
        "it again"
    )


def content(folder: Path, name: str, needed: str = "") -> bytes:
    """The bytes of a file, or of its gzipped form `name`.gz.

    Raises `BadInput` if both are missing (`needed` ends the sentence), or if the
    gzipped one is damaged.
    """
    plain, packed = folder / name, folder / f"{name}.gz"
    try:
        if plain.exists() or not packed.exists():
            return plain.read_bytes()
        return gzip.decompress(packed.read_bytes())
    except FileNotFoundError:
        raise BadInput(f"{plain} (or {packed.name}) is missing{needed}") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(f"{packed} is damaged ({error}); copy it again") from None
    except OSError as error:
        raise BadInput(f"{error.filename} cannot be read: {error.strerror}") from None


def lines(folder: Path, name: str) -> list[bytes]:
    """The lines of a file, without newlines and without blanks at its end."""
    return content(folder, name).rstrip().split(b"\n")


def zipped(folder: Path, name: str) -> zipfile.ZipFile:
    """A zip file, opened; raises `BadInput` if it is damaged."""
    try:
        return zipfile.ZipFile(folder / name)
    except zipfile.BadZipFile as error:
        raise BadInput(f"{folder / name} is damaged ({error}); copy it again") from None


def objects(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    """The JSON objects of a file, one per line."""
    for number, line in enumerate(lines(folder, name), 1):
        yield parsed(line, f"{folder / name} line {number}")


def parsed(line: bytes, where: str) -> Any:
    """A JSON value; `encoded` restores bytes that are not UTF-8."""
    try:
        return json.loads(decoded(line))
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where} is not JSON ({error})") from None


def decoded(line: bytes) -> str:
    """Text whose bytes `encoded` restores, UTF-8 or not."""
    return line.decode(errors="surrogateescape")


def encoded(line: str) -> bytes:
    """The bytes of a text; half a surrogate pair, which JSON can spell, takes three."""
    try:
        return line.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return line.encode(errors="surrogatepass")


def parts(
    identifiers: Iterable[str], tenths: tuple[int, int, int] = (8, 1, 1)
) -> dict[str, Split]:
    """The split of each identifier: `tenths` of all for each, "
    "in the order of hashes."""
    ordered = sorted(
        set(identifiers), key=lambda name: hashlib.blake2b(encoded(name)).digest()
    )
    edges = [round(len(ordered) * sum(tenths[: n + 1]) / 10) for n in range(3)]
    return {
        name: SPLITS[sum(place >= edge for edge in edges[:-1])]
        for place, name in enumerate(ordered)
    }
