"""`help` of a public name says what it takes, what comes back and what it raises."""

import importlib
import inspect
import re

import pytest

import attn_research as ar
from attn_research import analysis, ops, testing
from attn_research.door import building, finding, running, tables
from attn_research.ops.explained import MEANINGS, explain


def defined(module) -> list[str]:
    """The public functions and classes that a module defines itself."""
    return [
        name
        for name, thing in vars(module).items()
        if getattr(thing, "__module__", None) == module.__name__ and name[0] != "_"
    ]


PUBLIC = {
    f"{room.__name__}.{name}": (room, name)
    for room, names in (
        *((room, room.__all__) for room in (ar, ops, analysis, testing)),
        *((door, defined(door)) for door in (building, finding, running, tables)),
    )
    for name in names
}
# The methods and properties of the classes among them; those of ops are of protocols.
METHODS = {
    f"{full}.{name}": member
    for full, (room, own) in PUBLIC.items()
    if room is not ops and inspect.isclass(getattr(room, own))
    for name, member in vars(getattr(room, own)).items()
    if name[0] != "_" and (inspect.isfunction(member) or isinstance(member, property))
}
TABLES = {"attn_research.MIXERS", "attn_research.TASKS"}  # of names that explain
# What is returned: an array by its axes, a thing by its kind, a formula, a sentence; or
# that nothing is but an error raised.
RETURNED = re.compile(
    r"_[A-Z1]+\b|\b(The|Every|Rows|Whether|A|An|One|Raises)\b|[=+(/^-]|\b(as|of)\b"
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


@pytest.mark.parametrize("full", METHODS)
def test_help_says_what_a_method_takes_and_returns(full):
    member = METHODS[full]
    said = inspect.getdoc(member)
    assert said and len(said.splitlines()[0]) > 15, full
    if isinstance(member, property):
        return
    for parameter in list(inspect.signature(member).parameters)[1:]:
        assert re.search(rf"\b{parameter}\b|; see `\w+`", said), (
            f"{full} does not say what {parameter} is"
        )


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
