"""Looks inside of trained models: writes RUN/analysis/index.html and its figures.

    python scripts/analyze.py runs/first
    python scripts/analyze.py runs/first --what=mixing --text="What sees what?"
    python scripts/analyze.py runs/first runs/second --out=runs/compared
    python scripts/analyze.py --list

With a text the checkpoint is all that is needed, without one the data of the task.
Several runs, members of one, or steps along its training, have a line each in every
figure. What was measured before, of the same parameters by the same code, is taken from
RUN/analysis/cache.
"""

import sys
from itertools import product
from pathlib import Path

from absl import flags

from attn_research.flags import DONE, FLAGS, main
from attn_research.options import BadInput, convert

flags.DEFINE_list("what", None, "Analyses of --list; all of them where none is named.")
flags.DEFINE_list(
    "member", ["best"], "Members of the population, or best, or all; commas between."
)
flags.DEFINE_list(
    "step",
    ["newest"],
    "Steps of the run that are kept (all of them by --train.keep=0), or newest, or "
    "all; commas between.",
)
flags.DEFINE_string("text", None, "A text to look at; its bytes are the tokens.")
flags.DEFINE_string("file", None, "A file to look at, its first --length bytes.")
flags.DEFINE_string("split", "test", "Split of the task to look at without a text.")
flags.DEFINE_integer(
    "sequences", 8, "Sequences of the split, drawn in batches.", lower_bound=1
)
flags.DEFINE_integer(
    "length", 1024, "Most positions of a sequence looked at.", lower_bound=1
)
flags.DEFINE_string(
    "out", None, "Directory of the page; of one run it is RUN/analysis by default."
)
flags.DEFINE_bool("list", False, "Shows every analysis; looks at nothing.")


def run(*given: str) -> int:
    if FLAGS.list:
        from attn_research.report.inside import ANALYSES

        for name, analysis in ANALYSES.items():
            print(f"{name:16} {analysis.sentence}")
        return DONE
    directories = list(dict.fromkeys(map(Path, given)))
    if not directories:
        raise BadInput("0 arguments are given; give directories of runs")
    if FLAGS.text is not None and FLAGS.file is not None:
        raise BadInput("--text and --file are given; one of them is allowed")
    if len(directories) > 1 and FLAGS.out is None:
        raise BadInput(
            f"{len(directories)} runs are given and no --out; give the directory of "
            "the page that compares them"
        )
    raw = None if FLAGS.file is None else _read(Path(FLAGS.file), FLAGS.length)

    from attn_research import environment
    from attn_research.analysis import remembered
    from attn_research.analysis.runs import member
    from attn_research.report import inside, inside_page

    environment.remember()
    seen = []
    for directory in directories:
        for which, step in product(_members(directory), _steps(directory)):
            found = member(directory, which, step)
            for note in found.notes:
                print(f"{directory}: {note}")
            subject, words = _subject(found.restored, raw)
            seen.append(inside_page.Seen(directory, found, subject, words))
    folder = Path(FLAGS.out or directories[0] / remembered.DIRECTORY)
    path = inside_page.write(folder, seen, FLAGS.what or list(inside.ANALYSES))
    print(f"Analysis: {path.resolve()}")
    return DONE


def _members(directory: Path) -> list:
    """The members asked for of a run."""
    from attn_research import layout

    if FLAGS.member == ["all"]:
        count = layout.members(layout.read_config(directory).population)
        return list(range(count))
    return [
        "best" if name == "best" else convert(name, int, "--member")
        for name in FLAGS.member
    ]


def _steps(directory: Path) -> list[int | None]:
    """The steps asked for of a run; None is the newest that is whole."""
    from attn_research import checkpoint, layout

    if FLAGS.step == ["all"]:
        return list(checkpoint.steps(directory / layout.CHECKPOINTS)) or [None]
    strange = [name for name in FLAGS.step if name != "newest" and not name.isdecimal()]
    if strange:
        raise BadInput(
            f"--step is {strange[0]!r}; numbers of steps, newest, or all alone are "
            "allowed"
        )
    return [None if name == "newest" else int(name) for name in FLAGS.step]


def _subject(restored, raw: bytes | None) -> tuple:
    """What a model is looked at with, and that in words."""
    from attn_research.analysis import subject

    if FLAGS.text is not None:
        size = len(FLAGS.text.encode())
        if size > FLAGS.length:
            raise BadInput(
                f"The text has {size} bytes; at most --length, {FLAGS.length}, are "
                "allowed"
            )
        chosen = subject.of_text(restored, FLAGS.text)
        return chosen, f"Looked at with the text {FLAGS.text!r}."
    if raw is not None:
        chosen = subject.of_text(restored, raw)
        return chosen, f"Looked at with the first {len(raw)} bytes of {FLAGS.file}."
    chosen = subject.of_split(restored, FLAGS.split, FLAGS.sequences, FLAGS.length)
    length = chosen.inputs_B.shape[1]
    return chosen, (
        f"Looked at with {chosen.total} sequences of the {FLAGS.split} split of "
        f"{restored.config.task}, {length} positions of each."
    )


def _read(path: Path, length: int) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(length)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from None


if __name__ == "__main__":
    main(run, sys.modules["__main__"].__doc__, takes="directory of a run", many=True)
