"""Figures as files, and inside of a page that needs no other."""

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attn_research.durable import atomic_write
from attn_research.report.figures import Figure
from attn_research.report.words import number
from attn_research.results import safe


def save(folder: Path, figure: Figure) -> None:
    """Writes NAME.png, NAME.svg and NAME.csv; the same numbers give the same files."""
    for kind in ("png", "svg"):
        content = io.BytesIO()
        still = {"Date": None} if kind == "svg" else {}
        figure.drawing.savefig(content, format=kind, dpi=160, metadata=still)
        # Laid out for the first, and alike for the second.
        figure.drawing.set_layout_engine("none")
        atomic_write(folder / f"{figure.name}.{kind}", content.getvalue())
    text = io.StringIO()
    columns = list(dict.fromkeys(name for row in figure.table for name in row))
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: safe(v) for k, v in row.items()} for row in figure.table)
    atomic_write(folder / f"{figure.name}.csv", text.getvalue())


def inlined(folder: Path, figure: Figure) -> dict[str, Any]:
    """What a page shows of a saved figure."""
    from markupsafe import Markup

    svg = (folder / f"{figure.name}.svg").read_text()
    svg = svg[svg.index("<svg") :]
    # Ids must differ between the figures of one page.
    svg = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{figure.name}-", svg)
    return {
        "name": figure.name,
        "title": figure.title,
        "caption": figure.caption,
        "svg": Markup(svg),
        "wide": figure.drawing.get_figwidth() > 5,
    }


def template(name: str, **filters: Callable[..., Any]) -> Any:
    """A page to render; `figure` writes a number as a person reads it."""
    from jinja2 import Environment, PackageLoader

    engine = Environment(
        loader=PackageLoader("attn_research", "report"), autoescape=True
    )
    engine.filters |= {"figure": number, **filters}
    return engine.get_template(name)
