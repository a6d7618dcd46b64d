"""What study.json says of a study, checked to its leaves."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attn_research.host.durable import Damaged, read_json, safe_name
from attn_research.host.layout import STUDY, read_plugins
from attn_research.options import BadInput

Described = Mapping[str, Any]  # the content of study.json


def read_study(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """The content of study.json.

    Fields that older versions did not write come back empty; `asked` defaults to all
    cells. Raises `BadInput` if the file is missing, `Damaged` if it is damaged.
    """
    path = Path(directory) / STUDY
    if not path.exists():
        raise BadInput(f"{directory} is not a study directory: {STUDY} is missing")
    stored = read_json(path)
    for name, kind in (("name", str), ("question", str), ("cells", list)):
        if not isinstance(stored.get(name), kind):
            raise Damaged(f"{path} is damaged (it has no {name!r})")
    # Names become names of files: one with a slash would leave the directory.
    ids = [
        cell.get("id") if isinstance(cell, dict) else None for cell in stored["cells"]
    ]
    for name, what in (
        (stored["name"], "its name"),
        *((id, "a cell's id") for id in ids),
    ):
        if not isinstance(name, str) or not safe_name(name):
            raise Damaged(f"{path} is damaged ({what} is {name!r})")
    later = {"claim": "", "source": "", "confounds": [], "expected": [], "commands": []}
    later |= {"size": "quick", "gates": []}
    grid = {name: stored.get(name, {}) for name in ("base", "axes", "population")}
    later["registered"] = grid
    try:
        needed = read_plugins(stored)
    except (TypeError, ValueError, KeyError, AttributeError):
        raise Damaged(f"{path} is damaged (its 'plugins' are not described)") from None
    stored["plugins"] = needed
    described = {**later, "asked": [cell["id"] for cell in stored["cells"]], **stored}
    for name in ("confounds", "expected", "gates", "commands", "asked"):
        kind = dict if name in ("expected", "gates") else str
        value = described[name]
        if not isinstance(value, list) or not all(isinstance(v, kind) for v in value):
            raise Damaged(
                f"{path} is damaged (its {name!r} is not a list of {kind.__name__})"
            )
    if not isinstance(described["registered"], dict):
        raise Damaged(f"{path} is damaged (its 'registered' is not an object)")
    for name in ("size", "claim", "source"):
        if not isinstance(described[name], str):
            raise Damaged(f"{path} is damaged (its {name!r} is not a string)")
    return described
