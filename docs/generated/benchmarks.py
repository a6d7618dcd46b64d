"""What was learned beside peers, from the JSON of the benchmark."""

import json
import statistics
from typing import Any

from . import markdown

RESULTS = markdown.DOCS.parent / "benchmarks" / "results"


def row(mixer: str, peer: str, task: str, one: dict[str, Any]) -> tuple[str, ...]:
    """A mixer and its peer on a task: mean scores, and the interval of what differs."""
    score, apart = one["score"], one["difference"][one["score"]]
    ours, theirs = (
        statistics.fmean(seed[score] for seed in one[who].values())
        for who in ("ours", "peer")
    )
    interval = f"{apart['mean']:.4f} ({apart['low']:.4f} to {apart['high']:.4f})"
    return mixer, peer, task, score, f"{ours:.4f}", f"{theirs:.4f}", interval


def pages() -> dict[str, str]:
    """Place in the site -> Markdown."""
    pairs = json.loads((RESULTS / "learning_cpu.json").read_text())["pairs"]
    rows = [
        row(mixer, found["peer"], task, one)
        for mixer, found in pairs.items()
        for task, one in found.items()
        if task != "peer"
    ]
    head = ("mixer", "peer", "task", "score", "ours", "peer's", "difference (95 %)")
    made = markdown.table(head, rows)
    return {"benchmarks.md": markdown.filled("benchmarks.md", made)}
