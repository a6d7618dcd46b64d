"""The results of a study as rows, one per member of every finished cell, and as CSV.

A row holds every field of the cell's config by its dotted name, the member's numbers
and its metrics (`validation.accuracy`, `test.loss`), its training loss before the last
evaluation, its `plateau` (what its headline gained in the last quarter of its steps, a
share of the room from chance to certainty or of its value), and the tables `by_gap`,
`by_position` and `by_group`. Each row of a cell also has the scores of what its best
member wrote (`decoded.exact_match`, ...), and the `directory` of its checkpoints. The
CSV holds the fields that vary, and no tables.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

from attn_research.config import flatten
from attn_research.host.layout import Run
from attn_research.studies import plateau

Rows = list[dict[str, Any]]

HYPERS = ("seed", "lr", "weight_decay")
COSTS = (
    "seconds",
    "compile_seconds",
    "steps_per_second",
    "step_seconds",
    "parameters",
    "state_bytes",
    "flops",
    "peak_bytes",
)
TABLES = ("by_gap", "by_position", "by_group")
_NUMERIC = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?(nan|inf)")


def fields(run: Run) -> dict[str, Any]:
    """Dotted name -> value of every field of a cell's config.

    The options of a task are strings in its spec; numeric ones are returned as numbers.
    """
    flat = flatten(run.config)
    return {
        name: _number(value) if name.startswith("task.") else value
        for name, value in flat.items()
    }


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def varying(configs: Iterable[dict[str, Any]]) -> list[str]:
    """The fields that differ between flat configs, in their order."""
    configs = list(configs)
    names = list(dict.fromkeys(name for config in configs for name in config))
    return [n for n in names if len({str(config.get(n)) for config in configs}) > 1]


def member_rows(
    id: str, run: Run, result: dict[str, Any], journal: Sequence[dict[str, Any]]
) -> Rows:
    """The rows of one finished cell, from its result and its evaluations.

    `journal` has the evaluations that `plateau.ends` picks, in their order.
    """
    by_member: dict[Any, list[dict[str, Any]]] = {}
    for record in journal:
        by_member.setdefault(record.get("member"), []).append(record)
    headline = str(result.get("metric")), str(result.get("goal")), result.get("chance")
    decoded = (result.get("decoded") or {}).get("metrics", {})
    shared = {
        **fields(run),
        "metric": result.get("metric"),
        "goal": result.get("goal"),
        "chance": result.get("chance"),
        "per_sequence": bool(result.get("per_sequence")),
        **{name: result.get(name) for name in COSTS},
        **{f"decoded.{name}": value for name, value in decoded.items()},
    }
    return [
        {
            "cell": id,
            "member": member["member"],
            "status": member["status"],
            **shared,
            **{name: member[name] for name in HYPERS},
            "step": member["step"],
            "solved_step": member.get("solved_step"),
            "plateau": plateau.gain(by_member.get(member["member"], ()), *headline),
            "train_loss": _last_loss(by_member.get(member["member"], ())),
            **_metrics(member),
            **{name: member.get(name) for name in TABLES},
        }
        for member in result["members"]
    ]


def _last_loss(records: Sequence[dict[str, Any]]) -> float | None:
    return records[-1].get("train_loss") if records else None


def _metrics(member: dict[str, Any]) -> dict[str, Any]:
    return {
        f"{split}.{name}": value
        for split in ("validation", "test")
        for name, value in (member.get(split) or {}).items()
    }


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as CSV: cell and member, fields that vary, numbers, metrics, costs."""
    metrics = list(
        dict.fromkeys(
            name
            for row in rows
            for name in row
            if name.startswith(("validation.", "test.", "decoded."))
        )
    )
    fixed = {"cell", "directory", "member", "status", "step", "solved_step", "plateau"}
    fixed |= {"train_loss", "metric", "goal", "chance", "per_sequence"}
    fixed |= {*HYPERS, *COSTS, *TABLES, *metrics}
    axes = varying(
        {name: value for name, value in row.items() if name not in fixed}
        for row in rows
    )
    columns = ["cell", "member", "status", *axes, *HYPERS, "step", "solved_step"]
    columns += ["plateau", "train_loss", *metrics, *COSTS]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(safe, columns))
    for row in rows:
        writer.writerow([safe(row.get(name)) for name in columns])
    return text.getvalue()


def safe(value: Any) -> Any:
    """A CSV cell that no spreadsheet reads as a formula; numbers stay as they are."""
    if not isinstance(value, str) or _NUMERIC.fullmatch(value):
        return value
    return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
