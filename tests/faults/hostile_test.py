"""Hostile names and values: one sentence each; no secret is ever stored."""

import json
import os
import random
import string
import subprocess
import sys

import pytest

from attn_research.config import Config, Population, edit
from attn_research.host import environment, layout
from attn_research.host.durable import check_name, read_json
from attn_research.host.journal import read_journal
from attn_research.options import BadInput, specs
from attn_research.studies import selection, store
from attn_research.studies.results import safe
from attn_research.studies.study import Study, cells

NASTY = [
    "../../etc/passwd", "a/../b", "..", "/", "~", "$(reboot)", "`id`", "a;b", "a|b",
    "a\nb", "a\0b", "\x1b[31m", "=cmd()", "+1+1", "-rf", "@x", "%n%s", "'--", '"', '""',
    "(", ")", "((", "a(b=", "a(b=c", "a(b=c))", "a(=)", "a(b=c,b=d)", ",", ",,", "=",
    "nan", "inf", "-inf", "1e400", "-1", "0", "1e-400", "9" * 400, "0x10", "1_000",
    "true", "none", "None", "null", "{}", "[]", "<script>", "&amp;", "Ω", "é", "\u202e",
    "\ufeff", " ", "", "a b", "__class__", "__import__('os')", "x" * 5000, "((" * 500,
]  # fmt: skip


def strings(count: int):
    """Nasty strings first, then random mixtures of what the grammar is made of."""
    draw = random.Random(6)
    pieces = [*NASTY, *string.printable, *'(),="', "dense", "recall", "length", "64"]
    yield from NASTY
    for _ in range(count - len(NASTY)):
        yield "".join(draw.choices(pieces, k=draw.randrange(1, 8)))


def only_bad_input(use, text):
    """What `use` gives, or its one short sentence; any other error is a failure."""
    try:
        return use(text)
    except BadInput as error:
        assert "\n" not in str(error) and "\0" not in str(error), repr(text)
        return error


USES = {
    "name": lambda text: check_name(text, "A name"),
    "axis": selection.axis,
    "axes": lambda text: cells(
        selection.apply_flags(Study("n", "q", "c"), [text], {"lr": text})
    ),
    "share": selection.share,
    "field": lambda text: edit(Config(), {"model.width": text}),
    "rate": lambda text: edit(Config(), {"model.dropout": text}),
    "list": lambda text: edit(Population(), {"lr": text}),
    "task": lambda text: edit(Config(), {"task.length": text}),
    "spec": specs.parse,
    "split": specs.split,
}


@pytest.mark.parametrize("count", [300, pytest.param(5000, marks=pytest.mark.faults)])
@pytest.mark.parametrize("use", USES)
def test_hostile_text_is_one_sentence(use, count):
    refused = 0
    for text in strings(count):
        refused += isinstance(only_bad_input(USES[use], text), BadInput)
    assert refused > len(NASTY) // 4


@pytest.mark.parametrize("count", [300, pytest.param(5000, marks=pytest.mark.faults)])
def test_no_name_leaves_its_directory(tmp_path, count):
    for text in strings(count):
        found = only_bad_input(lambda name: store.place(tmp_path, name), text)
        if not isinstance(found, BadInput):
            assert found.resolve().parent == tmp_path.resolve() / layout.CELLS


@pytest.mark.parametrize("count", [300, pytest.param(5000, marks=pytest.mark.faults)])
def test_no_file_of_nonsense_is_more_than_one_sentence(tmp_path, count):
    path = tmp_path / "file"
    for text in strings(count):
        path.write_bytes(text.encode())
        only_bad_input(read_json, path)
        only_bad_input(read_journal, path)
        safe(text)


SECRETS = {
    f"{name}_{kind}": f"planted-{name}-{kind}".lower()
    for name in ("AWS", "WANDB", "HF", "GITHUB")
    for kind in ("TOKEN", "SECRET_KEY", "PASSWORD")
}


def test_planted_secrets_are_stored_nowhere(tmp_path):
    """Twelve secrets in the environment of a sweep; none is in any file or output."""
    given = {"count": 2, "steps": 3, "pause": 0.0, "workers": 2, "grace": 5}
    told = json.dumps({"directory": str(tmp_path / "study"), **given})
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.sweeper", told],
        env={**os.environ, **SECRETS},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    code = "import json; from attn_research.host import environment as e; "
    code += "print(json.dumps(e.facts()))"
    facts = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **SECRETS, "XLA_FLAGS": ""},
        capture_output=True,
        text=True,
    )
    assert json.loads(facts.stdout)["jax"]
    written = [p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()]
    assert len(written) > 8
    everything = b"\n".join(written).decode(errors="replace")
    everything += done.stdout + done.stderr + facts.stdout
    assert len(SECRETS) == 12
    assert not [value for value in SECRETS.values() if value in everything]
    assert set(SECRETS).isdisjoint(environment.VARIABLES)
