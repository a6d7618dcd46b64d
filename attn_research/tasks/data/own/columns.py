"""Which column of a table is the text, the label, the time."""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from attn_research.options import BadInput, nearest
from attn_research.tasks.data.own.pairs import LANGUAGE
from attn_research.tasks.data.own.tables import Row, Table, printable

LISTED = ("answer", "start")  # may be lists, of which the first counts
SHOWN, WIDTH = 3, 60  # rows of a preview, and signs of a value in it


class Roles(NamedTuple):
    """The roles of a kind, each with usual names of its column; some may be absent."""

    needed: Mapping[str, tuple[str, ...]]
    free: Mapping[str, tuple[str, ...]]


LABEL = ("class", "category", "target", "sentiment")
TEXT = ("sentence", "review", "content", "document")
ROLES: dict[str, Roles] = {
    "classification": Roles({"text": TEXT, "label": LABEL}, {}),
    "text": Roles({"text": TEXT}, {}),
    "translation": Roles({}, {"document": ()}),
    "summarisation": Roles(
        {"text": ("document", "article", "dialogue"), "summary": ("highlights",)},
        {"query": ("question",)},
    ),
    "question_answering": Roles(
        {
            "question": ("query",),
            "context": ("paragraph", "passage"),
            "answer": ("answers.text",),
        },
        {"start": ("answers.answer_start", "answer_start")},
    ),
    "forecasting": Roles({}, {"time": ("date", "timestamp", "datetime"), "values": ()}),
    "image_classification": Roles({"image": ("file", "file_name"), "label": LABEL}, {}),
    "audio_classification": Roles({"audio": ("file", "file_name"), "label": LABEL}, {}),
}


def chosen(kind: str, given: str, table: Table, source: str) -> dict[str, str]:
    """Role -> column, as `given` (role=column,...) or by the usual names.

    Raises `BadInput` with the columns there are if one is missing.
    """
    roles = ROLES[kind]
    known = {**roles.needed, **roles.free}
    found: dict[str, str] = {}
    owner: dict[str, str] = {}
    for pair in filter(None, given.split(",")):
        role, equals, column = (part.strip() for part in pair.partition("="))
        languages = kind == "translation" and LANGUAGE.fullmatch(role)
        if not equals or not (role in known or languages):
            names = ", ".join(known) or "none"
            if kind == "translation":
                names = f"languages of two letters, or {names}"
            raise BadInput(
                f"--columns has {pair!r}; it must be ROLE=COLUMN, and the roles of "
                f"{kind} are {names}{nearest(role, known)}"
            )
        if role in found:
            raise BadInput(f"--columns names {role} twice; it must be named once")
        for name in _named_by(role, column):
            named(name, table, source, "--columns")
            if name in owner:
                raise BadInput(
                    f"--columns names {name} twice, as {owner[name]} and as {role}; a "
                    "column must be named once"
                )
            owner[name] = role
        found[role] = column
    for role, usual in known.items():
        if role in found or role == "values":
            continue
        free = [name for name in table.columns if name not in owner]
        close = [n for word in (role, *usual) for n in free if n.lower() == word]
        if len({name.lower() for name in close[:2]}) < len(close[:2]):
            raise BadInput(
                f"{source} has the columns {close[0]} and {close[1]}; --columns must "
                f"name one of them, such as --columns={role}={close[0]}"
            )
        if close:
            found[role] = close[0]
            owner[close[0]] = role
        elif role in roles.needed:
            raise BadInput(
                f"{source} has the columns {listed(table.columns)}, and none that is "
                f"usual for {role}; --columns must name it, such as "
                f"--columns={role}={table.columns[0]}"
            )
    if kind == "translation":
        _languages(found, table, source)
    return found


def _languages(found: dict[str, str], table: Table, source: str) -> None:
    """Adds columns whose names are languages if fewer than two are given."""
    if not any(LANGUAGE.fullmatch(role) for role in found):
        # As `datasets` has them: translation.en beside translation.fr.
        owned = list(found.values())
        for column in table.columns:
            name = column.rpartition(".")[2]
            if not LANGUAGE.fullmatch(name) or column in owned:
                continue
            if name in found:
                raise BadInput(
                    f"{source} has {name} in the columns {found[name]} and {column}; "
                    f"--columns must name one of them, such as "
                    f"--columns={name}={column}"
                )
            found[name] = column
    if sum(bool(LANGUAGE.fullmatch(role)) for role in found) < 2:
        raise BadInput(
            f"{source} has the columns {listed(table.columns)}; two of them must be "
            "languages of two letters, or be named by --columns, such as "
            "--columns=en=english,fr=french"
        )


def named(name: str, table: Table, source: str, flag: str) -> str:
    """`name` if it is a column; raises `BadInput` with those there are."""
    if name in table.columns:
        return name
    raise BadInput(
        f"{flag} names the column {name!r}; it must be one of those of {source}: "
        f"{listed(table.columns)}{nearest(name, table.columns)}"
    )


def listed(columns: Iterable[str]) -> str:
    """The names of columns, as many as a sentence has room for."""
    names = ", ".join(columns)
    return names if len(names) < 400 else f"{names[:400]}..."


def _named_by(role: str, column: str) -> list[str]:
    """The columns of a role: several, joined by `+`, if they are values."""
    return column.split("+") if role == "values" else [column]


def preview(roles: Mapping[str, str], table: Table, used: Collection[str]) -> list[str]:
    """Lines that show how the first rows are understood, and what is not `used`."""
    lines = [f"{len(table.rows):,} rows with the columns {listed(table.columns)}."]
    lines.append(", ".join(f"{role} is {column}" for role, column in roles.items()))
    taken = {name for role, column in roles.items() for name in _named_by(role, column)}
    if unused := [name for name in table.columns if name not in {*taken, *used}]:
        lines.append(f"Columns that are not used: {listed(unused)}.")
    for row in table.rows[:SHOWN]:
        lines.append(f"{row.where}:")
        for role, column in roles.items():
            names = _named_by(role, column)
            values = ", ".join(map(_short, (row.cells[name] for name in names)))
            lines.append(f"  {role}: {values}")
    return lines


def _short(value: object) -> str:
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    line = printable(" ".join(str(value).split()))
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..."


def text(row: Row, column: str, role: str) -> str:
    """A value as text; raises `Missing` if the row has none."""
    value = row.cells[column]
    if isinstance(value, list) and role in LISTED:
        value = value[0] if value else None
    if isinstance(value, list | dict | bytes):
        raise BadInput(
            f"{row.where} has {type(value).__name__} as its {role}; it must be text or "
            "a number"
        )
    if value is None or value != value:
        raise Missing(f"{row.where} has no {role}")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not str(value).strip():
        raise Missing(f"{row.where} has no {role}")
    return str(value)


def padded(row: Row, column: str) -> bool:
    """Whether a value that is there has blanks around it."""
    value = row.cells[column]
    return isinstance(value, str) and value != value.strip() != ""


class Missing(BadInput):
    """A row without a value that it must have."""
