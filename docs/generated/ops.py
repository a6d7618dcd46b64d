"""The page of the operations: how each is called, and what it takes and returns."""

import inspect
import re
from typing import Any

from attn_research import ops

from . import markdown


def signature(name: str, found: Any) -> str:
    """How an op is called, without the types that `Takes` tells."""
    shown = [
        one.replace(annotation=inspect.Parameter.empty)
        for one in inspect.signature(found).parameters.values()
    ]
    return f"{name}{inspect.Signature(shown)}"


def entry(name: str) -> str:
    """An op with its heading."""
    found = getattr(ops, name)
    constant = not callable(found)
    doc = "" if constant else inspect.getdoc(found) or ""
    said, _, takes = doc.partition("Takes:\n")
    takes, _, raises = takes.partition("\n\n")
    called = repr(found) if constant else signature(name, found)
    parts = [f"## {name}\n", markdown.block(called, "python"), markdown.prose(said)]
    rows = re.findall(r"^  (\S+?): (.*(?:\n {6}.*)*)", takes, re.M)
    if rows:
        pairs = [(markdown.code(one), meaning) for one, meaning in rows]
        parts.append(markdown.table(("takes", "what it is"), pairs))
    parts.append(markdown.prose(raises))
    return "\n".join(parts)


def pages() -> dict[str, str]:
    """Place in the site -> Markdown."""
    listed = "\n".join(map(entry, ops.__all__))
    return {"ops.md": markdown.filled("ops.md", listed)}
