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


def meshes() -> str:
    """What a device needs of one model over many, for every mesh that was compiled."""
    found = json.loads((RESULTS / "mesh.json").read_text())
    rows = []
    for case, one in found["cases"].items():
        platform, _, mesh = case.partition(":")
        kinds = ("argument_bytes", "temporary_bytes", "total_bytes")
        sizes = [f"{one[kind] / 1e9:.2f} GB" if one["fits"] else "" for kind in kinds]
        fits = "yes" if one["fits"] else "no"
        rows.append((platform, mesh or "none", str(one["batch"]), *sizes, fits))
    head = [
        "hardware",
        "`train.mesh`",
        "rows",
        "state",
        "temporaries",
        "in all",
        "fits",
    ]
    params = f"{found['parameters'] / 1e6:,.0f} million"
    return (
        f"One model of {params} parameters (24 layers of width 1,024, three of the "
        "gated delta rule for each of attention, recomputed, in bfloat16) on rows of "
        "8,192 bytes of text, for each device (`benchmarks/mesh.py`, `mesh.json`):\n\n"
        + markdown.table(head, rows)
    )


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
    text = f"{markdown.table(head, rows)}\n\n{meshes()}"
    return {"accelerators.md": markdown.filled("accelerators.md", text)}
