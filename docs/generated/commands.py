"""The page of the console command: every flag of every command, as its help says."""

import re
import subprocess
import sys

from attn_research.commands import COMMANDS

from . import markdown

# A block of code or a piece of it, which stay as they are; or a flag in running text.
_LITERAL = re.compile(r"^    .*$|`[^`]*`|(?<!\S)(--[\w.=]+)", re.M)
_FLAG = re.compile(r"^  (--\S+)(?: \(default (.*)\))?\n      (.*)$", re.M)


def helped(command: str) -> str:
    """What a command prints with --help."""
    code = "from attn_research.commands import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, command, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def section(command: str) -> str:
    """A command with its text and its flags."""
    said, _, flags = helped(command).partition("\n\nFlags:\n")
    rows = [
        (markdown.code(flag), markdown.code(default), meaning.replace("<", "&lt;"))
        for flag, default, meaning in _FLAG.findall(flags)
    ]
    flags_table = markdown.table(("flag", "default", "meaning"), rows)
    said = _LITERAL.sub(
        lambda found: f"`{found[1]}`" if found[1] else found[0], markdown.prose(said)
    )
    return f"## attn-research {command}\n\n{said}\n\n{flags_table}"


def pages() -> dict[str, str]:
    """Place in the site -> Markdown."""
    listed = "\n".join(map(section, COMMANDS))
    return {"commands.md": markdown.filled("commands.md", listed)}
