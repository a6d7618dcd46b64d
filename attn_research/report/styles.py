"""The colour, marker and dash of each mixer, the same in every figure."""

import itertools
import re
from collections.abc import Mapping
from typing import NamedTuple

# Okabe & Ito, 2008: eight colours that colour-blind readers can distinguish.
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILION, PURPLE, GREY = "#0072B2", "#D55E00", "#CC79A7", "#767676"


class Style(NamedTuple):
    """The style of one series."""

    color: str
    marker: str
    dash: str


STYLES = {
    "dense": Style(BLUE, "o", "-"),
    "window": Style(ORANGE, "s", "-"),
    "linear": Style(GREEN, "^", "-"),
    "lstm": Style(VERMILION, "D", "-"),
    "gru": Style(VERMILION, "d", "--"),
    "diagonal": Style(PURPLE, "v", "-"),
    "conv": Style(SKY, "P", "-"),
    "dilated": Style(SKY, "X", "--"),
}


COLORS = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, BLACK, GREY)
DASHES, MARKERS = ("-", "--", ":", "-."), "os^DvPX*hp<>d8"


def styles(labels: list[str]) -> dict[str, Style]:
    """A style for every label: that of its mixer.

    A label begins with its mixer, or names it in brackets at its end; beside
    convolutions, one of another kind is the mixer. Another label of the same mixer gets
    the same colour with another dash and another marker. A mixer without a style, and a
    hybrid of several, gets the first free colour and dash.
    """
    chosen: dict[str, Style] = {}
    for label in labels:
        name = _mixer(label)
        if name in STYLES:
            style = STYLES[name]
            before = sum(other.color == style.color for other in chosen.values())
            if before:
                others = MARKERS.replace(style.marker, "")
                marker = others[(before - 1) % len(others)]
                style = style._replace(dash=DASHES[before % len(DASHES)], marker=marker)
            chosen[label] = style
    free = (
        (color, dash)
        for dash in DASHES
        for color in COLORS
        if all((color, dash) != (s.color, s.dash) for s in chosen.values())
    )
    rest = [label for label in labels if label not in chosen]
    for number, label in enumerate(rest):
        taken = {style.marker for style in chosen.values()}
        unused = [marker for marker in MARKERS if marker not in taken]
        marker = (unused or MARKERS[number % len(MARKERS) :])[0]
        pair = next(free, None)
        chosen[label] = Style(pair[0], marker, pair[1]) if pair else _other(chosen)
    return {label: chosen[label] for label in labels}


def _other(chosen: Mapping[str, Style]) -> Style:
    """A style that none has, once all pairs of colour and dash are taken."""
    triples = itertools.product(MARKERS, DASHES, COLORS)
    every = (Style(color, marker, dash) for marker, dash, color in triples)
    taken = set(chosen.values())
    return next((style for style in every if style not in taken), STYLES["dense"])


def _mixer(label: str) -> str:
    """The mixer that `dense(heads=2)` begins with, or that `layer 1 (dense)` names.

    Empty for a hybrid of several mixers that are not convolutions.
    """
    names = list(dict.fromkeys(re.findall(r"\w+", _outside(label))))
    inside = re.search(r"\((\w+)", label)
    if inside and inside[1] in STYLES and not STYLES.keys() & set(names):
        return inside[1]  # of a layer
    hybrid = re.search("[,+|]", _outside(label))
    others = [name for name in names if name != "conv"] if hybrid else names[:1]
    return (others or ["conv"])[0] if len(others) < 2 else ""


def _outside(label: str) -> str:
    """The label without its parts in brackets."""
    depth, outside = 0, ""
    for char in label:
        depth += (char == "(") - (char == ")")
        outside += char if depth == 0 and char != ")" else ""
    return outside
