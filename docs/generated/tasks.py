"""A page for each task: what it asks, its options, its metrics."""

import inspect

import attn_research as ar
from attn_research.options import BadInput
from attn_research.tasks import Spec
from attn_research.testing import tasks as kit

from . import markdown
from .mixers import named

INDEX = markdown.DOCS / "tasks" / "index.md"


def about() -> dict[str, str]:
    """Task -> what the table of the index says of its family."""
    rows = markdown.rows_of(INDEX.read_text(), 3)
    return {name: row[1] for row in rows for name in named(row[0])}


def page(name: str, family: str) -> str:
    """The page of a task."""
    kind = ar.TASKS[name]
    try:
        facts = _facts(kind().spec)
        asked = markdown.table(("at its default options", "value"), facts)
    except BadInput:
        asked = (
            "Its sizes and metrics are those of the data, which must be prepared "
            "first: see [your own data](../own_data.md), and "
            "`attn-research prepare --list` for the sets that are known.\n"
        )
    return "\n".join(
        [
            f"# {name}\n",
            markdown.prose(inspect.getdoc(kind)),
            f"Family: {family}.\n",
            asked,
            "## Options\n",
            f'Written as `--task="{name}(option=value,...)"`, as '
            f"`--task={name} --task.option=value`, or in Python as `ar.task`.\n",
            markdown.option_table(kind),
        ]
    )


def _facts(spec: Spec) -> list[tuple[str, str]]:
    sees = f"{spec.inputs}, {spec.features} " + (
        "in the vocabulary" if spec.inputs == "tokens" else "channels"
    )
    per = "sequence" if spec.per_sequence else "position"
    facts = [
        ("reads", f"{sees}, {spec.length:,} positions"),
        ("answers", f"{spec.target}, {spec.outputs:,} outputs for each {per}"),
        ("a position sees", "those before it" if spec.causal else "all others"),
        ("metrics, the headline first", ", ".join(map(markdown.code, spec.metrics))),
    ]
    if spec.chance is not None:
        facts.append(("headline of the trivial answer", f"{spec.chance:.4g}"))
    if spec.finite:
        facts.append(("its splits", "are sets of numbered examples"))
    if spec.source_features:
        facts.append(
            ("source", f"{spec.source_length:,} positions, {spec.source_inputs}")
        )
    return facts


def laws() -> str:
    """The list of laws, for the index."""
    rows = [(markdown.code(name), said) for name, said in kit.sentences().items()]
    return markdown.table(("law", "what it demands"), rows)


def pages() -> dict[str, str]:
    """Place in the site -> Markdown, of every task, and of the index with its laws."""
    rows = about()
    found = {f"tasks/{name}.md": page(name, rows[name]) for name in ar.TASKS}
    index = "tasks/index.md"
    found[index] = markdown.filled(index, laws())
    return found
