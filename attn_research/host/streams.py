"""What a command says, and where: its own sentences, and what libraries log.

Output whose reader has gone (`| head -1`) is dropped and the work goes on: what a
command makes lies in files. Output that cannot be written is an error of its own.
What libraries log, warn of, or raise on threads of theirs is held back: it is shown if
the command ends in an error that nobody foresaw, or as it comes with --verbose.
"""

import faulthandler
import io
import logging
import os
import sys
import threading
import traceback
from collections import deque
from contextlib import suppress
from typing import Any, TextIO

from attn_research.host.disk import refusal

VERBOSE = "--verbose"
MOST = 400  # entries that are held; the first ones tell the most

_held: deque[str] = deque()
_refused: list[int] = []  # numbers of disk errors on threads that nobody waits for


class OutputRefused(OSError):
    """Standard output cannot be written."""

    def __str__(self) -> str:
        return str(self.strerror)


class _Output(io.FileIO):
    """A stream of this process that outlives its reader."""

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            try:
                done += super().write(view[done:]) or 0
            except OSError as error:
                self._drop()
                if self.fileno() == 1 and not isinstance(error, BrokenPipeError):
                    text = f"Standard output cannot be written ({error.strerror})"
                    raise OutputRefused(error.errno, text) from None
                break
        return len(view)

    def _drop(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)


def install() -> None:
    """Makes the streams of this process those described above.

    A process whose output is redirected within Python (a test) is left as it is.
    """
    if sys.stdout is not sys.__stdout__:
        return
    for handle in (0, 1, 2):
        try:
            os.fstat(handle)
        except OSError:  # closed by the caller: no file of ours must take its place
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = _around(sys.stdout, 1)
    sys.stderr = _around(sys.stderr, 2)
    faulthandler.enable(2)  # a crash shows where it was
    if VERBOSE not in sys.argv:
        _hold()


def _around(stream: TextIO | None, handle: int) -> TextIO:
    raw: Any = _Output(handle, "w", closefd=False)
    at_once = handle == 2 or bool(getattr(stream, "write_through", False))
    return io.TextIOWrapper(
        raw if at_once else io.BufferedWriter(raw),
        encoding=getattr(stream, "encoding", "utf-8"),
        errors="backslashreplace",
        line_buffering=bool(getattr(stream, "line_buffering", False)),
        write_through=at_once,
    )


def _hold() -> None:
    keep = logging.StreamHandler(_Held())
    keep.setFormatter(logging.Formatter("%(levelname)s:%(name)s:%(message)s"))
    logging.getLogger().handlers[:] = [keep]
    logging.lastResort = None
    logging.captureWarnings(True)
    threading.excepthook = _of_thread
    sys.unraisablehook = _unraisable


class _Held:
    """The place of what is held, as a stream."""

    def write(self, text: str) -> None:
        hold(text)

    def flush(self) -> None:
        pass


def hold(text: str) -> None:
    """Keeps a text until it is shown, if at all."""
    if len(_held) < MOST:
        _held.append(text)


def _of_thread(given: Any) -> None:
    name = given.thread.name if given.thread else "unknown"
    _caught(f"Exception in thread {name}:\n", given.exc_value)


def _unraisable(given: Any) -> None:
    _caught(f"{given.err_msg or 'Exception ignored in'}: {given.object!r}\n",
            given.exc_value)  # fmt: skip


def _caught(where: str, error: BaseException | None) -> None:
    if error is None:
        return
    number = refusal(error)
    if number is not None:
        _refused.append(number)
    hold(where + "".join(traceback.format_exception(error)))


def refused() -> int | None:
    """The number of the first disk error on a thread that nobody waited for."""
    return _refused[0] if _refused else None


def show() -> None:
    """Shows what was held back."""
    while _held:
        sys.stderr.write(_held.popleft())


def finish(code: int) -> int:
    """The exit code after everything that was said has been written."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OutputRefused as error:
        print(f"Error: {error}", file=sys.stderr)
        from attn_research.host.exits import DISK

        code = code or DISK
    with suppress(OSError, ValueError):
        sys.stderr.flush()
    return code
