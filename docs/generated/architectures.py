"""The table of published architectures, each built to count its parameters."""

import jax
from flax import nnx

import attn_research as ar
from attn_research.modules import pattern as patterns
from attn_research.modules.architectures import ARCHITECTURES, Architecture

from . import markdown

PLACE = "architectures.md"
SIZES = {"vocabulary": 256, "length": 512, "width": 64}


def parameters(built: Architecture) -> int:
    """The number of parameters with 64 channels, 256 tokens and one pass."""

    def model() -> nnx.Module:
        return ar.model(
            built.pattern,
            causal=built.causal,
            layers=len(patterns.layers(built.pattern)),
            rngs=nnx.Rngs(0),
            **SIZES,
            **built.fields,
        )

    state = nnx.state(nnx.eval_shape(model), nnx.Param)
    return sum(leaf.size for leaf in jax.tree.leaves(state))


def listed() -> str:
    """A table of all, and what each leaves out."""
    rows, lacking = [], []
    for name, built in ARCHITECTURES.items():
        fields = " ".join(f"`{k}={_plain(v)}`" for k, v in built.fields.items())
        sees = "causal" if built.causal else "both ways"
        pattern = _repeated(built.pattern)
        rows.append(
            (f"`{name}`", f"`{pattern}`", fields, sees, f"{parameters(built):,}")
        )
        left = built.left_out or "Nothing."
        lacking.append((f"`{name}`", left, built.source))
    heads = ("architecture", "pattern", "fields", "sees", "parameters")
    return "\n".join(
        [
            markdown.table(heads, rows),
            "Patterns are written short: `3 x mamba2` is `mamba2,mamba2,mamba2`. The "
            "parameters are those of 64 channels, 256 tokens and one pass.\n",
            "## What is left out\n",
            "Sizes are those of the run, never those of a paper. Beside that:\n",
            markdown.table(("architecture", "left out", "source"), lacking),
        ]
    )


def _repeated(pattern: str) -> str:
    """The layers of a pattern, with equal ones in a row counted."""
    from attn_research.options.specs import split

    runs: list[list] = []
    for layer in split(pattern):
        if runs and runs[-1][1] == layer:
            runs[-1][0] += 1
        else:
            runs.append([1, layer])
    return ", ".join(f"{n} x {layer}" if n > 1 else layer for n, layer in runs)


def _plain(value: str | bool | float) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else f"{value:.3g}"


def pages() -> dict[str, str]:
    """Place in the site -> Markdown."""
    return {PLACE: markdown.filled(PLACE, listed())}
