"""Folders that the library `datasets` has saved: their splits, and their shards.

`DatasetDict.save_to_disk` lists the splits in `dataset_dict.json`, each a folder of its
own; the folder of a `Dataset` lists its shards in `state.json`. What else stands beside
them, such as the caches of `map`, is no part of the set.
"""

import json
from pathlib import Path
from typing import Any

from attn_research.options import BadInput
from attn_research.tasks.contract import SPLITS, Split
from attn_research.tasks.data import files
from attn_research.tasks.data.own.asked import SPLIT_WORDS

DICT, STATE, INFO = "dataset_dict.json", "state.json", "dataset_info.json"

Shard = tuple[Path, str, Split | None]


def shards(path: Path) -> list[Shard] | None:
    """The shards of a saved set in order, each with its name and its split.

    None if the folder is no saved set. Raises `BadInput` if a split has no known name
    or the name of another, or if a folder or a shard that is listed is missing.
    """
    if not (path / DICT).exists():
        if not (path / STATE).exists() or not (path / INFO).exists():
            return None
        return [(shard, shard.name, None) for shard in _of_split(path)]
    parts: dict[Split, Path] = {}
    for name in _listed(path / DICT, "splits"):
        split = _split(name, path)
        if split in parts:
            raise BadInput(
                f"{path} has the splits {parts[split].name} and {name}; one of them "
                f"must be {split}"
            )
        parts[split] = path / name
    return [
        (shard, f"{shard.parent.name}/{shard.name}", split)
        for split in SPLITS
        if split in parts
        for shard in _of_split(parts[split])
    ]


def _of_split(folder: Path) -> list[Path]:
    """The shards that the folder of one split lists."""
    listed = _listed(folder / STATE, "_data_files")
    names = [str(one.get("filename")) for one in listed if isinstance(one, dict)]
    for name in names:
        if not (folder / name).is_file():
            raise BadInput(
                f"{folder / STATE} lists the shard {name[:60]!r}, which is not there; "
                "it must be beside it"
            )
    return [folder / name for name in names]


def _listed(path: Path, key: str) -> list[Any]:
    """A list in a JSON file that `datasets` has written."""
    try:
        found = json.loads(files.table(path))[key]
    except (ValueError, KeyError, TypeError, RecursionError):
        found = None
    if not isinstance(found, list) or not found:
        raise BadInput(
            f"{path} has no list {key!r}; it must be as save_to_disk wrote it"
        )
    return found


def _split(name: Any, path: Path) -> Split:
    found = SPLIT_WORDS.get(str(name).lower())
    if found is None:
        raise BadInput(
            f"{path} is a split named {str(name)[:60]!r}; it must be train, validation "
            "or test"
        )
    return found
