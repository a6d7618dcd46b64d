"""Files that survive a kill and a power cut: names, syncs and atomic writes.

A file is written to a temporary name, synced and renamed, and the directory synced, so
that a reader sees the old content or the new one. JSON is sealed (see `seals`), so that
what is read is what was written. Logs are in `journal`.
"""

import errno
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from attn_research.host import seals
from attn_research.host.disk import refusal
from attn_research.options import BadInput

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.=,+-]{0,119}")


class Damaged(BadInput):
    """The content of a file differs from what was written into it."""


class Busy(BadInput):
    """Another process is writing into the directory."""


class DiskError(OSError):
    """The disk refused a read or a write: full, over quota, read-only or broken."""

    def __str__(self) -> str:
        return self.strerror or super().__str__()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns an error of the disk into a `DiskError` that names `path`.

    That of a library too, which may have wrapped it (see `disk`).
    """
    try:
        yield
    except DiskError:
        raise
    except Exception as error:
        code = refusal(error) or (error.errno if isinstance(error, OSError) else None)
        if code is None and not isinstance(error, OSError):
            raise
        reason = os.strerror(code) if code else str(error)
        text = f"Could not write {path} ({reason})"
        raise DiskError(code or errno.EIO, text) from error


def unreadable(path: str | os.PathLike[str], error: OSError) -> OSError | Damaged:
    """The error to raise for a file that cannot be read: `Damaged` if it is missing.

    What the disk refuses says nothing of the file's content.
    """
    text = f"{path} cannot be read ({error.strerror})"
    return DiskError(error.errno, text) if refusal(error) else Damaged(text)


def safe_name(name: str) -> bool:
    """Whether a name is safe as a file name: it stays in its directory."""
    return bool(NAME.fullmatch(name)) and ".." not in name


def check_name(name: str, what: str) -> str:
    """`name` if it is safe as a file name; refuses it otherwise, never repairs it."""
    if safe_name(name):
        return name
    raise BadInput(
        f"{what} is {name!r}; it must be at most 120 of A-Z a-z 0-9 _ . = , + - "
        "without '..', and begin with a letter or a digit"
    )


def fsync(path: Path) -> None:
    """Makes a file's content, or the names in a directory, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def fsync_tree(root: Path) -> None:
    """Makes every file and every name below `root` survive a power cut."""
    for folder, _, files in os.walk(root, topdown=False):
        for name in files:
            fsync(Path(folder, name))
        fsync(Path(folder))


def atomic_write(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Replaces a file as a whole; raises `DiskError` and leaves the old one."""
    path = Path(path)
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        fsync(path.parent)


LEFTOVER = re.compile(r"\..+\.(\d+)\.tmp")


def clear(directory: Path) -> None:
    """Deletes what `atomic_write` left there of processes that are gone."""
    with suppress(FileNotFoundError):
        for name in os.listdir(directory):
            found = LEFTOVER.fullmatch(name)
            if found and not _alive(int(found[1])):
                with suppress(IsADirectoryError, FileNotFoundError):
                    os.unlink(directory / name)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # numpy and jax arrays and scalars
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not JSON")


def to_json(value: Any, indent: int | None = None) -> str:
    """The JSON of `value`, arrays as lists."""
    return json.dumps(value, indent=indent, default=_plain)


def write_json(path: str | os.PathLike[str], value: Mapping[str, Any]) -> None:
    """Replaces a file with the sealed JSON of a mapping, arrays as lists."""
    atomic_write(path, seals.seal(to_json(value, indent=1)))


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The object in a JSON file without its seal; raises `Damaged` naming the file."""
    try:
        data = Path(path).read_bytes()
        seals.sealed(data)
        value = json.loads(data)
    except OSError as error:
        raise unreadable(path, error) from error
    except RecursionError as error:
        raise Damaged(f"{path} is damaged (it is nested too deeply)") from error
    except UnicodeDecodeError as error:
        raise Damaged(f"{path} is damaged (it is not UTF-8)") from error
    except json.JSONDecodeError as error:
        raise Damaged(f"{path} is damaged (it is not JSON: {error})") from error
    except ValueError as error:
        raise Damaged(f"{path} is damaged ({error})") from error
    if not isinstance(value, dict):
        raise Damaged(f"{path} is damaged (it must hold a JSON object)")
    value.pop("seal", None)
    return value
