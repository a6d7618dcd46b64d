"""Looks inside of a trained model: writes RUN/analysis/index.html and its figures.

    python scripts/analyze.py runs/first
    python scripts/analyze.py runs/first --what=mixing --text="What sees what?"
    python scripts/analyze.py --list

With a text the checkpoint is all that is needed, without one the data of the task.
"""

import sys
from pathlib import Path

from absl import flags

from attn_research.flags import DONE, FLAGS, main
from attn_research.options import BadInput, convert

flags.DEFINE_list("what", None, "Analyses of --list; all of them where none is named.")
flags.DEFINE_string("member", "best", "Member of the population, or best.")
flags.DEFINE_integer("step", None, "Step of the run; the newest where none is given.")
flags.DEFINE_string("text", None, "A text to look at; its bytes are the tokens.")
flags.DEFINE_string("file", None, "A file to look at, its first --length bytes.")
flags.DEFINE_string("split", "test", "Split of the task to look at without a text.")
flags.DEFINE_integer("sequences", 8, "Sequences of the split.", lower_bound=1)
flags.DEFINE_integer(
    "length", 128, "Most positions of a sequence looked at.", lower_bound=1
)
flags.DEFINE_bool("list", False, "Shows every analysis; looks at nothing.")


def run(*given: str) -> int:
    if FLAGS.list:
        from attn_research.report.inside import ANALYSES

        for name, analysis in ANALYSES.items():
            print(f"{name:16} {analysis.sentence}")
        return DONE
    if len(given) != 1:
        raise BadInput(f"{len(given)} arguments are given; give one directory of a run")
    if FLAGS.text is not None and FLAGS.file is not None:
        raise BadInput("--text and --file are given; one of them is allowed")
    member = FLAGS.member
    if member != "best":
        member = convert(member, int, "--member")
    raw = None if FLAGS.file is None else _read(Path(FLAGS.file), FLAGS.length)

    from attn_research.analysis import subject
    from attn_research.checkpoint import load
    from attn_research.report import inside, inside_page

    names = FLAGS.what or list(inside.ANALYSES)
    restored = load(given[0], member, FLAGS.step)
    if FLAGS.text is not None:
        chosen = subject.of_text(restored, FLAGS.text)
        if chosen.inputs_B.shape[1] > FLAGS.length:
            raise BadInput(
                f"The text has {chosen.inputs_B.shape[1]} bytes; at most --length, "
                f"{FLAGS.length}, are allowed"
            )
        seen = f"Looked at with the text {FLAGS.text!r}."
    elif raw is not None:
        chosen = subject.of_text(restored, raw)
        seen = f"Looked at with the first {len(raw)} bytes of {FLAGS.file}."
    else:
        chosen = subject.of_split(restored, FLAGS.split, FLAGS.sequences, FLAGS.length)
        many, length = chosen.inputs_B.shape[:2]
        seen = (
            f"Looked at with {many} sequences of the {FLAGS.split} split of "
            f"{restored.config.task}, {length} positions of each."
        )
    path = inside_page.write(given[0], chosen, names, seen)
    print(f"Analysis: {path.resolve()}")
    return DONE


def _read(path: Path, length: int) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(length)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from None


if __name__ == "__main__":
    main(run, sys.modules["__main__"].__doc__, takes="directory of a run", many=True)
