"""The texts of a folder in several languages, line by line."""

import re
from pathlib import Path

from attn_research.options import BadInput
from attn_research.tasks.contract import Split
from attn_research.tasks.data import files
from attn_research.tasks.data.own.asked import split_word
from attn_research.tasks.data.own.tables import Row, Table, printable

LANGUAGE = re.compile("[a-z]{2}")
# Endings and folders of two letters that are no language.
OTHER = frozenset("bz cc db go gz hs jl js md py rb rs vb xz".split())
ABOUT = re.compile("(readme|licen[cs]e)([-_.].*)?", re.IGNORECASE)


def listed(path: Path) -> list[Path]:
    """What a folder holds, in order, without what is hidden."""
    return sorted(p for p in path.iterdir() if not p.name.startswith("."))


def left_out(others: list[str], path: Path) -> list[str]:
    """A sentence on the files of a folder that are not read, if there are any."""
    if not others:
        return []
    count = f"{len(others):,} other file{'s' * (len(others) > 1)}"
    verb = "is" if len(others) == 1 else "are"
    return [f"{count} in {path} {verb} left out, first {others[0]}."]


def read(path: Path) -> Table | None:
    """The lines of a.en and a.fr, or of en/a.txt and fr/a.txt, side by side.

    None if the folder holds fewer than two languages. Raises `BadInput` if two files
    are the same text, one text lacks a language or a line, or some are splits alone.
    """
    groups, others = _texts(path)
    languages = sorted({name for group in groups.values() for name in group})
    if len(languages) < 2:
        return None
    words = _splits(path, groups)
    rows = []
    for stem, group in groups.items():
        lines = {name: _lines(file) for name, file in group.items()}
        if sorted(group) != languages:
            raise BadInput(
                f"{path} has {stem} in {', '.join(sorted(group))}; it must be in "
                f"{', '.join(languages)}"
            )
        counts = {name: len(found) for name, found in lines.items()}
        if len(set(counts.values())) > 1:
            told = ", ".join(f"{count:,} in {name}" for name, count in counts.items())
            raise BadInput(
                f"The lines of {stem} in {path} are {told}; line n of each must be a "
                "translation of line n of the others"
            )
        for number, texts in enumerate(zip(*lines.values(), strict=True), 1):
            if any(map(str.strip, texts)):
                cells = dict(zip(lines, texts, strict=True))
                rows.append(Row(f"{printable(stem)} line {number}", cells, words[stem]))
    return Table(tuple(languages), rows, left_out(others, path))


def _texts(path: Path) -> tuple[dict[str, dict[str, Path]], list[str]]:
    """The files of each text by their language, and the names of other files."""
    groups: dict[str, dict[str, Path]] = {}
    others = list[str]()

    def add(file: Path, language: str) -> None:
        group = groups.setdefault(file.stem, {})
        if language in group:
            here, there = (
                printable(str(f.relative_to(path))) for f in (group[language], file)
            )
            raise BadInput(
                f"{path} has {printable(file.stem)} in {language} twice, as {here} and "
                f"{there}; a text must be one file in each language"
            )
        group[language] = file

    for entry in listed(path):
        inside = entry.is_dir()
        language = entry.name if inside else entry.suffix.removeprefix(".").lower()
        known = LANGUAGE.fullmatch(language) and language not in OTHER
        for file in listed(entry) if inside and known else [entry]:
            if known and not ABOUT.fullmatch(file.name):
                add(file, language)
            elif not file.is_dir():
                others.append(printable(str(file.relative_to(path))))
    return groups, others


def _splits(path: Path, groups: dict[str, dict[str, Path]]) -> dict[str, Split | None]:
    """The split that each text is named after: all of them, or none."""
    words: dict[str, Split | None] = {stem: split_word(stem) for stem in groups}
    if any(words.values()) and not all(words.values()):
        other = next(stem for stem, word in words.items() if word is None)
        raise BadInput(
            f"{path} holds the texts {printable(other)} beside texts of splits; the "
            "names of all must begin with train, validation or test, or none of them"
        )
    return words


def _lines(path: Path) -> list[str]:
    lines = files.table(path).split("\n")
    return [line.rstrip("\r") for line in lines[: len(lines) - (lines[-1] == "")]]
