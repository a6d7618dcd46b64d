"""What a command says when its output is gone, and what it holds back."""

import errno
import logging
import subprocess
import sys
import threading

import pytest

from attn_research.host import disk, exits
from attn_research.host.durable import Damaged, DiskError, read_json, writing
from attn_research.options import BadInput
from tests.command import ROOT

# A command that says much, has a noisy library, and ends as its first argument says.
NOISY = """
import logging, sys, threading
from attn_research.host import streams
streams.install()
from attn_research import flags
def run():
    logging.getLogger("library").error("a disk of theirs is full")
    def fail():
        raise {error}
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    for number in range(3000):
        print("line", number)
    {end}
more = flags.flags
flags.main(run, "", define=lambda: more.DEFINE_boolean("verbose", False, "More."))
"""


def noisy(end="", error="ValueError('on a thread')", *more, **given):
    code = NOISY.format(end=end, error=error)
    return subprocess.run(
        [sys.executable, "-c", code, *more],
        cwd=ROOT,
        text=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **given},
    )


def test_what_libraries_say_is_held_back_unless_it_explains_something():
    quiet = noisy()
    assert (quiet.returncode, quiet.stderr) == (0, "")
    assert len(quiet.stdout.splitlines()) == 3000
    broken = noisy("raise KeyError('unforeseen')")
    assert broken.returncode == exits.INTERNAL
    assert "a disk of theirs is full" in broken.stderr
    assert "on a thread" in broken.stderr and "unforeseen" in broken.stderr
    foreseen = noisy("raise flags.BadInput('width is 0')")
    assert (foreseen.returncode, foreseen.stderr) == (65, "Error: width is 0\n")
    crash = noisy("import ctypes; ctypes.string_at(0)")
    assert crash.returncode < 0 and "Segmentation fault" in crash.stderr


def test_a_disk_error_on_a_thread_explains_what_follows():
    ended = noisy("raise RuntimeError('cannot schedule')", "OSError(30, 'Read-only')")
    assert ended.returncode == exits.DISK
    assert ended.stderr.count("\n") == 1 and "Read-only file system" in ended.stderr


def test_a_reader_who_leaves_stops_nothing():
    code = NOISY.format(end="sys.stderr.write('the end')", error="ValueError()")
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == "line 0\n"
    process.stdout.close()
    assert process.stderr.read() == "the end"
    process.stderr.close()
    assert process.wait() == 0


@pytest.mark.parametrize("end", ["", "sys.stdout.flush()"])
def test_output_that_cannot_be_written_is_one_sentence(end):
    with open("/dev/full", "w") as full:
        ended = noisy(end, stdout=full)
        assert ended.returncode == exits.DISK
        assert ended.stderr == (
            "Error: Standard output cannot be written (No space left on device)\n"
        )
        lost = noisy("raise flags.BadInput('width is 0')", stderr=full)
        assert lost.returncode == exits.BAD_INPUT


def test_verbose_shows_it_as_it_comes():
    loud = noisy("", "ValueError('on a thread')", "--verbose")
    assert "a disk of theirs is full" in loud.stderr and "on a thread" in loud.stderr


def wrapped(number: int) -> list[Exception]:
    """A disk error as Python, a cause, a context, a group and libraries have it."""
    name, words = errno.errorcode[number], disk.os.strerror(number)
    own = OSError(number, words, "/data/x")
    found: list[Exception] = [own, DiskError(number, f"Could not write x ({words})")]
    for raised in ("from own", "from None"):
        try:
            try:
                raise own
            except OSError:
                exec(f"raise RuntimeError('lost it') {raised}", {"own": own})
        except RuntimeError as error:
            found.append(error)
    texts = (
        f"UNKNOWN: Failed to open [OS error {number}: {name} {words}]",
        f"PERMISSION_DENIED: Failed to fsync [os_error_code='{number}']",
        f'RESOURCE_EXHAUSTED: Error writing local file "/data/x": {words}',
    )
    found += [ValueError(text) for text in texts]
    return [*found, ExceptionGroup("several", [KeyError("x"), own])]


@pytest.mark.parametrize("name", disk.NAMES)
def test_a_disk_error_is_known_by_its_number_whoever_raised_it(name, tmp_path):
    number = getattr(errno, name)
    for error in wrapped(number):
        assert disk.refusal(error) == number, repr(error)
        assert exits.classify(error) == ("disk", exits.DISK)
        said = exits.sentence(error)
        assert disk.os.strerror(number) in said and "\n" not in said
        with pytest.raises(DiskError, match="Could not write") as caught:
            with writing(tmp_path):
                raise error
        assert caught.value.errno == number or isinstance(error, DiskError)


def test_what_a_user_wrote_is_no_disk_error():
    quoted = BadInput("--task is 'No space left on device'; it must be a task")
    assert exits.classify(quoted) == ("bad_input", exits.BAD_INPUT)
    assert disk.refusal(FileNotFoundError(2, "none")) is None
    assert exits.classify(RuntimeError("RESOURCE_EXHAUSTED: Out of memory"))[0] == "oom"


def test_a_file_that_the_disk_does_not_read_is_not_called_damaged(
    tmp_path, monkeypatch
):
    with pytest.raises(Damaged, match="cannot be read"):
        read_json(tmp_path / "none.json")

    def refuse(path):
        raise OSError(errno.EIO, "Input/output error", str(path))

    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    with pytest.raises(DiskError, match="cannot be read .Input/output error"):
        read_json(tmp_path / "some.json")


def test_no_handler_is_left_behind_where_python_itself_is_the_reader():
    before = logging.getLogger().handlers[:], threading.excepthook
    from attn_research.host import streams

    streams.install()  # pytest has redirected the output
    assert (logging.getLogger().handlers[:], threading.excepthook) == before
