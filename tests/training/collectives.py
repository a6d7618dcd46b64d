"""The collectives of a compiled program, and those that are within its loops."""

import re
from typing import Any

MOVES = re.compile(
    r" (all-gather|all-reduce|reduce-scatter|all-to-all|collective-permute)"
    r"(?:-start)?\("
)


def text_of(lowered: Any) -> str:
    """The text of a compiled program."""
    return lowered.compile().as_text()


def in_loops(text: str) -> list[str]:
    """The collectives that a compiled program has within its loops."""
    blocks: dict[str, str] = {}
    for block in re.split(r"\n(?=(?:ENTRY )?%[\w.-]+ \()", text):
        name = re.match(r"(?:ENTRY )?%([\w.-]+) \(", block)
        if name:
            blocks[name[1]] = block.partition("\n")[2]
    lines = [line for block in blocks.values() for line in block.splitlines()]
    reached: set[str] = set()
    new = {name for line in lines if " while(" in line for name in named(line, blocks)}
    while new:
        reached |= new
        new = {name for one in new for name in named(blocks[one], blocks)} - reached
    return [kind for name in sorted(reached) for kind in MOVES.findall(blocks[name])]


def named(text: str, blocks: dict[str, str]) -> set[str]:
    """The computations that a piece of a compiled program names."""
    return set(re.findall(r"%([\w.-]+)", text)) & set(blocks)
