"""The table of published architectures, each built to count its parameters."""

import re

import jax
from flax import nnx

import attn_research as ar
from attn_research.modules import pattern as patterns

from . import markdown

PLACE, COLUMNS = "architectures.md", 5
SIZES = {"vocabulary": 256, "length": 512, "width": 64}


def parameters(row: list[str]) -> int:
    """The number of parameters of the model that a row describes."""
    _, spec, fields, sees, _ = row
    spec = spec.strip("`").replace("\\|", "|")
    given = dict(one.split("=") for one in re.findall(r"`(.*?)`", fields))
    if "macaron" in given:
        given["macaron"] = given["macaron"] == "true"

    def built() -> nnx.Module:
        return ar.model(
            spec,
            causal=sees == "causal",
            layers=len(patterns.layers(spec)),
            rngs=nnx.Rngs(0),
            **SIZES,
            **given,
        )

    state = nnx.state(nnx.eval_shape(built), nnx.Param)
    return sum(leaf.size for leaf in jax.tree.leaves(state))


def pages() -> dict[str, str]:
    """Place in the site -> Markdown."""
    found = []
    for line in (markdown.DOCS / PLACE).read_text().splitlines():
        rows = markdown.rows_of(line, COLUMNS)
        if rows and rows[0][1].startswith("`"):
            line = f"{line} {parameters(rows[0]):,} |"
        elif rows:
            line += "---|" if rows[0][0].startswith("-") else " parameters |"
        found.append(line)
    return {PLACE: "\n".join(found)}
