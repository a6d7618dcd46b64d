"""The rows of a user's file or folder: tables, classes, documents, pairs of texts."""

from collections.abc import Iterable
from pathlib import Path

from attn_research.options import BadInput
from attn_research.tasks.contract import SPLITS, Split
from attn_research.tasks.data import files
from attn_research.tasks.data.own import pairs, saved, tables
from attn_research.tasks.data.own.asked import SPLIT_WORDS, split_word
from attn_research.tasks.data.own.pairs import left_out, listed
from attn_research.tasks.data.own.tables import Row, Table, printable

TEXTS = (".txt", ".md", ".rst")
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm",
          ".ppm")  # fmt: skip
SOUNDS = (".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff")
# What a file of a folder of classes holds, by kind: the role, and the endings.
CONTENT = {
    "classification": ("text", TEXTS),
    "image_classification": ("image", IMAGES),
    "audio_classification": ("audio", SOUNDS),
}


def read(path: Path, kind: str) -> Table:
    """The rows of a file or folder; raises `BadInput` if it holds none of the kind."""
    table = _read(path, kind)
    for name in table.columns:
        if not name.isprintable():
            raise BadInput(
                f"{path} has the column {name[:60]!r}; the names of columns must be "
                "printable and of one line"
            )
    return table


def _read(path: Path, kind: str) -> Table:
    match files.kind(path):
        case "missing":
            raise BadInput(f"--from is {path}, which is not there; it must be a file "
                           "or a folder")  # fmt: skip
        case "directory":
            try:
                return _folder(path, kind)
            except OSError as error:
                raise files.unreadable(path, error) from None
        case _:
            if kind == "text" and path.suffix.lower() in TEXTS:
                raise BadInput(
                    f"{path} is one text, which --task='text(path=...)' reads as it "
                    "is; --from must be a table or a folder of texts"
                )
            return tables.read(path, printable(path.name))


def _folder(path: Path, kind: str) -> Table:
    if (parts := saved.shards(path)) is not None:
        return _joined(parts)
    if found := _tables(path):
        words: dict[Path, Split | None] = {p: split_word(p.stem) for p in found}
        if any(words.values()) and not all(words.values()):
            other = next(t for t, word in words.items() if word is None)
            raise BadInput(
                f"{path} holds {other.name} beside tables of splits; the names of all "
                "tables must begin with train, validation or test, or none of them"
            )
        found.sort(key=lambda table: SPLITS.index(words[table] or "train"))
        return _joined((table, printable(table.name), words[table]) for table in found)
    table = None
    if kind in CONTENT:
        table = _classes(path, *CONTENT[kind])
    elif kind == "translation":
        table = pairs.read(path)
    elif kind == "text":
        table = _documents(path)
    if table is None or not table.rows:
        forms = {"text": "text files", "translation": "pairs such as a.en and a.fr"}
        what = forms.get(kind, "")
        if kind in CONTENT:
            what = (
                f"a folder for each class, with files of {', '.join(CONTENT[kind][1])}"
            )
        raise BadInput(
            f"{path} holds nothing that is read as {kind}; it must hold tables "
            f"({', '.join(tables.READERS)})" + f" or {what}" * bool(what)
        )
    return table


def _tables(path: Path) -> list[Path]:
    """The tables of a folder, without the notes of `datasets` on them."""
    return [
        p
        for p in listed(path)
        if p.suffix.lower() in tables.READERS and p.name != saved.INFO and p.is_file()
    ]


def _joined(parts: Iterable[tuple[Path, str, Split | None]]) -> Table:
    """Several tables one after another; their columns must agree."""
    columns: tuple[str, ...] | None = None
    first, rows, notes = "", list[Row](), list[str]()
    for path, name, split in parts:
        table = tables.read(path, name)
        if columns is not None and set(table.columns) != set(columns):
            differ = sorted(set(table.columns) ^ set(columns))
            raise BadInput(
                f"{name} and {first} differ in the columns {', '.join(differ)[:300]}; "
                "the tables of a folder must have the same"
            )
        columns, first = columns or table.columns, first or name
        rows += [row._replace(split=split) for row in table.rows]
        notes += table.notes
    if columns is None:
        raise BadInput("The folder holds no tables; it must hold one for each split")
    return Table(columns, rows, notes)


def _parts(path: Path) -> list[tuple[Path, Split | None]]:
    """The folders that are splits, or the folder itself."""
    below = [p for p in listed(path) if p.is_dir()]
    if below and all(p.name.lower() in SPLIT_WORDS for p in below):
        return [(p, SPLIT_WORDS[p.name.lower()]) for p in below]
    if any(p.name.lower() in ("train", "training") for p in below):
        other = next(p.name for p in below if p.name.lower() not in SPLIT_WORDS)
        raise BadInput(
            f"{path} holds the folder {other} beside folders of splits; all must be "
            "train, validation or test, or none of them"
        )
    return [(path, None)]


def _classes(path: Path, role: str, endings: tuple[str, ...]) -> Table:
    """A folder for each class, below a folder for each split or alone.

    The files are named below `path`, where they are read.
    """
    rows, empty, parts = [], list[str](), _parts(path)
    others = [
        _shown(file, path)
        for folder in dict.fromkeys([path, *(part for part, _ in parts)])
        for file in listed(folder)
        if not file.is_dir()
    ]
    for part, split in parts:
        for folder in filter(Path.is_dir, listed(part)):
            before = len(rows)
            for file in sorted(folder.rglob("*")):
                if _hidden(file, path) or file.is_dir():
                    continue
                if file.suffix.lower() not in endings:
                    others.append(_shown(file, path))
                    continue
                value = files.table(file) if role == "text" else file.relative_to(path)
                cells = {role: value, "label": folder.name}
                rows.append(Row(_shown(file, path), cells, split))
            if len(rows) == before:
                empty.append(_shown(folder, path))
    notes = left_out(others, path)
    if empty:
        notes.append(
            f"Folders of {path} without a file that is read, which are no class: "
            f"{len(empty):,}, first {empty[0]}."
        )
    return Table((role, "label"), rows, notes)


def _hidden(file: Path, path: Path) -> bool:
    """Whether a file, or a folder between it and `path`, is hidden."""
    return any(part.startswith(".") for part in file.relative_to(path).parts)


def _shown(file: Path, path: Path) -> str:
    """The name of a file below `path`, on one line."""
    return printable(str(file.relative_to(path)))


def _documents(path: Path) -> Table:
    """One text a file."""
    rows = [
        Row(_shown(file, path), {"text": files.table(file)}, split)
        for part, split in _parts(path)
        for file in sorted(part.rglob("*"))
        if file.suffix.lower() in TEXTS and file.is_file() and not _hidden(file, path)
    ]
    return Table(("text",), rows, [])
