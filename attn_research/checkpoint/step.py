"""The directory of one step: Orbax for the arrays, digests for the truth.

    <step>/<item>/       one Orbax tree per item
          /facts.json    the facts, and the digests of every leaf and every file
          /facts.digest  the digest of facts.json

Orbax neither syncs its metadata nor notices a flipped bit. So every leaf is digested
when it is saved and when it is read; and every file before Orbax opens it, because
Orbax fails on damage in many ways, some of them on threads that nobody waits for.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attn_research.checkpoint.tree import Leaves
from attn_research.host.disk import refusal
from attn_research.host.durable import Damaged, DiskError, fsync_tree, to_json
from attn_research.trees import nest, paths


class Facts(NamedTuple):
    """The metadata of a step: its facts, item -> path -> leaf, file -> digest."""

    step: int
    facts: dict[str, Any]
    items: dict[str, dict[str, dict[str, Any]]]
    files: dict[str, str]


def digest(data: Any) -> str:
    """32 hexadecimal digits of the bytes of a buffer."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _file_digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(
            file, lambda: hashlib.blake2b(digest_size=16)
        ).hexdigest()


def _kind(leaf: np.ndarray) -> dict[str, Any]:
    flat = np.ascontiguousarray(leaf).reshape(-1).view(np.uint8)
    shape = list(leaf.shape)
    return {"dtype": str(leaf.dtype), "shape": shape, "digest": digest(flat)}


def _handler() -> Any:
    import orbax.checkpoint as ocp

    return ocp.PyTreeCheckpointHandler(use_ocdbt=True)


def write(
    directory: Path, step: int, items: Mapping[str, Leaves], facts: Mapping[str, Any]
) -> None:
    """Writes a whole step into a new directory and syncs all of it."""
    import orbax.checkpoint as ocp

    directory.mkdir(parents=True)
    handler = _handler()
    try:
        for name, leaves in items.items():
            # Orbax refuses arrays without elements: their kind describes them fully.
            filled = {path: leaf for path, leaf in leaves.items() if leaf.size}
            (directory / name).mkdir()
            if filled:
                args = ocp.args.PyTreeSave(nest(filled))  # type: ignore
                place = (directory / name).absolute()  # Orbax needs absolute paths
                handler.save(place, args=args)
                handler.finalize(place)
    finally:
        handler.close()
    described = {
        "step": step,
        "facts": dict(facts),
        "items": {
            name: {path: _kind(leaf) for path, leaf in leaves.items()}
            for name, leaves in items.items()
        },
        "files": {
            str(file.relative_to(directory)): _file_digest(file)
            for file in sorted(directory.rglob("*"))
            if file.is_file()
        },
    }
    text = to_json(described, indent=1).encode()
    (directory / "facts.json").write_bytes(text)
    (directory / "facts.digest").write_text(digest(text) + "\n")
    fsync_tree(directory)


def read_facts(directory: Path) -> Facts:
    """The metadata of a step; raises `Damaged`."""
    try:
        text = (directory / "facts.json").read_bytes()
        if (directory / "facts.digest").read_text() != digest(text) + "\n":
            raise ValueError("facts.json has another digest")
        found = Facts(**json.loads(text))
        if found.step != int(directory.name):
            raise ValueError(f"it holds step {found.step}")
    except Exception as error:  # damage shows in many types
        raise _damaged(directory, error) from error
    return found


def read_item(directory: Path, name: str, facts: Facts) -> Leaves:
    """The leaves of one item; raises `Damaged` if a digest "
    "differs from the saved one."""
    import orbax.checkpoint as ocp

    kinds = facts.items[name]
    leaves: Leaves = {}
    handler = _handler()
    try:
        for file, wanted in facts.files.items():
            if Path(file).parts[0] == name and _file_digest(directory / file) != wanted:
                raise ValueError(f"{file} has another digest")
        if any(0 not in kind["shape"] for kind in kinds.values()):
            args = ocp.args.PyTreeRestore()  # type: ignore
            leaves = paths(handler.restore((directory / name).absolute(), args=args))
        for path, kind in kinds.items():
            if 0 in kind["shape"]:
                leaves[path] = np.zeros(kind["shape"], kind["dtype"])
            if _kind(np.asarray(leaves[path])) != kind:
                raise ValueError(f"{name}/{path} has another digest")
        if set(leaves) != set(kinds):
            raise ValueError(f"{name} holds leaves that were not saved")
    except Exception as error:  # damage shows in many types
        raise _damaged(directory, error) from error
    finally:
        handler.close()
    return {path: np.asarray(leaf) for path, leaf in leaves.items()}


def _damaged(directory: Path, error: Exception) -> Exception:
    """The error as damage, unless the disk refused to read: the step may be good."""
    number = refusal(error)
    if number is not None:
        text = f"The checkpoint {directory} cannot be read ({os.strerror(number)})"
        return DiskError(number, text)
    reason = " ".join(str(error).split())[:160] or type(error).__name__
    return Damaged(f"The checkpoint {directory} is damaged ({reason})")


def verify(directory: Path, names: Iterable[str] | None = None) -> Facts:
    """The metadata of a step after reading all of its items; raises `Damaged`."""
    facts = read_facts(directory)
    for name in facts.items if names is None else names:
        read_item(directory, name, facts)
    return facts
