"""Looks inside trained models: writes RUN/analysis/index.html and its figures.

    attn-research analyze runs/first
    attn-research analyze runs/first --what=mixing --text="What sees what?"
    attn-research analyze runs/first runs/second --out=runs/compared
    attn-research analyze --list

With --text or --file the checkpoint is all that is needed; without them sequences of
the run's own task are read. Several runs, members of one, or steps along its training
have a line each in every figure. Results for the same parameters and code are reused
from RUN/analysis/cache.
"""

from itertools import product
from pathlib import Path
from typing import Literal

from attn_research import commands, flags
from attn_research.host.exits import DONE
from attn_research.options import BadInput, convert, declared, option

TAKES, MANY = "directory of a run", True


@declared
class Options:
    """What is looked at, and with what."""

    what: tuple[str, ...] | None = option(
        None, "Analyses of --list, with commas; default: all."
    )
    member: tuple[str, ...] = option(
        ("best",), "Members of the population by number, or best, or all."
    )
    step: tuple[str, ...] = option(
        ("newest",),
        "Steps of the run that were kept (--train.keep=0 keeps all), or newest, or "
        "all.",
    )
    text: str | None = option(None, "A text to look at; its bytes are the tokens.")
    file: str | None = option(None, "A file to look at: its first --length bytes.")
    split: Literal["train", "validation", "test"] = option(
        "test", "Split of the task to look at if there is no text."
    )
    sequences: int = option(
        8, "Number of sequences of the split, drawn in batches.", low=1
    )
    length: int = option(
        1024, "Largest number of positions to look at in a sequence.", low=1
    )
    out: str | None = option(
        None, "Directory of the page; default for one run: RUN/analysis."
    )
    list: bool = option(False, "Print every analysis, then exit.")
    verbose: bool = option(False, "Also show what libraries log and warn of.")


def define() -> None:
    """Declares the flags."""
    flags.define(Options)


def run(*given: str) -> int:
    """Writes the page of the runs and prints where it is."""
    options = flags.given(Options)
    if options.list:
        if given:
            raise BadInput(f"--list shows no run; {given[0]} must be left out")
        names = ["what", "member", "step", "text", "file", "split", "sequences", "out"]
        flags.unused([*names, "length"], "with --list")
        commands.plug()
        from attn_research.report.inside import ANALYSES

        for name, analysis in ANALYSES.items():
            print(f"{name:16} {analysis.sentence}")
        return DONE
    directories = list(dict.fromkeys(map(Path, given)))
    if not directories:
        raise BadInput("0 arguments are given; there must be a directory of a run")
    if options.text is not None and options.file is not None:
        raise BadInput("--text and --file exclude each other; one must be left out")
    for name in ("text", "file"):
        if getattr(options, name) is not None:
            flags.unused(["split", "sequences"], f"with --{name}")
    if len(directories) > 1 and options.out is None:
        raise BadInput(
            f"{len(directories)} runs are given and no --out; it must be the directory "
            "of the page that compares them"
        )
    raw = None
    if options.file is not None:
        raw = _read(Path(options.file), options.length)

    from attn_research.analysis import cache
    from attn_research.analysis.runs import member
    from attn_research.host import environment
    from attn_research.report import inside
    from attn_research.report.inside import page

    environment.remember()
    commands.plug()
    page.check(options.what or ())
    seen = []
    for directory in directories:
        pairs = product(
            _members(directory, options.member), _steps(directory, options.step)
        )
        for which, step in pairs:
            chosen = member(directory, which, step)
            for note in chosen.notes:
                print(f"{directory}: {note}")
            subject, words = _subject(options, chosen.restored, raw)
            seen.append(page.View(directory, chosen, subject, words))
    folder = Path(options.out or directories[0] / cache.DIRECTORY)
    path = page.write(folder, seen, options.what or list(inside.ANALYSES))
    print(f"Analysis: {path.resolve()}")
    return DONE


def _members(directory: Path, asked: tuple[str, ...]) -> list:
    """The members of a run that --member asks for."""
    from attn_research.host import layout

    if asked == ("all",):
        return list(range(layout.read_config(directory).population.size))
    return [
        "best" if name == "best" else convert(name, int, "--member") for name in asked
    ]


def _steps(directory: Path, asked: tuple[str, ...]) -> list[int | None]:
    """The steps of a run that --step asks for; None is the newest that is whole."""
    from attn_research import checkpoint
    from attn_research.host import layout

    if asked == ("all",):
        return list(checkpoint.steps(directory / layout.CHECKPOINTS)) or [None]
    for name in asked:
        if name != "newest" and not name.isdecimal():
            raise BadInput(
                f"--step is {name!r}; it must be a list of step numbers, newest, or "
                "all alone"
            )
    return [None if name == "newest" else int(name) for name in asked]


def _subject(options: Options, restored, raw: bytes | None) -> tuple:
    """What a model is looked at with, and a sentence that says so."""
    from attn_research.analysis import subject

    if options.text is not None:
        size = len(options.text.encode())
        if size > options.length:
            raise BadInput(
                f"The text has {size} bytes; it must have at most --length, "
                f"{options.length}"
            )
        chosen = subject.of_text(restored, options.text)
        return chosen, f"Looked at with the text {options.text!r}."
    if raw is not None:
        chosen = subject.of_text(restored, raw)
        return chosen, f"Looked at with the first {len(raw)} bytes of {options.file}."
    chosen = subject.of_split(
        restored, options.split, options.sequences, options.length
    )
    length = chosen.inputs_B.shape[1]
    return chosen, (
        f"Looked at with {chosen.total} sequences of the {options.split} split of "
        f"{restored.config.task}, {length} positions of each."
    )


def _read(path: Path, length: int) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(length)
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read ({error.strerror}); --file must be a readable file"
        ) from None
