"""`help` of a public name says what it takes, what comes back and what it raises."""

import importlib
import inspect
import re
from typing import Any, Protocol, get_args, get_type_hints

import pytest

import attn_research as ar
from attn_research import analysis, ops, testing
from attn_research.door import building, finding, running, tables
from attn_research.modules.contract import Mixer
from attn_research.ops.explained import MEANINGS, adopt, explain
from attn_research.tasks.contract import Task


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
OPERATORS = {"__call__", "__and__", "__or__"}


def members(cls: type) -> dict[str, Any]:
    """The public methods, operators and properties that a class of ours has."""
    return {
        name: member
        for base in reversed(cls.__mro__)
        if base.__module__.startswith("attn_research")
        for name, member in vars(base).items()
        if name[0] != "_" or name in OPERATORS
        if inspect.isfunction(of(member)) and of(member).__module__.startswith("attn")
    }


def of(member: Any) -> Any:
    """The function of a property or a method of a class."""
    return getattr(member, "fget", getattr(member, "__func__", member))


def reach(hint: Any, found: dict[str, type]) -> None:
    """Adds the classes of ours that a type names, and those that their parts name."""
    for part in get_args(hint):
        reach(part, found)
    ours = inspect.isclass(hint) and hint.__module__.startswith("attn_research.")
    if not ours or hint in found.values():
        return
    found[f"{hint.__module__}.{hint.__name__}"] = hint
    for thing in (hint, *map(of, members(hint).values())):
        for part in get_type_hints(thing).values():
            reach(part, found)


def reached() -> dict[str, type]:
    """The classes of ours that someone meets who starts from a public name."""
    found: dict[str, type] = {}
    for room, name in PUBLIC.values():
        thing = inspect.unwrap(getattr(room, name))
        if inspect.isclass(thing):
            reach(thing, found)
        elif inspect.isfunction(thing):
            for hint in get_type_hints(thing).values():
                reach(hint, found)
        elif not inspect.ismodule(thing):
            reach(type(thing), found)
    return found


REACHED = reached()
METHODS = {
    f"{full}.{name}": member
    for full, cls in REACHED.items()
    for name, member in members(cls).items()
}
MODULES: dict[str, Any] = {
    name: getattr(mixer, "module", mixer) for name, mixer in ar.MIXERS.items()
}
# The methods of the mixers and tasks of the tables: the contracts say what they take.
KEPT = {
    f"{cls.__module__}.{cls.__name__}.{name}": member
    for cls in (*MODULES.values(), *ar.TASKS.values())
    for name, member in members(cls).items()
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


@pytest.mark.parametrize("full", REACHED)
def test_help_says_what_a_class_is(full):
    said = REACHED[full].__doc__
    name = REACHED[full].__name__  # dataclasses without text have `Name(field, ...)`
    assert said and len(said.splitlines()[0]) > 15, full
    assert not said.startswith(f"{name}("), full


@pytest.mark.parametrize("full", METHODS)
def test_help_says_what_a_method_takes_and_returns(full):
    member = METHODS[full]
    said = inspect.getdoc(member)
    assert said and len(said.splitlines()[0]) > 15, full
    if isinstance(member, property):
        return
    for parameter in inspect.signature(of(member)).parameters:
        told = re.search(rf"\b{parameter}\b|; see `\w+`", said)
        assert parameter in ("self", "cls") or told, (
            f"{full} does not say what {parameter} is"
        )


@pytest.mark.parametrize("full", METHODS)
def test_help_says_what_a_method_raises(full):
    if raising(of(METHODS[full])):
        assert "Raises" in (inspect.getdoc(METHODS[full]) or ""), full


@pytest.mark.parametrize("full", KEPT)
def test_a_method_of_a_mixer_or_task_has_help(full):
    said = inspect.getdoc(KEPT[full])
    assert said and len(said.splitlines()[0]) > 10, full


def test_classes_are_reached_by_what_names_them():
    names = {full.rpartition(".")[2] for full in REACHED}
    # Public; the type of a value, of a parameter, of a method's result, of a field.
    assert {"Band", "Rule", "Mask", "Area", "Cost", "Spec", "Train"} <= names
    found = {".".join(full.rsplit(".", 2)[-2:]) for full in METHODS}
    assert {"Band.admit", "Band.__and__", "Blocks.keep", "Spec.goal"} <= found


def test_a_method_without_text_has_that_of_its_contract():
    class Kept(Protocol):
        @property
        def size(self) -> int:
            """The number of its parts."""
            ...

        def cost(self, length: int) -> int:
            """What `length` tokens cost."""
            ...

        def reach(self) -> int:
            """How far it sees."""
            ...

    class Mine:
        @property
        def size(self) -> int:
            return 1

        def cost(self, length: int) -> int:
            return length

        def reach(self) -> int:
            """Nothing at all."""
            return 0

    adopt(Mine, Kept)
    assert inspect.getdoc(Mine.size) == "The number of its parts."
    assert inspect.getdoc(Mine.cost) == "What `length` tokens cost."
    assert inspect.getdoc(Mine.reach) == "Nothing at all."
    linear, recall = MODULES["linear"], ar.TASKS["recall"]
    assert inspect.getdoc(linear.cost) == inspect.getdoc(Mixer.cost)
    assert inspect.getdoc(recall.batch) == inspect.getdoc(Task.batch)


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
