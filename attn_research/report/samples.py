"""Samples that the models of a study wrote, and notes on how their data was read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attn_research.analysis.statistics import Row
from attn_research.host import layout
from attn_research.report import limits
from attn_research.report.grids import misread, sheets
from attn_research.report.plans import axes
from attn_research.report.series import titled
from attn_research.studies import store

NAMES = {
    "macro_f1": "macro F1",
    "exact_match": "exact match",
    "words_f1": "F1 of words",
    "error_rate": "error rate",
    "bleu": "BLEU",
    "chrf": "chrF",
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rougeL": "ROUGE-L",
}


def results(
    directory: Path, states: Sequence[store.CellState]
) -> dict[str, dict[str, Any]]:
    """The result of every finished cell by its id."""
    results = {
        state.id: layout.read_result(store.place(directory, state.id))
        for state in states
        if state.state == "done"
    }
    return {id: result for id, result in results.items() if result is not None}


def written_samples(
    results: dict[str, dict[str, Any]], rows: Sequence[Row]
) -> list[Row]:
    """The samples of the first cells that wrote any, with their metrics."""
    titles = _titles(rows)
    written = [(id, r["decoded"]) for id, r in results.items() if r.get("decoded")]
    return [
        {
            "cell": id,
            "title": titles.get(id, id),
            "examples": decoded["examples"],
            "metrics": {NAMES.get(n, n): v for n, v in decoded["metrics"].items()},
            "columns": list(decoded["samples"][0]) if decoded["samples"] else [],
            "samples": decoded["samples"],
            "notes": decoded["notes"],
            "sheets": sheets(decoded),
            "wrong": decoded.get("misread", {}).get("count"),
            "misread": misread(decoded),
        }
        for id, decoded in written[: limits.SAMPLES]
    ]


def reading_notes(results: dict[str, dict[str, Any]], rows: Sequence[Row]) -> list[Row]:
    """Each note on the reading of data, once, with the cells that it applies to."""
    titles, cells = _titles(rows), {}
    differing = _differing(results, rows)
    for id, result in results.items():
        notes = list(result.get("notes") or [])
        if id in differing:
            notes.append(
                "These cells have the same task, but their data differ: files changed "
                "between them."
            )
        if "data" not in result:
            notes.append(
                "Written by a version that did not seal its files: a change of them "
                "would not be noticed."
            )
        for note in notes:
            cells.setdefault(note, []).append(titles.get(id, id))
    every = len(results)
    return [
        {
            "note": note,
            "cells": "every cell" if len(some) == every else limits.named(some),
        }
        for note, some in cells.items()
    ]


def _differing(results: dict[str, dict[str, Any]], rows: Sequence[Row]) -> set[str]:
    """The cells of each task whose data are not the same in all of them."""
    tasks: dict[Any, dict[str, set[str]]] = {}
    for row in rows:
        options = sorted((k, str(v)) for k, v in row.items() if k.startswith("task"))
        data = results.get(row["cell"], {}).get("data", "")
        if data:
            tasks.setdefault(str(options), {}).setdefault(data, set()).add(row["cell"])
    return {
        id
        for by_data in tasks.values()
        if len(by_data) > 1
        for ids in by_data.values()
        for id in ids
    }


def _titles(rows: Sequence[Row]) -> dict[str, str]:
    """The mixer and the varying fields of each cell, as a title."""
    names = axes(rows) if rows else []
    return {
        row["cell"]: ", ".join(filter(None, [row["mixer"], titled(row, names)]))
        for row in rows
    }
