"""Nested operations on lists of digits (Nangia & Bowman, 2018, arXiv:1804.06028)."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from attn_research.options import BadInput
from attn_research.tasks.contract import Split
from attn_research.tasks.data.raw import decoded, lines, parts
from attn_research.tasks.data.schema import DataSet, Example, File, label, text


def _listops(raw: Path, name: str) -> Iterator[tuple[Split, Example]]:
    found = []
    for number, line in enumerate(lines(raw, name), 1):
        value, tab, tree = line.partition(b"\t")
        if not tab or not value.isdigit():
            raise BadInput(f"{raw / name} line {number} is not VALUE, a tab, TREE")
        # The brackets of the binary tree only repeat what the operators say.
        words = [word for word in tree.split() if word not in (b"(", b")")]
        found.append((b" ".join(words), int(value)))
    held = parts(decoded(expression) for expression, _ in found)
    for expression, value in found:
        yield held[decoded(expression)], {"text": expression, "label": value}


def _set(name: str, task: str, file: File) -> DataSet:
    return DataSet(
        name=name,
        task=task,
        licence="MIT",
        source=f"nyu-mll/spinn: python/spinn/data/listops/{file.name}",
        folder="listops_spinn",
        files=(file,),
        features={
            "text": text("the expression, its signs between blanks"),
            "label": label(map(str, range(10)), "its value"),
        },
        split="by the hash of the expression: 80 / 10 / 10 %",
        examples={"train": 8000, "validation": 1000, "test": 1000},
        generate=partial(_listops, name=file.name),
    )


LISTOPS_D20S = _set(
    "listops_d20s",
    "values of nested MIN, MAX, MED and SM (a sum modulo 10)",
    File(
        "test_d20s.tsv",
        2_804_179,
        "71335416e6896e8dd8dc69281c8ed9b37316382d05d3705d660461564e843840",
    ),
)
LISTOPS_D8 = _set(
    "listops_d8",
    "values of nested MIN, MAX, FIRST and LAST",
    File(
        "test_d8.tsv",
        1_023_225,
        "881061477e62e9941332825bf417e25a13de50a38bf74a893e23f4ef05b18087",
    ),
)
