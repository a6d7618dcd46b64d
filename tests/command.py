"""Scripts run within the tests' own process, where importing jax is already paid."""

import contextlib
import io
import os
import runpy
import signal
import sys
from pathlib import Path
from typing import NamedTuple

from absl import flags

import attn_research
from attn_research.host.exits import BAD_INPUT
from attn_research.host.interrupt import ASKING

ROOT = Path(__file__).parents[1]
PACKAGE = Path(attn_research.__file__).parent  # may be installed elsewhere


class Ended(NamedTuple):
    """How a command ended: its exit code and what it wrote."""

    code: int
    out: str
    err: str


def command(script: str, *arguments: str, root: Path = ROOT) -> Ended:
    """Runs scripts/SCRIPT.py as `__main__` with these arguments; leaves no trace."""
    out, err, argv = io.StringIO(), io.StringIO(), sys.argv
    before, environment = set(flags.FLAGS), dict(os.environ)
    handlers = {number: signal.getsignal(number) for number in ASKING}
    path = root / "scripts" / f"{script}.py"
    sys.argv = [str(path), *arguments]
    code = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            runpy.run_path(str(path), run_name="__main__")
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        sys.argv = argv
        os.environ.clear()
        os.environ.update(environment)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        forget(before)
    return Ended(code, out.getvalue(), err.getvalue())


def forget(before: set[str]) -> None:
    """Undoes the flags that were defined since, but those of an imported library."""
    for name in set(flags.FLAGS) - before:
        if "array_record" not in str(flags.FLAGS.find_module_defining_flag(name)):
            delattr(flags.FLAGS, name)
    flags.FLAGS.unparse_flags()


def assert_one_sentence(ended: Ended, words: str) -> None:
    assert words in ended.err
    assert ended.err.startswith("Error: ") and ended.err.count("\n") == 1
    assert ended.code == BAD_INPUT
