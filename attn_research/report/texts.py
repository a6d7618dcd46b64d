"""What the models of a study wrote, and what of their data was not read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attn_research import layout, store
from attn_research.analysis.statistics import Row
from attn_research.report.drawings import axes
from attn_research.report.series import titled
from attn_research.report.sheets import misread, sheets

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


def results(directory: Path, states: Sequence[store.Row]) -> dict[str, dict[str, Any]]:
    """The result of every finished cell by its id."""
    found = {
        row.id: layout.read_result(store.place(directory, row.id))
        for row in states
        if row.state == "done"
    }
    return {id: result for id, result in found.items() if result is not None}


def texts(results: dict[str, dict[str, Any]], rows: Sequence[Row]) -> list[Row]:
    """What each cell wrote, in its own words, with its metrics; none if none wrote."""
    told = _titles(rows)
    return [
        {
            "cell": id,
            "title": told.get(id, id),
            "examples": decoded["examples"],
            "metrics": {NAMES.get(n, n): v for n, v in decoded["metrics"].items()},
            "columns": list(decoded["samples"][0]) if decoded["samples"] else [],
            "samples": decoded["samples"],
            "notes": decoded["notes"],
            "sheets": sheets(decoded),
            "wrong": decoded.get("misread", {}).get("count"),
            "misread": misread(decoded),
        }
        for id, result in results.items()
        if (decoded := result.get("decoded"))
    ]


def unread(results: dict[str, dict[str, Any]], rows: Sequence[Row]) -> list[Row]:
    """Each note on what was not read, once, and the cells that it is about."""
    told, cells = _titles(rows), {}
    for id, result in results.items():
        for note in result.get("notes") or []:
            cells.setdefault(note, []).append(told.get(id, id))
    every = len(results)
    return [
        {"note": note, "cells": "every cell" if len(own) == every else "; ".join(own)}
        for note, own in cells.items()
    ]


def _titles(rows: Sequence[Row]) -> dict[str, str]:
    """The mixer and the varying fields of each cell, as a person writes them."""
    names = axes(rows) if rows else []
    return {
        row["cell"]: ", ".join(filter(None, [row["mixer"], titled(row, names)]))
        for row in rows
    }
