"""Names in source code: each was given above, is hidden, and can be completed."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research import tasks
from attn_research.tasks import SPLITS
from attn_research.tasks.code import APART, LONGEST
from tests.tasks.specs import SOURCE


@pytest.fixture(scope="module")
def code():
    task = tasks.make(f"code(path={SOURCE},length=400)")
    return task, task.arrays()


def files(arrays, split):
    place = SPLITS.index(split)
    low, high = arrays["text"].offsets_N[place : place + 2]
    return arrays["text"].values_L[low:high].tobytes().split(b"\0")


def test_packages_stay_together(code):
    _, arrays = code
    of = {
        path.read_bytes(): path.relative_to(SOURCE).parts[0]
        for path in SOURCE.rglob("*.py")
        if path.stat().st_size
    }
    packages = [{of[file] for file in files(arrays, s) if file} for s in SPLITS]
    assert sum(map(len, packages)) == len(set.union(*packages)) > 30
    assert all(packages)


def test_a_name_was_given_above_and_is_hidden(code):
    task, arrays = code
    count = len(arrays["names"])
    assert count > 30
    complete = jax.jit(task.completions)
    batch = jax.tree.map(np.asarray, complete(jnp.arange(count + 3), arrays))
    assert not batch.weights[count:].any()
    tested = files(arrays, "test")
    for row in range(count):
        prompt = bytes(batch.inputs[row][batch.segments[row] > 0].tolist())
        name = bytes(batch.targets[row][batch.weights[row] > 0].tolist())
        assert any(prompt + name in file for file in tested)
        assert 4 <= len(name) <= LONGEST and re.fullmatch(rb"\w+", name)
        word = re.compile(rb"(?<!\w)" + name + rb"(?!\w)")
        before = [match.start() for match in word.finditer(prompt)]
        assert len(prompt) - before[-1] >= APART
        given = len(prompt) - batch.gap[row]
        assert given in before
        line = prompt[:given].rpartition(b"\n")[2]
        after = prompt[given + len(name) :]
        said = re.search(rb"(?:def|class|import|as|for)[ \t]+$", line)
        assert said or (not line.strip() and re.match(rb"[ \t]*=[^=]", after))
