"""Writes the page of a study (figures, tables, verdict), or a ledger of several.

    attn-research report runs/recall_distance
    attn-research report --ledger runs/byte_lm runs/mad --out=runs/ledger

A ledger also writes the page of each study, and LEDGER.md, the same as a table. With
--verify it also trains the cheapest cell of each study again; exit code 1 says that the
numbers of one differ.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from attn_research import commands, flags
from attn_research.host.exits import DONE, FAILED
from attn_research.options import BadInput, declared, option
from attn_research.studies.study import Study

TAKES, MANY = "directory of a study", True


@declared
class Options:
    """Which expectations a study is judged by, and whether studies are gathered."""

    size: str | None = option(
        None,
        "Size of the study that states the expectations, such as quick or full; "
        "default: the size that was swept.",
    )
    ledger: bool = option(
        False, "Gather several studies: claims, verdicts, effects, costs."
    )
    out: str = option("runs/ledger", "Directory of the ledger.")
    verify: bool = option(
        False, "Train the cheapest cell of each study again: are the bits the same?"
    )
    verbose: bool = option(False, "Also show what libraries log and warn of.")


def define() -> None:
    """Declares the flags."""
    flags.define(Options)


def run(*directories: str) -> int:
    """Writes the pages and prints where they are.

    Returns the exit code: that of failed cells if the disk does not read some.
    """
    from attn_research import report
    from attn_research.report import ledger
    from attn_research.studies import store

    options = flags.given(Options)
    if not options.ledger:
        flags.unused(["out", "verify"], "without --ledger")
    given = f"{len(directories)} arguments are given"
    if options.ledger and not directories:
        raise BadInput(f"{given}; --ledger must have the directories of studies")
    if not options.ledger and len(directories) != 1:
        raise BadInput(f"{given}; there must be one directory of a study, or --ledger")
    described = [store.read_study(directory) for directory in directories]
    for directory, known in zip(directories, described, strict=True):
        commands.plug(known["plugins"], directory)
    studies = [_stated(study, options.size) for study in described]
    pairs = list(zip(directories, studies, strict=True))
    entries, unread = ledger.gather(pairs) if options.ledger else [], 0
    for (directory, study), known in zip(pairs, described, strict=True):
        if study is None and known["expected"]:
            print(
                f"{directory}: the experiment {known['name']} is not found here; its "
                "expectations are not judged."
            )
        written = report.write(directory, study)
        unread += len(written.unreadable)
        for line in report.headlines(written.judged):
            print(line)
        print(f"Report: {written.path.resolve()}")
    if options.ledger:
        path = ledger.write(options.out, entries)
        for entry in entries:
            print(f"{entry.judged.verdict}: {entry.claim}")
        print(f"Ledger: {path.resolve()}")
    differ = options.verify and _verify(directories, described)
    return FAILED if unread or differ else DONE


def _verify(directories: Sequence[str], described: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a cell that is trained again has other numbers; a line for each."""
    from attn_research.launch.again import again, cheapest

    differ = False
    for directory, known in zip(directories, described, strict=True):
        ids = [cell["id"] for cell in known["cells"]]
        found = again(directory, cheapest(directory, ids))
        print(f"{directory}, {found.sentence}", flush=True)
        differ |= bool(found.numbers)
    return differ


def _stated(described: Mapping[str, Any], size: str | None) -> Study | None:
    """The study that states the expectations: by its file, else by its name."""
    from attn_research.studies import selection

    wanted: str = size or described["size"]
    path = commands.recorded(described["commands"])
    if path is not None:
        folder, name = commands.chosen(path)
        return selection.experiment(folder, name, wanted)
    return selection.named(commands.experiments(), described["name"], wanted)
