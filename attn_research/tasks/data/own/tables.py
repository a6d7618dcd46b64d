"""Tables of a user as rows: CSV, TSV, JSON, Parquet and Arrow."""

import contextlib
import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from attn_research.options import INT_MAX, BadInput
from attn_research.tasks.contract import Split
from attn_research.tasks.data import files

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
EXTRA = "pip install .[tables]"


class Row(NamedTuple):
    """The values of a row, where it stands, and the split of its file if it has one."""

    where: str
    cells: dict[str, Any]
    split: Split | None = None


class Table(NamedTuple):
    """Rows, the names of their columns, and what reading them has to report."""

    columns: tuple[str, ...]
    rows: list[Row]
    notes: list[str]


def printable(line: str) -> str:
    """A text with `?` for each sign that would move a terminal."""
    return "".join(sign if sign.isprintable() else "?" for sign in line)


def read(path: Path, shown: str) -> Table:
    """The rows of a file, which `shown` names; nested objects become `outer.inner`.

    Raises `BadInput` naming the line if the file is not a table of its kind.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise BadInput(
            f"{path} is of no kind that is read; it must end in one of "
            f"{', '.join(READERS)}"
        )
    table = reader(path, shown)
    if not table.rows:
        raise BadInput(f"{path} has no rows; it must have one or more")
    return table


# --- separated values ----------------------------------------------------------------


@contextlib.contextmanager
def _long_cells() -> Iterator[None]:
    """Cells of any length, as long as the block lasts."""
    before = csv.field_size_limit(INT_MAX)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _separated(path: Path, shown: str) -> Table:
    text = files.table(path)
    with _long_cells():
        separator = "\t" if path.suffix.lower() == ".tsv" else _separator(text)
        records = list(_records(text, separator, shown))
    if not records:
        raise BadInput(f"{path} is empty; its first line must name the columns")
    (_, header), *lines = records
    columns = tuple(
        name.strip() or f"column {number}" for number, name in enumerate(header, 1)
    )
    _distinct(columns, shown)
    rows = []
    for where, cells in lines:
        if len(cells) != len(columns):
            raise BadInput(
                f"{where} has {len(cells)} values, separated by a "
                f"{SEPARATORS[separator]}; it must have {len(columns)}, as the header "
                "does"
            )
        rows.append(Row(where, dict(zip(columns, cells, strict=True))))
    usual = "\t" if path.suffix.lower() == ".tsv" else ","
    told = [f"The values of {shown} are separated by a {SEPARATORS[separator]}."]
    return Table(columns, rows, told if separator != usual else [])


def _separator(text: str) -> str:
    """The sign that divides the header into most columns; a comma if none does."""

    def count(separator: str) -> int:
        try:
            records = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
            return len(next(records, []))
        except csv.Error:
            return 0

    return max(SEPARATORS, key=count)


def _records(text: str, separator: str, shown: str) -> Iterator[tuple[str, list[str]]]:
    """The cells of each record that is not blank, and the line where it begins."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    begins = 1
    try:
        for cells in reader:
            if any(map(str.strip, cells)):
                yield f"{shown} line {begins}", cells
            begins = reader.line_num + 1
    except csv.Error as error:
        raise BadInput(
            f"{shown} line {begins} cannot be read ({error}); a value that begins with "
            'a quote must end with one, and quotes inside of it must be doubled ("")'
        ) from None


# --- JSON ----------------------------------------------------------------------------


def _json_lines(path: Path, shown: str) -> Table:
    lines = files.table(path).split("\n")  # other breaks may stand inside of a text
    return _objects(
        (
            (f"{shown} line {number}", _parsed(line, f"{shown} line {number}"))
            for number, line in enumerate(lines, 1)
            if line.strip()
        )
    )


def _json(path: Path, shown: str) -> Table:
    content = _parsed(files.table(path), shown)
    if not isinstance(content, list):
        raise BadInput(f"{path} must be a list of objects, or end in .jsonl")
    return _objects((f"{shown} row {n}", value) for n, value in enumerate(content, 1))


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=lambda p: _object(p, where))
    except BadInput:
        raise
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where} cannot be read ({error}); it must be JSON") from None


def _object(pairs: list[tuple[str, Any]], where: str) -> dict[str, Any]:
    """An object of JSON whose keys differ."""
    made = dict(pairs)
    if len(made) < len(pairs):
        seen = set[str]()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise BadInput(
            f"{where} has the key {twice[:60]!r} twice; the keys of an object must "
            "differ"
        )
    return made


def _objects(values: Iterable[tuple[str, Any]]) -> Table:
    """A table of nested objects; a row without a column has None there."""
    rows, columns = [], dict[str, None]()
    for where, value in values:
        if not isinstance(value, dict):
            raise BadInput(
                f"{where} is {type(value).__name__}; it must be an object with the "
                "columns as its keys"
            )
        cells = dict[str, Any]()
        for name, inner in _flat(value, ""):
            if name in cells:
                raise BadInput(
                    f"{where} has two values for {printable(name[:60])}, nested and "
                    "not; the names of columns must differ"
                )
            cells[name] = inner
        rows.append(Row(where, cells))
        columns |= dict.fromkeys(cells)
    rows = [
        row._replace(cells={name: row.cells.get(name) for name in columns})
        for row in rows
    ]
    return Table(tuple(columns), rows, [])


def _flat(value: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, dict) and inner.keys() == {"bytes", "path"}:
            yield prefix + key, inner["bytes"] or inner["path"]  # a file of `datasets`
        elif isinstance(inner, dict):
            yield from _flat(inner, f"{prefix}{key}.")
        else:
            yield prefix + key, inner


# --- Parquet and Arrow ---------------------------------------------------------------


def _parquet(path: Path, shown: str) -> Table:
    return _arrow_table(path, shown, "Parquet")


def _arrow(path: Path, shown: str) -> Table:
    return _arrow_table(path, shown, "Arrow")


def _arrow_table(path: Path, shown: str, form: str) -> Table:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise BadInput(
            f"{form} files are read by pyarrow, which must be installed: {EXTRA}"
        ) from None
    stored = files.content(path)
    try:
        source = pyarrow.BufferReader(stored)
        if form == "Parquet":
            table = pyarrow.parquet.ParquetFile(source).read()
        else:
            table = _opened(pyarrow, stored)
        columns, values = table.column_names, table.to_pylist()
        classes = _classes(table.schema.metadata)
    except Exception as error:  # many kinds, by what is damaged
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise BadInput(f"{path} cannot be read ({reason}); it must be {form}") from None
    _distinct(columns, shown)
    for value in values:
        for column, names in classes.items():
            number = value.get(column)
            if isinstance(number, int) and 0 <= number < len(names):
                value[column] = names[number]
            elif number == -1:  # how `datasets` writes an unknown class
                value[column] = None
    return _objects((f"{shown} row {n}", value) for n, value in enumerate(values, 1))


def _opened(pyarrow: Any, stored: bytes) -> Any:
    """An Arrow table from a stream, as `datasets` writes it, or from a file."""
    try:
        return pyarrow.ipc.open_stream(pyarrow.BufferReader(stored)).read_all()
    except pyarrow.ArrowInvalid:
        return pyarrow.ipc.open_file(pyarrow.BufferReader(stored)).read_all()


def _classes(metadata: dict[bytes, bytes] | None) -> dict[str, list[str]]:
    """The names of the classes of each column, where `datasets` has noted them."""
    noted = json.loads((metadata or {}).get(b"huggingface", b"{}"))
    features = noted.get("info", {}).get("features", {})
    return {
        column: list(map(str, feature["names"]))
        for column, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        if isinstance(feature.get("names"), list)  # or only their number is noted
    }


def _distinct(columns: Iterable[str], shown: str) -> None:
    """Raises `BadInput` if two columns have one name."""
    seen = set()
    for name in columns:
        if name in seen:
            raise BadInput(
                f"{shown} has two columns {name!r}; the names of columns must differ"
            )
        seen.add(name)


READERS: dict[str, Callable[[Path, str], Table]] = {
    ".csv": _separated,
    ".tsv": _separated,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json,
    ".parquet": _parquet,
    ".arrow": _arrow,
}
