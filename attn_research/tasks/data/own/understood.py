"""A user's file or folder as the examples of a data set, before anything is written."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from attn_research.options import BadInput
from attn_research.tasks.contract import SPLITS
from attn_research.tasks.data import files
from attn_research.tasks.data.own import (
    clock,
    columns,
    folders,
    kinds,
    media,
    numbers,
    series,
    splitting,
    statistics,
)
from attn_research.tasks.data.own.asked import Asked
from attn_research.tasks.data.own.columns import Missing
from attn_research.tasks.data.own.splitting import Divided, Made
from attn_research.tasks.data.own.tables import Table
from attn_research.tasks.data.schema import DataSet, Feature, label

CLASSES = 1000  # of a label, at most
NUMBER = re.compile(r"[+-]?\d+")
FOR = {
    "gaps": ("forecasting",),
    "dates": ("forecasting",),
    "size": ("image_classification",),
    "length": tuple(kinds.KINDS.keys() - {"image_classification"}),
}
UNUSED = {name: Asked._field_defaults[name] for name in FOR}


class Understood(NamedTuple):
    """A data set, its examples, its digest, and what measuring it gave."""

    data: DataSet
    splits: Divided
    digest: str
    statistics: dict[str, Any]


def understand(asked: Asked, show: Callable[[str], None]) -> Understood:
    """The examples of what is asked for; `show` takes lines on how it is understood.

    Raises `BadInput` in one sentence, with the row if one is at fault.
    """
    for option, known in FOR.items():
        if asked.kind not in known and getattr(asked, option) != UNUSED[option]:
            raise BadInput(
                f"--{option} does nothing for {asked.kind}; it must be left out"
            )
    if asked.dates:
        clock.check_format(asked.dates)
    size = media.measures(asked.size)
    source = str(asked.source)
    table = folders.read(asked.source, asked.kind)
    roles = columns.chosen(asked.kind, asked.columns, table, source)
    for flag, name in (("--split", asked.split), ("--group", asked.group)):
        if name:
            columns.named(name, table, source, flag)
    if asked.kind == "forecasting" and "values" not in roles:
        roles["values"] = numbers.channels(asked, table, roles)
    if asked.dates and "time" not in roles:
        raise BadInput(
            f"--dates is given, but no column of {source} is the time; it must be "
            f"named by --columns, such as --columns=time={table.columns[0]}"
        )
    used = {asked.split, asked.group}
    for line in columns.preview(roles, table, used):
        show(line)
    for note in table.notes:
        show(note)
    if asked.kind == "forecasting":
        if asked.group:
            raise BadInput("--group does nothing for forecasting; it must be left out")
        if asked.drop_missing:
            raise BadInput(
                "--drop_missing does nothing for forecasting; --gaps must say what is "
                "done with missing values"
            )
        found = series.read(asked, table, roles)
        splits, features, notes = found
        facts, lines = statistics.of_series(splits, roles["values"].split("+"))
    else:
        made, told = _made(asked, table, roles, size)
        features = _features(asked, roles, made)
        grouped = bool(asked.group) or "document" in roles
        splits, notes = splitting.divided(made, source, grouped)
        notes = told + notes
        read = kinds.measured(asked.kind, roles)
        facts = statistics.measured(splits, features, read, asked.length)
        lines = statistics.lines(facts, kinds.KINDS[asked.kind].unit)
    for line in [*notes, *lines]:
        show(line)
    digest = _digest(asked.kind, features, splits)
    data = DataSet(
        name=asked.name,
        task=f"{asked.kind}, a user's own",
        licence="the user's own",
        source=f"own data, content {digest}",
        folder="",
        files=(),
        features=features,
        split=" ".join(notes) or "as given",
        examples={split: len(splits[split]) for split in SPLITS},
        generate=lambda folder: iter(()),
    )
    return Understood(data, splits, digest, facts)


def _made(
    asked: Asked, table: Table, roles: dict[str, str], size: tuple[int, int] | None
) -> tuple[list[Made], list[str]]:
    """The rows as examples, without those that lack a value if they may be left out."""
    directory = files.kind(asked.source) == "directory"
    base = asked.source if directory else asked.source.parent
    around = kinds.Around(base, size)
    made, missing, padded = [], [], []
    for row in table.rows:
        try:
            read = kinds.KINDS[asked.kind].read(row, roles, around)
            if asked.group:
                own = columns.text(row, asked.group, "group")
                read = read._replace(group=own.encode(errors="replace"))
        except Missing as error:
            if not asked.drop_missing:
                raise BadInput(
                    f"{error}; it must have one (--drop_missing leaves such rows out)"
                ) from None
            missing.append(str(error))
            continue
        _check(read.example, row.where)
        split = splitting.of_row(row, asked.split)
        name = str(read.example.get("label", ""))
        if "label" in roles and columns.padded(row, roles["label"]):
            padded.append(row.where)
        made.append(Made(row.where, *read, name, split))
    if not made:
        raise BadInput(f"{asked.source} has no row with every value; it must have some")
    notes = []
    if missing:
        notes.append(f"{len(missing):,} rows are left out, first: {missing[0]}.")
    if padded:
        notes.append(
            f"{len(padded):,} labels have blanks around them, first that of "
            f"{padded[0]}: they are left out."
        )
    if asked.kind == "question_answering" and "start" not in roles:
        several = [
            row.where
            for row in made
            if row.example["context"].count(row.example["answer"]) > 1
        ]
        if several:
            notes.append(
                f"Answers that stand in their context more than once: "
                f"{len(several):,}, first {several[0]}; the first place is taken "
                "unless a column is named as start."
            )
    if asked.kind == "image_classification":
        alike = media.alike([m.example["image"] for m in made], [m.where for m in made])
        for row, image in zip(made, alike, strict=True):
            row.example["image"] = image
    return made, notes


def _check(example: dict[str, Any], where: str) -> None:
    """Raises `BadInput` for a NUL, which ends texts."""
    for name, value in example.items():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, bytes) and b"\0" in item:
                raise BadInput(
                    f"{where} holds a NUL in its {name}; it must be text without one"
                )


def _features(
    asked: Asked, roles: dict[str, str], made: list[Made]
) -> dict[str, Feature]:
    """The features; the label of each example becomes the number of its class."""
    features = kinds.features(asked.kind, roles, made[0].example)
    if "label" not in made[0].example:
        return features
    names = sorted({row.label for row in made}, key=_order)
    what = f"The label of {asked.source} has {len(names):,} different values"
    if len(names) < 2:
        raise BadInput(f"{what} ({names[0]}); they must be two or more classes")
    if len(names) > CLASSES or (len(names) == len(made) > 2):
        raise BadInput(
            f"{what} in {len(made):,} rows, such as {names[0][:60]!r}; they must be at "
            f"most {CLASSES:,} classes with several rows each"
        )
    for name in names:
        if not name.isprintable() or len(name) > 200:
            row = next(row for row in made if row.label == name)
            raise BadInput(
                f"{row.where} has the label {name[:60]!r}; it must be printable and of "
                "at most 200 letters"
            )
    place = {name: number for number, name in enumerate(names)}
    for row in made:
        row.example["label"] = place[row.label]
    return {**features, "label": label(names, "the class")}


def _order(name: str) -> tuple[bool, int, str]:
    """Whole numbers by size, before other names."""
    whole = NUMBER.fullmatch(name) is not None and len(name) < 300
    return not whole, int(name) if whole else 0, name


def _digest(kind: str, features: dict[str, Feature], splits: Divided) -> str:
    """The digest of all examples in order, and of their schema."""
    parts = [f"{kind} {sorted((k, vars(f)) for k, f in features.items())}".encode()]
    for split in SPLITS:
        parts.append(split.encode())
        for example in splits[split]:
            ordered = [np.asarray(v) if isinstance(v, int) else v
                       for _, v in sorted(example.items())]  # fmt: skip
            parts.append(splitting.digest(ordered))
    return splitting.digest(parts).hex()
