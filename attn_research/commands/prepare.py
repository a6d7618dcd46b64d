"""Prepares data sets from raw files: verified, archived by TFDS, packed into arrays.

    attn-research prepare gap wikitext2 --raw_dir=downloads --data_dir=data
    attn-research prepare all --raw_dir=downloads
    attn-research prepare --list

Nothing is downloaded: the table of --list says where the files come from, and each data
set looks for them in its own folder below --raw_dir. A data set that TFDS has prepared
in --data_dir (imdb_reviews, cifar10, wmt14_translate/de-en) is packed. A data set that
is already prepared is verified and left alone.

    attn-research prepare --from=reviews.csv --as=classification \\
        --columns=text=review,label=stars --name=mine

prepares a file or folder of your own: CSV, TSV, JSON lines, Parquet, folders of classes
or of pairs of texts, sets that `datasets` has saved. It shows the first rows as they
are understood, and what the set holds; --dry_run ends there.
"""

import sys
from pathlib import Path
from typing import Literal, get_args

from attn_research import flags
from attn_research.host.disk import refusal
from attn_research.host.exits import BAD_INPUT, DONE
from attn_research.options import BadInput, declared, option

TAKES, MANY = "names of data sets", True


@declared
class Options:
    """Where raw files and prepared sets lie."""

    raw_dir: str | None = option(None, "Directory that holds the folders of raw files.")
    data_dir: str | None = option(
        None,
        "Directory of prepared data sets; default: $ATTN_RESEARCH_DATA, or "
        "~/.cache/attn_research/data.",
    )
    list: bool = option(False, "Print every data set, then exit.")
    verbose: bool = option(False, "Also show what libraries log and warn of.")


Kind = Literal[
    "classification", "translation", "summarisation", "question_answering",
    "forecasting", "image_classification", "audio_classification", "text",
]  # fmt: skip


@declared
class Own:
    """How a set of the user's own is read."""

    from_: str | None = option(None, "Prepare this file or folder of your own.")
    as_: Kind | None = option(
        None, f"The task that reads what --from gives: {', '.join(get_args(Kind))}."
    )
    name: str = option("", "Its name; default: that of the file or folder.")
    columns: str = option(
        "",
        "Which column is what, as text=review,label=stars; default: the usual names.",
    )
    split: str = option("", "Column with train, validation or test.")
    group: str = option("", "Column whose equal values must not be divided.")
    gaps: Literal["refuse", "fill", "longest"] = option(
        "refuse", "What is done with the gaps of a series."
    )
    dates: str = option("", "Format of times, such as %d.%m.%Y; default: ISO 8601.")
    size: str = option("", "Size that images are brought to, as HEIGHTxWIDTH.")
    length: int = option(
        1024, "Report what is longer than this many bytes or samples.", low=1
    )
    drop_missing: bool = option(False, "Leave out rows that lack a value.")
    replace: bool = option(False, "Replace other content of the same name.")
    dry_run: bool = option(False, "Show what is understood, and write nothing.")


def define() -> None:
    """Declares the flags."""
    flags.define(Options)
    flags.define(Own)


OWN = ("as", "name", "columns", "split", "group", "gaps", "dates", "size", "length",
       "drop_missing", "replace", "dry_run")  # fmt: skip


def _own(source: str, own: Own, data_dir: str, where: Path) -> int:
    """Prepares a file or folder of the user's own."""
    from attn_research.tasks.data import display, files
    from attn_research.tasks.data.own import prepare
    from attn_research.tasks.data.own.asked import Asked
    from attn_research.tasks.data.own.understood import understand

    if own.as_ is None:
        kinds = ", ".join(get_args(Kind))
        raise BadInput(f"--as is missing; it must be one of {kinds}")
    path = files.place(source, "--from", "a file or folder")
    name = prepare.named(own.name, path)
    found = understand(
        Asked(
            path, own.as_, name, own.columns, own.split, own.group, own.gaps, own.dates,
            own.size, own.length, own.drop_missing,
        ),
        print,
    )  # fmt: skip
    if own.dry_run:
        return DONE
    with display.Bar(name) as bar:
        made = prepare.store(found, where, own.replace, bar)
    verb = "prepared" if made else "already prepared, every byte verified"
    print(f"{name}: {verb} in {where}: {display.result(name, where)}.")
    print(f"Its task: --task='{prepare.spec(own.as_, found.data, data_dir)}'")
    return DONE


def run(*given: str) -> int:
    """Prepares the data sets named, or lists them all."""
    from attn_research.tasks.data import display, files, packed, prepare
    from attn_research.tasks.data.catalogue import DATA_SETS

    options, own = flags.given(Options), flags.given(Own)
    where = packed.data_dir(options.data_dir)
    if own.from_ is not None:
        if given:
            raise BadInput(f"--from prepares one set; {given[0]} must be left out")
        flags.unused(["raw_dir", "list"], "with --from")
        return _own(own.from_, own, options.data_dir or "", where)
    flags.unused(OWN, "without --from")
    if options.list:
        if given:
            raise BadInput(f"--list shows every data set; {given[0]} must be left out")
        flags.unused(["raw_dir"], "with --list")
        display.table(where)
        return DONE
    if not given:
        raise BadInput("No data set is named; names must be those of --list, or all")
    names, failed = prepare.names(given, where), 0
    if not any(name in DATA_SETS for name in names):
        flags.unused(["raw_dir"], "for sets that TFDS has prepared")
    raw_dir = None
    if options.raw_dir is not None:
        raw_dir = files.place(options.raw_dir, "--raw_dir", "a directory")
    for name in names:
        try:
            with display.Bar(name) as bar:
                made = prepare.prepare(name, raw_dir, where, bar)
            found = display.result(name, where)
        except BadInput as error:
            if len(names) == 1 or refusal(error):  # a disk that refuses has no next
                raise
            failed += 1
            print(f"Error: {error}", file=sys.stderr)
            continue
        verb = "prepared" if made else "already prepared, every byte verified"
        print(f"{name}: {verb} in {where}: {found}.")
    return BAD_INPUT if failed else DONE
