"""Results of analyses by content, kept in the directory of a run as JSON.

    RUN/analysis/cache/CODE/ANALYSIS-KEY.json    {"key", "digest", "shown"}

A key names all that a result depends on: the parameters, the code, the analysis and
what the model is looked at with. What is damaged is measured again, and what another
version of the code has left is removed.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from attn_research.analysis.statistics import Interval
from attn_research.config import content_hash
from attn_research.durable import Damaged, read_json, to_json, write_json
from attn_research.report.figures import Plan
from attn_research.report.inside.contract import Shown
from attn_research.report.matrices import Images

KINDS: dict[str, type[Plan] | type[Images]] = {"lines": Plan, "images": Images}


def kept(
    folder: Path,
    code: str,
    analysis: str,
    key: Mapping[str, Any],
    measure: Callable[[], list[Shown]],
) -> tuple[list[Shown], bool]:
    """What an analysis shows, measured or as it was kept; and whether it was kept.

    Both are the same to the last bit: what is measured is read back as well.
    """
    whole = {"analysis": analysis, "code": code, **key}
    path = folder / code / f"{analysis}-{content_hash(whole)}.json"
    try:
        return _read(path, whole), True
    except Damaged:  # also where there is none
        told = [_told(shown) for shown in measure()]
    path.parent.mkdir(parents=True, exist_ok=True)
    for other in os.listdir(folder):
        if other != code:
            shutil.rmtree(folder / other, ignore_errors=True)
    write_json(path, {"key": whole, "digest": _digest(told), "shown": told})
    return _read(path, whole), False


def _read(path: Path, key: Mapping[str, Any]) -> list[Shown]:
    """What a file holds; raises `Damaged` where it is not what was written."""
    found = read_json(path)
    if found.get("key") != key or found.get("digest") != _digest(found.get("shown")):
        raise Damaged(f"{path} is damaged (it has another key or digest)")
    try:
        return [_shown(one) for one in found["shown"]]
    except (KeyError, TypeError, ValueError) as error:
        raise Damaged(f"{path} is damaged ({error})") from error


def _digest(told: Any) -> str:
    return hashlib.blake2b(to_json(told).encode(), digest_size=16).hexdigest()


def _told(shown: Shown) -> dict[str, Any]:
    """A result as JSON has it."""
    kind = next(name for name, cls in KINDS.items() if isinstance(shown.plan, cls))
    plan = shown.plan._asdict()
    if kind == "lines":
        plan["levels"] = dict(plan["levels"])
    return {"kind": kind, "plan": plan, "summary": shown.summary}


def _shown(told: Mapping[str, Any]) -> Shown:
    cls, plan = KINDS[told["kind"]], dict(told["plan"])
    if cls is Plan:
        plan["panels"] = {
            key: {
                label: [(float(at), Interval(*value)) for at, value in points]
                for label, points in series.items()
            }
            for key, series in plan["panels"].items()
        }
        plan["levels"] = MappingProxyType(plan["levels"])
    else:
        plan["panels"] = {
            key: np.asarray(weight_TS, float)
            for key, weight_TS in plan["panels"].items()
        }
    return Shown(cls(**plan), [dict(line) for line in told["summary"]])
