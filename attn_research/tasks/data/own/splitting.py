"""The splits of a user's rows: as given, or drawn by content; copies and leaks."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from attn_research.options import BadInput
from attn_research.tasks.contract import SPLITS, Split
from attn_research.tasks.data import splits
from attn_research.tasks.data.own.asked import SPLIT_WORDS
from attn_research.tasks.data.own.tables import Row
from attn_research.tasks.data.schema import Example


@dataclass(frozen=True)
class Made:
    """A row as an example.

    Rows of one `group` share a split, which is drawn by it; `content` is what no two
    splits may share, `near` what it is but for case, spaces and punctuation; `label` is
    a class or "".
    """

    where: str
    example: Example
    group: bytes
    content: bytes
    near: bytes
    label: str = ""
    split: Split | None = None


Divided = dict[Split, list[Example]]


def of_row(row: Row, column: str) -> Split | None:
    """The split that a row is given by its column, or else by its file."""
    if not column:
        return row.split
    value = str(row.cells[column] or "").strip()
    if value.lower() not in SPLIT_WORDS:
        raise BadInput(
            f"{row.where} has the split {value!r}; it must be train, validation or test"
        )
    return SPLIT_WORDS[value.lower()]


def divided(made: list[Made], source: str, grouped: bool) -> tuple[Divided, list[str]]:
    """The examples of each split in the order of the rows, and what to report.

    A split that is not given is drawn by the hash of the group: of all rows, or of
    those of train. A row of train or validation whose content is in a later split is
    left out, and so is one that repeats an earlier row of its split; one that nearly
    does is reported. Raises `BadInput` if a group is in two of the given splits, or if
    a split would be empty.
    """
    notes = []
    given = {row.split for row in made} - {None}
    if given and "train" not in given:
        told = ", ".join(sorted(map(str, given)))
        raise BadInput(f"{source} has the splits {told}; one of them must be train")
    if given and grouped:
        _whole(made)
    absent: list[Split] = [split for split in SPLITS if split not in given]
    if absent:
        notes.append(
            f"{source} has no {' or '.join(absent)} split: "
            + ("it is" if len(absent) == 1 else "they are")
            + " drawn from the rows of train by the hash of their content."
            if given
            else "The splits are drawn by the hash of each row's "
            + ("group." if grouped else "content.")
        )
    rows = list(zip(made, _assigned(made, source, absent, grouped), strict=True))
    rows, told = _without_leaks(rows)
    notes += told
    rows, told = _without_copies(rows)
    notes += told
    notes += _near_leaks(rows)
    notes += _contradictions(rows)
    found: Divided = {s: [m.example for m, own in rows if own == s] for s in SPLITS}
    for split in SPLITS:
        if not found[split]:
            raise BadInput(
                f"{source} has no row left for its {split} split; one must be there "
                "that no other split repeats"
            )
    return found, notes


def _assigned(
    made: list[Made], source: str, absent: list[Split], grouped: bool
) -> list[Split]:
    """The split of each row; those in `absent` are drawn."""
    if not absent:
        return [row.split or "train" for row in made]
    shares = splits.Shares(2 * ("validation" in absent), 2 * ("test" in absent))
    members = [
        splits.Member(
            row.group,
            label=row.label,
            split=None if row.split == "train" else row.split,
        )
        for row in made
    ]
    count = len({row.group for row in made})
    what = "group" if grouped else "content"
    return splits.assigned(
        members,
        shares,
        source,
        f"or name the split of each row by --split: rows of one {what} share a split",
        f"rows of {count:,} different {what}{'s' * (count != 1)}",
    )


def _whole(made: list[Made]) -> None:
    """Raises `BadInput` if a group lies in two splits."""
    first: dict[bytes, Made] = {}
    for row in made:
        other = first.setdefault(row.group, row)
        if other.split != row.split:
            raise BadInput(
                f"{row.where} ({row.split}) is of the same group as {other.where} "
                f"({other.split}); a group must lie in one split"
            )


Rows = list[tuple[Made, Split]]


def _without_leaks(rows: Rows) -> tuple[Rows, list[str]]:
    """The rows of train and validation whose content is in no later split."""
    notes = []
    for split in ("validation", "train"):
        later = SPLITS[SPLITS.index(split) + 1 :]
        seen = {row.content: row.where for row, own in rows if own in later}
        lost = [row for row, own in rows if own == split and row.content in seen]
        if lost:
            notes.append(
                f"{_count(lost, 'repeat')} in {split} what is in "
                f"{' or '.join(later)}, "
                f"first {lost[0].where} ({seen[lost[0].content]}): left out."
            )
            rows = [r for r in rows if r[1] != split or r[0].content not in seen]
    return rows, notes


def _near_leaks(rows: Rows) -> list[str]:
    """A sentence on the rows of each split that nearly are in a later one."""
    notes = []
    for split in ("validation", "train"):
        later = SPLITS[SPLITS.index(split) + 1 :]
        seen = {row.near: row.where for row, own in reversed(rows) if own in later}
        near = [row for row, own in rows if own == split and row.near in seen]
        if near:
            notes.append(
                f"{_count(near, 'repeat')} in {split} what is in {' or '.join(later)} "
                f"but for case, spaces and punctuation, first {near[0].where} "
                f"({seen[near[0].near]}): "
                + ("it stays." if len(near) == 1 else "they stay.")
            )
    return notes


def _without_copies(rows: Rows) -> tuple[Rows, list[str]]:
    """The first of those rows of a split that are equal in all."""
    kept, copies, seen = [], [], dict[tuple[bytes, Split], str]()
    for row, split in rows:
        key = digest(row.example.values()), split
        if key in seen:
            copies.append((row, seen[key]))
        else:
            kept.append((row, split))
            seen[key] = row.where
    if not copies:
        return rows, []
    row, other = copies[0]
    return kept, [
        f"{_count(copies, 'repeat')} an earlier row of the same split, first "
        f"{row.where} after {other}: left out."
    ]


def _contradictions(rows: Rows) -> list[str]:
    """A sentence on rows of one content and several classes."""
    first: dict[bytes, Made] = {}
    wrong = []
    for row, _ in rows:
        other = first.setdefault(row.content, row)
        if other.label != row.label:
            wrong.append((row, other))
    if not wrong:
        return []
    row, other = wrong[0]
    return [
        f"{_count(wrong, 'contradict')} an earlier row of the same content, first "
        f"{row.where} ({row.label}) after {other.where} ({other.label}): both stay."
    ]


def _count(rows: list, verb: str) -> str:
    return f"1 row {verb}s" if len(rows) == 1 else f"{len(rows):,} rows {verb}"


def digest(values: Iterable[Any]) -> bytes:
    """Sixteen bytes that stand for the values of an example."""
    hashed = hashlib.blake2b(digest_size=16)
    for value in values:
        for item in value if isinstance(value, list) else [value]:
            stored = item if isinstance(item, bytes) else _numbers(item)
            hashed.update(len(stored).to_bytes(8, "big") + stored)
    return hashed.digest()


def _numbers(value: Any) -> bytes:
    if hasattr(value, "tobytes"):
        return f"{value.dtype} {value.shape}".encode() + value.tobytes()
    return repr(value).encode()
