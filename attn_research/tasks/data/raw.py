"""Raw files: verified by size and digest, read as bytes, packed by gzip or not."""

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
    """The folder of the raw files, each of the size and digest that it should have."""
    folder = raw_dir / data.folder
    for file in data.files:
        found = content(folder, file.name, f"; {data.name} is made from {data.source}")
        path = folder / file.name
        if len(found) != file.bytes:
            raise BadInput(
                f"{path} holds {len(found):,} bytes, {file.bytes:,} are expected; copy "
                f"it again from {data.source}"
            )
        digest = hashlib.sha256(found).hexdigest()
        if digest != file.sha256:
            raise BadInput(
                f"{path} has the SHA-256 {digest[:12]}..., {file.sha256[:12]}... is "
                f"expected; copy it again from {data.source}"
            )
    return folder


def content(folder: Path, name: str, needed: str = "") -> bytes:
    """The bytes of a file, or of its gzip-packed form `name`.gz.

    Raises `BadInput` where there is neither (`needed` ends the sentence), or where the
    packed one is damaged.
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
    """The lines of a file, without the newlines and what is blank at the end."""
    return content(folder, name).rstrip().split(b"\n")


def zipped(folder: Path, name: str) -> zipfile.ZipFile:
    """A zip file, opened; raises `BadInput` where it is damaged."""
    try:
        return zipfile.ZipFile(folder / name)
    except zipfile.BadZipFile as error:
        raise BadInput(f"{folder / name} is damaged ({error}); copy it again") from None


def objects(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    """The JSON objects of a file, one a line."""
    for number, line in enumerate(lines(folder, name), 1):
        yield parsed(line, f"{folder / name} line {number}")


def parsed(line: bytes, where: str) -> Any:
    """A JSON value; bytes that are no UTF-8 stay what they are for `encoded`."""
    try:
        return json.loads(decoded(line))
    except ValueError as error:
        raise BadInput(f"{where} is no JSON ({error})") from None


def decoded(line: bytes) -> str:
    """Text whose bytes `encoded` gives back, be they UTF-8 or not."""
    return line.decode(errors="surrogateescape")


def encoded(line: str) -> bytes:
    """The bytes of a text; half a surrogate pair, which JSON can spell, as three."""
    try:
        return line.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return line.encode(errors="surrogatepass")


def parts(
    identifiers: Iterable[str], tenths: tuple[int, int, int] = (8, 1, 1)
) -> dict[str, Split]:
    """The split of each identifier: so many tenths of all, in the order of hashes."""
    ordered = sorted(
        set(identifiers), key=lambda name: hashlib.blake2b(encoded(name)).digest()
    )
    edges = [round(len(ordered) * sum(tenths[: n + 1]) / 10) for n in range(3)]
    return {
        name: SPLITS[sum(place >= edge for edge in edges[:-1])]
        for place, name in enumerate(ordered)
    }
