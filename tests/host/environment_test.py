"""What a resume compares, and what of the environment is stored at all."""

import json
import os
import subprocess
import sys

import pytest

from attn_research.host import environment
from attn_research.host.environment import difference, require_same
from attn_research.options import BadInput

CHANGES = {
    "versions": {"jax": "0.0.1"},
    "threads": {"NPROC": "64"},
    "flags": {"XLA_FLAGS": "--xla_other"},
    "instructions": {"processor": "0123"},
    "devices": {"devices": 8},
    "code": {"code": "0123"},
    "more than one": {"jax": "0.0.1", "devices": 8},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_resume_elsewhere_says_what_differs(change):
    now = environment.facts()
    then = {**now, **CHANGES[change]}
    told = difference(then, now)
    assert len(told) == len(CHANGES[change])
    for name, value in CHANGES[change].items():
        (sentence,) = [line for line in told if line.startswith(f"{name} was")]
        assert repr(value) in sentence and repr(now[name]) in sentence
    with pytest.raises(BadInput, match="--allow_inexact_resume") as error:
        require_same(then, now)
    assert "\n" not in str(error.value)


def test_the_same_environment_resumes():
    now = environment.facts()
    assert difference(json.loads(json.dumps(now)), environment.facts()) == []
    require_same(now, now)
    require_same({**now, "commit": "0123", "version": "9"}, now)


def test_what_an_older_run_did_not_know_of_differs():
    now = environment.facts()
    then = {name: value for name, value in now.items() if name != "NPROC"}
    assert difference(then, now) == [f"NPROC was 'unknown' and is {now['NPROC']!r}"]


def test_threads_are_told_where_nobody_set_them():
    code = "from attn_research.host import environment as e; import os; "
    code += "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
    code += "print(e.facts()['NPROC'], e.facts()['devices'])"
    kept = {k: v for k, v in os.environ.items() if k not in ("NPROC", "XLA_FLAGS")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=kept
    )
    assert done.stdout.split() == ["1", "1"], done.stderr


def test_the_digest_of_the_code_is_of_what_trains(tmp_path, monkeypatch):
    for name in ("loop.py", "ops/dense.py", "report/page.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x = 1")
    monkeypatch.setattr(environment, "ROOT", tmp_path)

    def digest():
        return environment.code.__wrapped__()["code"]

    first = digest()
    (tmp_path / "report/page.py").write_text("x = 2")
    assert digest() == first
    (tmp_path / "ops/dense.py").write_text("x = 2")
    assert digest() != first
