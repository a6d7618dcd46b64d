"""Referents of pronouns: two names in a passage, or two occupations in a sentence."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from attn_research.options import BadInput
from attn_research.tasks.contract import Split
from attn_research.tasks.data.raw import decoded, encoded, lines, parts
from attn_research.tasks.data.schema import (
    DataSet,
    Example,
    Feature,
    File,
    array,
    label,
    text,
)

FEMININE, MASCULINE = ("she", "her", "hers"), ("he", "him", "his")
COLUMNS = (
    "ID", "Text", "Pronoun", "Pronoun-offset", "A", "A-offset", "A-coref", "B",
    "B-offset", "B-coref", "URL",
)  # fmt: skip
GENDER = label(("masculine", "feminine"), "the gender of the pronoun")


def _place(of: str) -> Feature:
    return array("int32", (2,), f"the bytes where {of} begins and ends")


def _bytes(passage: str, start: int, end: int) -> tuple[int, int]:
    """A span of a passage, counted in bytes."""
    return len(encoded(passage[:start])), len(encoded(passage[:end]))


def _gap(raw: Path) -> Iterator[tuple[Split, Example]]:
    for name in ("gap-development.tsv", "gap-validation.tsv"):
        header, *rows = lines(raw, name)
        if tuple(decoded(header).split("\t")) != COLUMNS:
            raise BadInput(f"{raw / name} has other columns than {', '.join(COLUMNS)}")
        table = [decoded(row).split("\t") for row in rows]
        held = parts((row[-1] for row in table), (9, 1, 0))
        for number, row in enumerate(table, 2):
            where = f"{raw / name} line {number}"
            if len(row) != len(COLUMNS):
                raise BadInput(f"{where} has {len(row)} of {len(COLUMNS)} columns")
            split = "test" if name == "gap-validation.tsv" else held[row[-1]]
            yield split, _passage(dict(zip(COLUMNS, row, strict=True)), where)


def _passage(cells: dict[str, str], where: str) -> Example:
    passage, places = cells["Text"], {}
    for name in ("Pronoun", "A", "B"):
        start = int(cells[f"{name}-offset"])
        end = start + len(cells[name])
        if passage[start:end] != cells[name]:
            raise BadInput(f"{where}: {cells[name]!r} is not at {start} of the text")
        places[name.lower()] = _bytes(passage, start, end)
    right = [cells[f"{name}-coref"] == "TRUE" for name in ("A", "B")]
    return {
        "text": encoded(passage),
        **places,
        "gender": int(cells["Pronoun"].lower() in FEMININE),
        "label": right.index(True) if any(right) else 2,
    }


def _winobias(raw: Path) -> Iterator[tuple[Split, Example]]:
    for kind in (1, 2):
        for place, stereotype in enumerate(("pro", "anti")):
            name = f"{stereotype}_stereotyped_type{kind}.txt.dev"
            marked = [
                _marked(decoded(line), f"{raw / name} line {number}")
                for number, line in enumerate(lines(raw, name), 1)
            ]
            held = parts(f"pair {number // 2}" for number in range(len(marked)))
            for number, own in enumerate(marked):
                # Two sentences of the same two occupations follow each other.
                rival = marked[number ^ 1] if number ^ 1 < len(marked) else own
                example = _sentence(own, rival, f"{raw / name} line {number + 1}")
                known = {"kind": kind - 1, "stereotype": place, "pair": number // 2}
                yield held[f"pair {number // 2}"], {**example, **known}


class _Marked(NamedTuple):
    sentence: str
    entity: tuple[int, int]
    pronoun: tuple[int, int]


def _marked(line: str, where: str) -> _Marked:
    """A line `NUMBER [The entity] ... [pronoun] ...` without its brackets."""
    sentence, found = "", {}
    for number, piece in enumerate(re.split(r"[][]", line.strip().partition(" ")[2])):
        if number % 2:
            kind = "pronoun" if piece.lower() in FEMININE + MASCULINE else "entity"
            found.setdefault(kind, (len(sentence), len(sentence) + len(piece)))
        sentence += piece
    if len(found) != 2:
        raise BadInput(f"{where} has no [entity] or no [pronoun]")
    return _Marked(sentence, **found)


def _sentence(own: _Marked, rival: _Marked, where: str) -> Example:
    """A sentence whose second candidate is named by the other of its pair."""
    sentence = own.sentence
    name = rival.sentence[slice(*rival.entity)].lower()
    at = sentence.lower().find(name)
    if at < 0 or own.entity == (at, at + len(name)):
        raise BadInput(f"{where} does not name {name!r}, the other of its pair")
    a, b = sorted((own.entity, (at, at + len(name))))
    return {
        "text": encoded(sentence),
        "pronoun": _bytes(sentence, *own.pronoun),
        "a": _bytes(sentence, *a),
        "b": _bytes(sentence, *b),
        "gender": int(sentence[slice(*own.pronoun)].lower() in FEMININE),
        "label": int(own.entity == b),
    }


GAP = DataSet(
    name="gap",
    task="which of two names a pronoun means",
    licence="Apache-2.0; texts CC BY-SA 3.0 (Wikipedia)",
    source="google-research-datasets/gap-coreference: gap-{development,validation}.tsv",
    folder="gap",
    files=(
        File(
            "gap-development.tsv",
            1_080_993,
            "b9a01434fcf58d8c2f9bc762480c27e58ce466cf1ffe8b09cfecbc7a20d2d634",
        ),
        File(
            "gap-validation.tsv",
            245_089,
            "2d784f66b390404f554704b9aef6dcde8845e79dda9886b8391cf7e9a24fdb98",
        ),
    ),
    features={
        "text": text("the passage"),
        "pronoun": _place("the pronoun"),
        "a": _place("the name A"),
        "b": _place("the name B"),
        "gender": GENDER,
        "label": label(("a", "b", "neither"), "whom the pronoun means"),
    },
    split="the official validation file is test; of the official development file a "
    "tenth by the hash of its page is validation",
    examples={"train": 1797, "validation": 203, "test": 454},
    generate=_gap,
)

WINOBIAS = DataSet(
    name="winobias",
    task="which of two occupations a pronoun means",
    licence="MIT",
    source="uclanlp/corefBias: WinoBias/wino/data/*_stereotyped_type{1,2}.txt.dev",
    folder="winobias",
    files=(
        File(
            "pro_stereotyped_type1.txt.dev",
            32_786,
            "dd55a0d220fe4c0ceb63dd4648223fb4fe1a58d5ad95c116a002ad24b0e292a5",
        ),
        File(
            "anti_stereotyped_type1.txt.dev",
            32_782,
            "a4e0ebae344e78b56f657a42e8ae684b9db7747d177c5e7149c0907ebb7f3bf6",
        ),
        File(
            "pro_stereotyped_type2.txt.dev",
            30_884,
            "8f0250de723cea9328e3eaf7169e07936f01aa5909ce7aa580db66eb803f4e86",
        ),
        File(
            "anti_stereotyped_type2.txt.dev",
            30_875,
            "763ad829ad724f9a85ead689ba8ca69072020cb1238def6210f0fc6a47b97e59",
        ),
    ),
    features={
        "text": text("the sentence"),
        "pronoun": _place("the pronoun"),
        "a": _place("the occupation named first"),
        "b": _place("the occupation named second"),
        "gender": GENDER,
        "label": label(("a", "b"), "whom the pronoun means"),
        "kind": label(("semantic", "syntactic"), "what decides (type 1, type 2)"),
        "stereotype": label(("pro", "anti"), "whether the gender is the usual one"),
        "pair": array("int32", (), "sentences of the same two occupations"),
    },
    split="by the hash of the pair of occupations, the same in all four files",
    examples={"train": 1264, "validation": 160, "test": 160},
    generate=_winobias,
)
