"""What a verdict was measured at: sizes, steps, seeds, rates, device."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attn_research.analysis.statistics import Row
from attn_research.report.formatting import counted


def scope(rows: Sequence[Row], environments: Sequence[Mapping[str, Any]]) -> str:
    """`104 k parameters, width 64, 2 layers, length 48, 2,400 steps, 4 seeds, 2 rates`.

    What differs between rows is a range. Empty if nothing has finished.
    """
    if not rows:
        return ""
    devices = {str(facts.get("device", "")) for facts in environments} - {""}
    seeds = len({row["seed"] for row in rows})
    rates = len({row["lr"] for row in rows})
    said = [
        _range([row.get("parameters") for row in rows], _size, "parameters"),
        _range([row.get("model.width") for row in rows], _whole, "", "width "),
        _range([row.get("model.layers") for row in rows], _whole, "layers"),
        _range([row.get("task.length") for row in rows], _whole, "", "length "),
        _range([row.get("train.steps") for row in rows], _whole, "steps"),
        counted(seeds, "seed"),
        counted(rates, "rate"),
        *sorted(devices),
    ]
    return ", ".join(filter(None, said))


def _range(
    values: Sequence[Any], write: Callable[[float], str], unit: str, before: str = ""
) -> str:
    """`before 8 to 16 unit`; empty if a value is unknown."""
    try:
        numbers = sorted({float(value) for value in values})
    except (TypeError, ValueError):
        return ""
    low, high = write(numbers[0]), write(numbers[-1])
    said = low if low == high else f"{low} to {high}"
    unit = unit.removesuffix("s") if said == "1" else unit
    return f"{before}{said} {unit}".strip()


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _size(value: float) -> str:
    """`1.2 M`, `31 k`, `700`."""
    if value >= 1e6:
        return f"{value / 1e6:.2g} M"
    return f"{value / 1e3:.0f} k" if value >= 1e3 else f"{value:.0f}"
