"""Pieces of Markdown: tables, texts of docstrings, lists of options."""

import inspect
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from attn_research.options import BOUNDS, explained

DOCS = Path(__file__).parent.parent
MARK = "<!-- generated -->"
NARROW = 2  # columns of a table that a phone shows beside each other
_BOUND = "|".join(words for _, words, _ in BOUNDS)
_HEAD = re.compile(rf"  (\w+): (.*?) = (.*?)((?:, (?:{_BOUND}) [^,]+)*)")


class Option(NamedTuple):
    """An option as `explained` tells it, in words."""

    name: str
    kind: str
    default: str
    bounds: str
    meaning: str


def options(cls: Any) -> list[Option]:
    """The options of a class, in order."""
    found: list[Option] = []
    for line in explained(cls).splitlines()[1:]:
        head = _HEAD.fullmatch(line)
        if head and not line.startswith("   "):
            name, kind, default, bounds = head.groups()
            found.append(Option(name, kind, default, bounds.strip(", "), ""))
        else:
            last = found[-1]
            found[-1] = last._replace(meaning=f"{last.meaning} {line.strip()}".strip())
    return found


def code(text: object) -> str:
    """Text set as code within a line or a cell; `` if it is empty."""
    written = str(text).replace("\n", " ")
    return f"`{written}`" if written else ""


def cell(text: object) -> str:
    """Text of a cell: one line, with no sign that a table or HTML reads."""
    plain = " ".join(str(text).split())
    plain = re.sub(r"<(?=[\w/!])", "&lt;", plain) if "`" not in plain else plain
    return plain.replace("|", "\\|")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table with a line for each row."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(cell, line))} |" for line in lines) + "\n"


def option_table(cls: Any) -> str:
    """The options of a class: how each is written, and what it means."""
    rows = [
        (
            code(one.name),
            f"{code(one.kind)}{f', {one.bounds}' if one.bounds else ''}",
            code(one.default),
            one.meaning,
        )
        for one in options(cls)
    ]
    if not rows:
        return "No options.\n"
    return table(("option", "type and bounds", "default", "meaning"), rows)


def prose(text: str | None) -> str:
    """What a docstring says before its list of options, as Markdown."""
    said = inspect.cleandoc(text or "").partition("Options:\n")[0]
    said = said.removesuffix("No options.").strip()
    lines = [
        line if line.startswith("    ") else re.sub(r"<(?=[\w/!])", "&lt;", line)
        for line in said.splitlines()
    ]
    return "\n".join(line.replace(" * ", " \\* ") for line in lines) + "\n"


def block(text: str, language: str = "") -> str:
    """Text set as it is."""
    return f"```{language}\n{text.strip()}\n```\n"


def rows_of(page: str, columns: int) -> list[list[str]]:
    """The rows of the tables of a page that have so many columns, heads included."""
    found = []
    for line in page.splitlines():
        parts = re.split(r"(?<!\\)\|", line.strip())[1:-1]
        if line.startswith("|") and len(parts) == columns:
            found.append([part.strip() for part in parts])
    return found


def filled(place: str, made: str) -> str:
    """A page of docs/ with what is generated in the place of its mark."""
    page = (DOCS / place).read_text()
    if page.count(MARK) != 1:
        raise ValueError(f"{place} has {page.count(MARK)} marks {MARK}; it must have 1")
    return page.replace(MARK, made)


def unbroken(page: str) -> str:
    """A page of HTML in whose text no line ends within the dashes of a flag."""

    def kept(code: re.Match[str]) -> str:
        return re.sub(
            r"(?<![\w-])--[\w.]+(?![^<]*>)", r'<span class="flag">\g<0></span>', code[0]
        )

    return re.sub(r"<code>.*?</code>", kept, page, flags=re.S)


def labelled(table: str) -> str:
    """A table whose cells know their columns, if it has many."""
    table = table.replace("\\|", "|")  # as Markdown leaves it in code
    # A long pattern goes on in the next line after a comma.
    table = re.sub(
        r"<code>.*?</code>", lambda code: code[0].replace(",", ",<wbr>"), table
    )
    names = [
        re.sub(r"<.*?>", "", one) for one in re.findall(r"<th.*?>(.*?)</th>", table)
    ]
    if len(names) <= NARROW:
        return table
    cells = iter(range(table.count("<td")))
    return re.sub(
        r"<td", lambda _: f'<td data-label="{names[next(cells) % len(names)]}"', table
    )
