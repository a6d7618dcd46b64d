"""What a step takes on hardware that is not here, from the JSON of the benchmark."""

import json
from typing import Any

from . import markdown
from .benchmarks import RESULTS

PLATFORMS = "v5e-1", "h100"


def figures(one: dict[str, Any] | None) -> tuple[str, str]:
    """Megabytes of temporaries, and the kernels that are called."""
    if one is None:
        return "", ""
    kernels = sum(one["kernels"].values())
    size = f"{one['temporary_bytes'] / 1e6:,.0f} MB"
    return size if one["fits"] else "does not fit", str(kernels or "none")


def pages() -> dict[str, str]:
    """Place in the site -> Markdown."""
    found = {
        name: json.loads((RESULTS / f"ahead_{name}.json").read_text())["mixers"]
        for name in PLATFORMS
    }
    rows = []
    for mixer in dict.fromkeys(name for by in found.values() for name in by):
        known = [by.get(mixer) for by in found.values()]
        steps = next(one["sequential_steps"] for one in known if one)
        cells = [part for one in known for part in figures(one)]
        rows.append((mixer, f"{steps:,}", *cells))
    head = ["mixer", "steps one after another"]
    for name in PLATFORMS:
        head += [f"{name}: temporaries", f"{name}: kernels"]
    text = markdown.table(head, rows)
    return {"accelerators.md": markdown.filled("accelerators.md", text)}
