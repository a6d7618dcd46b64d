"""What an analysis shows, kept in the directory of a run as JSON."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from attn_research.analysis.remembered import remembered
from attn_research.analysis.statistics import Interval
from attn_research.report.figures import Plan
from attn_research.report.inside.contract import Shown
from attn_research.report.matrices import Images

KINDS: dict[str, type[Plan] | type[Images]] = {"lines": Plan, "images": Images}


def kept(
    folder: Path,
    analysis: str,
    key: Mapping[str, Any],
    measure: Callable[[], list[Shown]],
    code: str = "",
) -> tuple[list[Shown], bool]:
    """What an analysis shows, measured or as it was kept; and whether it was kept."""
    return remembered(folder, analysis, key, measure, _all_told, _all_shown, code)


def _all_told(shown: list[Shown]) -> list[dict[str, Any]]:
    return [_told(one) for one in shown]


def _all_shown(told: list[dict[str, Any]]) -> list[Shown]:
    return [_shown(one) for one in told]


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
