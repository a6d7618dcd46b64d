"""The page of a study as a test reads it, and a study with everything in it."""

import html.parser
import math
from pathlib import Path

import numpy as np

from attn_research.decoding import pictures
from attn_research.studies.study import Expectation
from tests import planted

SCRIPT = "<script>alert('x')</script>"


def gain(low: float, high: float) -> Expectation:
    """How much better attention is than a convolution: planted at about 0.5."""

    def measure(rows):
        def mean(mixer):
            own = [r["test.accuracy"] for r in rows if r["mixer"] == mixer]
            return sum(own) / len(own)

        return mean("dense(positions=rope)") - mean("conv")

    return Expectation(f"Attention gains {SCRIPT}", measure, low, high)


STUDY = planted.study(
    gain(0.3, 0.7), gain(0.9, math.inf), Expectation("Nobody knows", lambda _: math.nan)
)


LONG = "a word without any end " * 3 + "x" * 400
WROTE = {
    "examples": 64,
    "metrics": {"exact_match": 0.25, "bleu": 12.345678, "rougeL": 0.5},
    "samples": [
        {"source": f"un {SCRIPT}", "reference": "one", "text": f"two {SCRIPT}"},
        {"source": LONG, "reference": "three\nlines & more", "text": ""},
    ],
    "notes": ["There is no chrF."],
    "pictures": {
        "drawn": pictures.packed(np.arange(60), (2, 2, 3)),
        "real": pictures.packed(np.arange(72), (2, 4, 3)),
    },
    "misread": {
        "count": 7,
        "names": [["a", SCRIPT]],
        **pictures.packed(np.arange(4), (2, 2, 1)),
    },
}
UNREAD = "3 of 9 texts are longer than 20 and are cut there."


def spoil(cell, result):
    """One member of the window diverges; the last cell does not finish.

    The linear one has written, and told of its classes; of its data not all was read.
    """
    if cell.config.model.pattern == "linear":
        result |= {"decoded": WROTE, "notes": [UNREAD]}
        for member in result["members"]:
            member["test"] = {**member["test"], "macro_f1": 0.4321 + member["seed"]}
    if cell.config.model.pattern == "conv,dense" and "64" in cell.config.task:
        return None
    if "window" in cell.config.model.pattern and "64" in cell.config.task:
        nothing = {"validation": {}, "test": {}, "by_gap": None, "by_position": None}
        result["members"][3].update(status="diverged", step=17, **nothing)
    return result


class Page(html.parser.HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, path: Path):
        super().__init__()
        self.folder, self.text = path.parent, ""
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    handle_startendtag = handle_starttag

    def handle_data(self, data):
        self.text += data

    def values(self, *names: str) -> list[str]:
        return [a[name] for _, a in self.tags for name in names if name in a]
