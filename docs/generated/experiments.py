"""The pages of the experiments and of the ledger of claims."""

import ast
import html
import re
from collections import Counter
from pathlib import Path

from . import markdown

FOLDER = Path(__file__).parent.parent.parent / "experiments"
MARKS = "†‡"  # of a verdict by earlier rules, as a note of the ledger says
_PART = re.compile(
    r"(.*): (.*), expected (.*): ((?:yes|no|undecided|error)(?: \(.*\))?)"
)


def doc(path: Path) -> str:
    """What an experiment says of itself."""
    return ast.get_docstring(ast.parse(path.read_text())) or ""


def files(folder: Path) -> list[Path]:
    """The experiments of a folder, by name."""
    return [path for path in sorted(folder.glob("*.py")) if path.stem != "__init__"]


def listed() -> str:
    """The list of the experiments."""
    parts = []
    for title, folder, place in (
        ("Questions", FOLDER, ""),
        ("Published claims", FOLDER / "claims", "claims/"),
    ):
        parts.append(f"## {title}\n")
        for path in files(folder):
            head, _, rest = doc(path).partition("\n")
            parts += [f"### {place}{path.stem}\n", f"*{head.strip()}*\n"]
            parts.append(markdown.prose(rest))
    return "\n".join(parts)


def rows() -> list[list[str]]:
    """The rows of the ledger, without its head."""
    return markdown.rows_of((FOLDER / "claims" / "LEDGER.md").read_text(), 6)[2:]


def ledger() -> str:
    """The rows of the ledger, a section for each."""
    lines = (FOLDER / "claims" / "LEDGER.md").read_text().splitlines()
    notes = [line for line in lines[1:] if line and not line.startswith("|")]
    verdicts = Counter(row[1].rstrip(f" {MARKS}").strip() for row in rows())
    counted = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
    parts = [f"## The verdicts\n\n{counted}.\n", "\n".join(notes[1:]) + "\n"]
    for number, (claim, verdict, numbers, cost, command, commit) in enumerate(
        rows(), 1
    ):
        said, _, source = claim.rpartition(" (")
        told = numbers.split("<br>")
        measured = [found for part in told if (found := _expectation(part))]
        changed = [part for part in told if not _expectation(part)]
        parts += [
            f"### {number}. {said}\n",
            f"**{verdict.capitalize()}.** ({html.escape(html.unescape(source))}\n",
            markdown.table(("expectation", "measured", "expected", "holds"), measured),
            *([" ".join(changed) + "\n"] if changed else []),
            f"{cost}, commit {commit}\n",
            markdown.block(command.strip("`")),
        ]
    return "\n".join(parts)


def _expectation(part: str) -> tuple[str, ...] | None:
    """The cells of an expectation or a gate; None for another sentence of the row."""
    found = _PART.fullmatch(part.strip())
    return found.groups() if found else None


def pages() -> dict[str, str]:
    """Place in the site -> Markdown."""
    made = {"experiments.md": listed(), "ledger.md": ledger()}
    return {place: markdown.filled(place, text) for place, text in made.items()}
