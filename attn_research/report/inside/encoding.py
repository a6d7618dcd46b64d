"""The figures and tables of an analysis as JSON, and back."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from attn_research.analysis.statistics import Interval
from attn_research.report.figures import Plan
from attn_research.report.inside.contract import Display
from attn_research.report.matrices import Images

KINDS: dict[str, type[Plan] | type[Images]] = {"lines": Plan, "images": Images}


def encode(displays: Sequence[Display]) -> list[dict[str, Any]]:
    """The displays as JSON."""
    return [_encode(display) for display in displays]


def decode(encoded: Sequence[Mapping[str, Any]]) -> list[Display]:
    """The displays from JSON; other data raises KeyError, TypeError or ValueError."""
    return [_decode(one) for one in encoded]


def _encode(display: Display) -> dict[str, Any]:
    kind = next(name for name, cls in KINDS.items() if isinstance(display.plan, cls))
    plan = display.plan._asdict()
    if kind == "lines":
        plan["levels"] = dict(plan["levels"])
    return {"kind": kind, "plan": plan, "summary": display.summary}


def _decode(encoded: Mapping[str, Any]) -> Display:
    cls, plan = KINDS[encoded["kind"]], dict(encoded["plan"])
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
    return Display(cls(**plan), [dict(row) for row in encoded["summary"]])
