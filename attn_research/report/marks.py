"""How each mixer looks in every figure: one colour, marker and dash, defined once."""

from typing import NamedTuple

# Okabe & Ito, 2008: eight colours that colour-blind readers tell apart.
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILION, PURPLE, GREY = "#0072B2", "#D55E00", "#CC79A7", "#767676"


class Mark(NamedTuple):
    """The look of one series."""

    color: str
    marker: str
    dash: str


MARKS = {
    "dense": Mark(BLUE, "o", "-"),
    "window": Mark(ORANGE, "s", "-"),
    "linear": Mark(GREEN, "^", "-"),
    "lstm": Mark(VERMILION, "D", "-"),
    "gru": Mark(VERMILION, "d", "--"),
    "diagonal": Mark(PURPLE, "v", "-"),
    "conv": Mark(SKY, "P", "-"),
    "dilated": Mark(SKY, "X", "--"),
}
HYBRID = [Mark(BLACK, "*", "-."), Mark(GREY, "h", "-."), Mark(BLACK, "p", ":")]


def marks(labels: list[str]) -> dict[str, Mark]:
    """A look for every label: that of its mixer, or one of the hybrids'.

    A second label of the same mixer gets its colour with another dash.
    """
    chosen: dict[str, Mark] = {}
    dashes = ("-", "--", ":", "-.")
    for label in labels:
        name = label.partition("(")[0]
        if name in MARKS and "," not in _outside(label):
            seen = sum(mark.color == MARKS[name].color for mark in chosen.values())
            mark = MARKS[name]
            chosen[label] = mark._replace(dash=dashes[seen % 4]) if seen else mark
        else:
            seen = sum("," in _outside(other) for other in chosen)
            chosen[label] = HYBRID[seen % len(HYBRID)]
    return chosen


def _outside(label: str) -> str:
    """The label without what stands in brackets."""
    depth, kept = 0, ""
    for char in label:
        depth += (char == "(") - (char == ")")
        kept += char if depth == 0 else ""
    return kept
