"""Completion of the command line, as a real bash and a real zsh do it."""

import os
import pty
import select
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from attn_research import commands
from attn_research.commands import completion
from attn_research.commands.sweep import Options
from attn_research.options import BadInput

# What bash does when one presses Tab after these words, the last of them begun.
PRESS = """
source "$1"; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); COMPREPLY=()
$(complete -p "$1" | sed 's/.*-F \\([^ ]*\\).*/\\1/')
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    made = tmp_path_factory.mktemp("bash") / "completion.bash"
    made.write_text(completion.script("bash", commands.COMMANDS))
    return made


def pressed(script, *words, cwd=None) -> list[str]:
    done = subprocess.run(
        ["bash", "-c", PRESS, "bash", str(script), "attn-research", *words],
        capture_output=True,
        text=True,
        check=True,
        cwd=cwd,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes_the_commands(script):
    assert pressed(script, "tr")[0] == "train"
    assert set(commands.COMMANDS) < set(pressed(script, ""))


def test_bash_completes_the_flags_of_that_command(script):
    flags = pressed(script, "sweep", "--")
    for name in Options.__dataclass_fields__:
        assert {f"--{name}", f"--{name}="} & set(flags), name
    assert "--set=" in flags and "--plugin=" in flags
    assert not any(flag.startswith("--model.") for flag in flags)
    assert "--model.width=" in pressed(script, "train", "--model.w")
    assert pressed(script, "train", "--mox") == []


def test_bash_completes_values_and_files(script, tmp_path):
    assert pressed(script, "train", "--model.mlp", "=", "g") == ["gelu"]
    assert pressed(script, "train", "--model.mlp", "=") == ["none", "gelu", "swiglu"]
    (tmp_path / "mine.py").touch()
    for words in (("--experiment", "=", "mi"), ("mi",)):
        assert pressed(script, "sweep", *words, cwd=tmp_path) == ["mine.py"]


def test_no_flag_is_left_defined(script):
    from attn_research import flags

    assert "model.width" not in flags.FLAGS and "experiment" not in flags.FLAGS


def test_zsh_has_the_same_words(script):
    zsh = completion.script("zsh", commands.COMMANDS)
    for word in ("--model.width=", "--experiment=", "compdef _attn_research"):
        assert word in zsh


# The .zshrc of a user, and a key that writes down the line typed so far.
ZSHRC = """
PS1='> '; source completion.zsh
line() { print -r -- "$BUFFER" > typing && mv typing typed }
zle -N line; bindkey '^X' line
"""
CLEAR, TAB, WRITE = "\x15", "\t", "\x18"


def tabbed(keys: int, folder: Path, line: str) -> tuple[str, str]:
    """The line after one presses Tab at its end, and what zsh lists below it."""
    (folder / "typed").unlink(missing_ok=True)
    os.write(keys, f"{CLEAR}{line}{TAB}{WRITE}".encode())
    until, screen = time.monotonic() + 20, b""
    while not (folder / "typed").exists() and time.monotonic() < until:
        if select.select([keys], [], [], 0.05)[0]:
            screen += os.read(keys, 4096)
    while select.select([keys], [], [], 0.1)[0]:
        screen += os.read(keys, 4096)
    return (folder / "typed").read_text().strip(), screen.decode()


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_completes_commands_flags_values_and_files(tmp_path):
    zsh = completion.script("zsh", commands.COMMANDS)
    (tmp_path / "completion.zsh").write_text(zsh)
    (tmp_path / ".zshrc").write_text(ZSHRC)
    (tmp_path / "mine.py").touch()
    ours, theirs = pty.openpty()
    kept = {**os.environ, "ZDOTDIR": str(tmp_path), "TERM": "dumb"}
    shell = subprocess.Popen(
        ["zsh", "-i"],
        cwd=tmp_path,
        env=kept,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        for line, wanted in (
            ("rep", "report"),
            ("train --model.wi", "train --model.width="),
            ("train --model.mlp=g", "train --model.mlp=gelu"),
            ("sweep --experiment=mi", "sweep --experiment=mine.py"),
            ("sweep mi", "sweep mine.py"),
            ("train --mox", "train --mox"),
        ):
            typed, _ = tabbed(ours, tmp_path, f"attn-research {line}")
            assert typed == f"attn-research {wanted}"
        _, listed = tabbed(ours, tmp_path, "attn-research train --model.mlp=")
        assert {"none", "gelu", "swiglu"} < set(listed.split())
        _, listed = tabbed(ours, tmp_path, "attn-research ")
        assert set(commands.COMMANDS) < set(listed.split())
    finally:
        shell.kill()
        shell.wait()
        os.close(ours)


def test_another_shell_is_refused():
    with pytest.raises(BadInput, match="fish.*must be one of bash, zsh"):
        completion.script("fish", commands.COMMANDS)


def test_experiments_are_those_of_the_nearest_folder_above(tmp_path, monkeypatch):
    deep = tmp_path / "experiments" / "notes" / "deep"
    deep.mkdir(parents=True)
    monkeypatch.setattr("sys.argv", ["attn-research sweep"])
    monkeypatch.chdir(deep)
    assert commands.experiments() == tmp_path / "experiments"
    (deep / "experiments").mkdir()
    assert commands.experiments() == deep / "experiments"
