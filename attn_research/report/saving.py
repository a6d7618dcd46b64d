"""Figures as files, and inlined in a self-contained page."""

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attn_research.host.durable import atomic_write
from attn_research.report import limits
from attn_research.report.figures import Figure
from attn_research.report.formatting import number

# An id with ten hexadecimal digits of a random number, where it is set or used.
RANDOM = re.compile(r'(?<=id="|f="#|rl\(#)\w*?[0-9a-f]{10}\b')


def save(folder: Path, figure: Figure) -> None:
    """Writes NAME.png, NAME.svg and NAME.csv; equal numbers give equal files."""
    for kind, content in (("png", png(figure)), ("svg", svg(figure))):
        atomic_write(folder / f"{figure.name}.{kind}", content)
    atomic_write(folder / f"{figure.name}.csv", limits.as_csv(figure.table))


def png(figure: Figure) -> bytes:
    """The figure as PNG; draws it once, where `savefig` draws it twice."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    content, drawing = io.BytesIO(), figure.drawing
    drawing.set_dpi(160)
    FigureCanvasAgg(drawing).print_png(content)
    # The layout of the first format serves the second.
    drawing.set_layout_engine("none")
    return content.getvalue()


def svg(figure: Figure) -> bytes:
    """The figure as SVG, without a date, its ids numbered: they would be random."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    content = io.BytesIO()
    FigureCanvasSVG(figure.drawing).print_svg(content, metadata={"Date": None})
    text = content.getvalue().decode()
    ids = dict.fromkeys(RANDOM.findall(text))
    numbers = {id: f"n{number}" for number, id in enumerate(ids)}
    return RANDOM.sub(lambda found: numbers[found[0]], text).encode()


def inline(folder: Path, figure: Figure) -> dict[str, Any]:
    """A saved figure as a page shows it."""
    from markupsafe import Markup

    svg = (folder / f"{figure.name}.svg").read_text()
    svg = svg[svg.index("<svg") :]
    # Ids must be unique in a page with several figures.
    svg = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{figure.name}-", svg)
    return {
        "name": figure.name,
        "title": figure.title,
        "caption": figure.caption,
        "svg": Markup(svg),
        "wide": figure.drawing.get_figwidth() > 5,
    }


def template(name: str, **filters: Callable[..., Any]) -> Any:
    """A page to render; its filter `figure` is `formatting.number`."""
    from jinja2 import Environment, PackageLoader

    engine = Environment(
        loader=PackageLoader("attn_research", "report"), autoescape=True
    )
    engine.filters |= {"figure": number, **filters}
    return engine.get_template(name)
