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


COLORS = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, BLACK, GREY)
DASHES, MARKERS = ("-", "--", ":", "-."), "os^DvPX*hp<>d8"


def marks(labels: list[str]) -> dict[str, Mark]:
    """A look for every label, no two alike: that of its mixer, or one of the hybrids'.

    A label begins with its mixer, or names it in brackets at its end. Another label of
    the same mixer gets its colour with another dash, and where these are used up with
    another marker; a mixer without a look of its own the first colour and dash that are
    free.
    """
    chosen: dict[str, Mark] = {}
    for label in labels:
        name = _mixer(label)
        if "," in _outside(label):
            seen = sum("," in _outside(other) for other in chosen)
            chosen[label] = HYBRID[seen % len(HYBRID)]
        elif name in MARKS:
            seen = sum(mark.color == MARKS[name].color for mark in chosen.values())
            mark = MARKS[name]
            if seen:
                mark = mark._replace(dash=DASHES[seen % len(DASHES)])
            if seen >= len(DASHES):
                mark = mark._replace(marker=MARKERS[seen % len(MARKERS)])
            chosen[label] = mark
    free = (
        (color, dash)
        for dash in DASHES
        for color in COLORS
        if all((color, dash) != (m.color, m.dash) for m in chosen.values())
    )
    for number, label in enumerate(one for one in labels if one not in chosen):
        color, dash = next(free, (GREY, "-"))
        chosen[label] = Mark(color, MARKERS[number % len(MARKERS)], dash)
    return {label: chosen[label] for label in labels}


def _mixer(label: str) -> str:
    """The mixer that `dense(heads=2)` begins with, or that `layer 1 (dense)` names."""
    name, _, rest = label.partition("(")
    inside = rest.removesuffix(")").partition("(")[0]
    return inside if name.strip() not in MARKS and inside in MARKS else name.strip()


def _outside(label: str) -> str:
    """The label without what stands in brackets."""
    depth, kept = 0, ""
    for char in label:
        depth += (char == "(") - (char == ")")
        kept += char if depth == 0 else ""
    return kept
