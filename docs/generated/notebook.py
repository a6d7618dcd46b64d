"""The notebook as a page: its text, its code, what it printed and what it drew."""

import base64
import json
from pathlib import Path
from typing import Any

from . import markdown

TOUR = Path(__file__).parent.parent.parent / "experiments" / "analysis_tour.ipynb"
NOTE = """
!!! note
    This is `experiments/analysis_tour.ipynb` with the outputs of its last run. Open it
    in Jupyter to go through it with a run of yours: set `RUN` to its directory.
"""


def shown(output: dict[str, Any], name: str, images: dict[str, bytes]) -> str:
    """One output of a cell; what it draws is added to `images` under `name`."""
    if output["output_type"] == "stream":
        return markdown.block("".join(output["text"]), "text")
    data = output["data"]
    if "image/png" in data:
        images[name] = base64.b64decode("".join(data["image/png"]))
        return f"![Figure of the cell above]({name.rpartition('/')[2]})\n"
    return markdown.block("".join(data["text/plain"]), "text")


def pages() -> dict[str, str | bytes]:
    """Place in the site -> Markdown or an image."""
    parts, images = [], {}
    for cell in json.loads(TOUR.read_text())["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(f"{source}\n")
            if len(parts) == 1:
                parts.append(NOTE)
            continue
        parts.append(markdown.block(source, "python"))
        for number, output in enumerate(cell["outputs"]):
            place = f"tutorials/tour_{cell['id']}_{number}.png"
            parts.append(shown(output, place, images))
    return {"tutorials/tour.md": "\n".join(parts), **images}
