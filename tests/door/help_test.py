"""`help` of a public name says what it takes, what comes back and what it raises."""

import importlib
import inspect
import re

import pytest

import attn_research as ar
from attn_research import analysis, ops
from attn_research.ops.explained import MEANINGS, explain

PUBLIC = {
    f"{room.__name__}.{name}": (room, name)
    for room in (ar, ops, analysis)
    for name in room.__all__
}
TABLES = {"attn_research.MIXERS", "attn_research.TASKS"}  # of names that explain
# What is returned: an array by its axes, a thing by its kind, a formula, a sentence.
RETURNED = re.compile(
    r"_[A-Z1]+\b|\b(The|Every|Rows|Whether|A|An|One)\b|[=+(/^-]|\b(as|of)\b"
)


@pytest.mark.parametrize("full", [full for full in PUBLIC if full not in TABLES])
def test_help_says_what_a_name_takes_returns_and_raises(full):
    room, name = PUBLIC[full]
    thing = getattr(room, name)
    said = inspect.getdoc(thing)
    assert said and len(said.splitlines()[0]) > 15
    if inspect.ismodule(thing) or not callable(thing):
        return
    if inspect.isclass(thing) and issubclass(thing, Exception):
        return
    for parameter in inspect.signature(thing).parameters:
        assert re.search(rf"\b{parameter}\b", said), (
            f"{full} does not say what {parameter} is"
        )
    if inspect.isfunction(thing):
        assert RETURNED.search(said.splitlines()[0]), f"{full}: {said.splitlines()[0]}"


def raising(function) -> bool:
    """Whether a function raises in its own lines."""
    return bool(re.search(r"^\s+raise ", inspect.getsource(function), re.MULTILINE))


@pytest.mark.parametrize("full", [full for full in PUBLIC if full not in TABLES])
def test_help_says_what_a_function_raises(full):
    room, name = PUBLIC[full]
    thing = getattr(room, name)
    if not inspect.isfunction(thing):
        return
    inner = getattr(importlib.import_module(thing.__module__), name)
    if room is ar or inner is not thing or raising(inner):
        assert "Raises" in (inspect.getdoc(thing) or ""), full


def test_what_is_not_explained_is_found():
    def op(x_BTD, nameless):
        """y_BTD."""

    with pytest.raises(KeyError, match="nameless of op"):
        explain(op, MEANINGS)

    def told(x_BTD, nameless=3):
        """y_BTD after `nameless` steps."""

    text = explain(told, MEANINGS, "ValueError for all else.")
    assert "  x_BTD: inputs (batch, time, width)" in text
    assert "  nameless: see above [3]" in text and "\nRaises ValueError" in text


def test_an_explanation_is_written_once():
    for room, name in ((ops, "delta_rule"), (analysis, "mixing_matrix")):
        for _ in range(2):
            said = inspect.getdoc(getattr(room, name))
            assert (said or "").count("Takes:") == 1
