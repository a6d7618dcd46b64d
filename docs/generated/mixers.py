"""A page for each mixer: what it computes, its options, its cost, its laws."""

import inspect
import re

from flax import nnx

import attn_research as ar
from attn_research.modules.contract import Cost, both_ways_only
from attn_research.testing.bounds import BOUNDS
from attn_research.testing.mixers import mixer_laws, sentences

from . import markdown

INDEX = markdown.DOCS / "mixers" / "index.md"
WIDTH, LENGTHS = 64, (256, 1024, 4096, 16384)
SHOWN = ("name", "what", "time", "state", "form", "source", "peer")


def named(row: str) -> list[str]:
    """The mixers or tasks that the first cell of a row of an index names."""
    return re.findall(r"`(\w+)`", row)


def about() -> dict[str, dict[str, str]]:
    """Mixer -> its row in the table of the index."""
    rows = markdown.rows_of(INDEX.read_text(), len(SHOWN))
    return {
        name: dict(zip(SHOWN, row, strict=True))
        for row in rows
        for name in named(row[0])
    }


def costs(name: str) -> list[tuple[int, Cost]]:
    """The cost of a mixer at a few lengths; nothing is allocated for it."""
    causal = not both_ways_only(ar.MIXERS[name])
    found: list[tuple[int, Cost]] = []

    def built(length: int) -> None:
        mixer = ar.mixer(
            name, width=WIDTH, causal=causal, length=length, rngs=nnx.Rngs(0)
        )
        found.append((length, mixer.cost(length)))

    for length in LENGTHS:
        nnx.eval_shape(lambda length=length: built(length))
    return found


def page(name: str, row: dict[str, str], costs: list[tuple[int, Cost]]) -> str:
    """The page of a mixer, of which a row of the index says the most."""
    entry = ar.MIXERS[name]
    only_both = both_ways_only(entry)
    forms = "bidirectional only" if only_both else "causal and bidirectional"
    decodes = "no" if only_both else "token by token, if causal"
    facts = [
        ("time and state of decoding", f"{row['time']}; {row['state']}"),
        ("forms", forms),
        ("decodes", decodes),
        ("source", row["source"]),
        ("tested beside", "the naive float64 twin only" if row["peer"] == "-"
         else f"the naive float64 twin; {row['peer']}"),
    ]  # fmt: skip
    lines = [
        (
            f"{length:,}",
            f"{cost.params:,}",
            f"{cost.flops:,}",
            f"{cost.flops / length:,.0f}",
            f"{cost.state_bytes:,}",
        )
        for length, cost in costs
    ]
    return "\n".join(
        [
            f"# {name}\n",
            markdown.prose(inspect.getdoc(entry)),
            markdown.table(("property", "value"), facts),
            "T is the length, D the width, K the size of a head, N of a state, W of a "
            "window. In training, memory is linear in T.\n",
            "## Options\n",
            f'Written as `"{name}(option=value,...)"` in a pattern, a flag or '
            "`ar.mixer`.\n",
            markdown.option_table(entry.Options),
            "## Cost\n",
            f"`cost(length)` at its default options and a width of {WIDTH}, "
            f"{'bidirectional' if only_both else 'causal'}; the state is that of "
            "decoding, in float32.\n",
            markdown.table(
                ("tokens", "parameters", "FLOPs of a sequence", "FLOPs per token",
                 "bytes of state"),
                lines,
            ),
            "## Laws\n",
            _laws(name),
        ]
    )  # fmt: skip


def _laws(name: str) -> str:
    kept = f"It keeps all {len(mixer_laws())} laws of a mixer ([list](index.md#laws))"
    bounds = BOUNDS.get(name)
    if bounds is None or not bounds.why:
        return f"{kept} within the usual bounds.\n"
    return (
        f"{kept}, with more room where rounding needs it. {markdown.prose(bounds.why)}"
    )


def laws() -> str:
    """The list of laws, for the index."""
    rows = [(markdown.code(name), said) for name, said in sentences().items()]
    return markdown.table(("law", "what it demands"), rows)


def pages() -> dict[str, str]:
    """Place in the site -> Markdown, of every mixer, and of the index with its laws."""
    rows = about()
    found = {
        f"mixers/{name}.md": page(name, rows[name], costs(name)) for name in ar.MIXERS
    }
    index = "mixers/index.md"
    found[index] = markdown.filled(index, laws())
    return found
