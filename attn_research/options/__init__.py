"""Typed options: strings from a flag, a pattern or a file into frozen dataclasses.

A field is declared with `option`, which carries its help and its bounds; `build` makes
the dataclass and refuses, in one sentence, what it does not know. `specs` has the
grammar of a choice among families, `name(option=value,...)`.

This module imports nothing but the standard library, so that a script can parse its
flags before it pays for importing jax.
"""

import dataclasses
import functools
import inspect
import math
import operator
import textwrap
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, TypeVar

from attn_research.options.errors import BadInput, nearest, unknown

T = TypeVar("T")
# What the arrays hold that options end in: int32, and float32 at its full precision.
INT_MAX, TINY, HUGE = 2**31 - 1, 1.2e-38, 3.4e38
# Bound of an option -> its words, and whether a value keeps it.
BOUNDS: tuple[tuple[str, str, Callable[[float, float], bool]], ...] = (
    ("low", "at least", operator.ge),
    ("above", "more than", operator.gt),
    ("high", "at most", operator.le),
    ("below", "less than", operator.lt),
)


def option(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
    below: float | None = None,
    later: bool = False,
) -> Any:
    """A dataclass field with its help and its bounds.

    `low` and `high` are inclusive, `above` and `below` exclusive. A field that came
    `later` than others of its class is written only where it differs from its default,
    so that what was named without it keeps its name.
    """
    bounds = {"low": low, "above": above, "high": high, "below": below}
    metadata = {"help": help, "later": later, **bounds}
    return dataclasses.field(default=default, metadata=metadata)


def written(options: Any) -> dict[str, Any]:
    """The fields of a dataclass that name it, in order: all but `later` defaults."""
    return {
        field.name: getattr(options, field.name)
        for field in dataclasses.fields(options)
        if not field.metadata.get("later")
        or getattr(options, field.name) != field.default
    }


@typing.dataclass_transform(frozen_default=True)
def declared(cls: type[T]) -> type[T]:
    """A frozen dataclass of options, which are checked however it is made.

    From flags, a spec, JSON or Python, a value of another type or outside its bounds
    raises `BadInput` before the class's own `__post_init__`. Its docstring lists the
    options, as `explained` writes them.
    """
    own = cls.__dict__.get("__post_init__")

    def __post_init__(self: Any) -> None:
        _verify(self)
        if own is not None:
            own(self)

    if own is not None or not hasattr(cls, "__post_init__"):
        cls.__post_init__ = __post_init__  # type: ignore
    said = inspect.getdoc(cls) if cls.__doc__ else None
    made = dataclasses.dataclass(frozen=True)(cls)
    made.__doc__ = "\n\n".join(filter(None, (said, explained(made))))
    return made


def is_declared(cls: Any) -> bool:
    """Whether a class checks its options, as `declared` makes it."""
    check = getattr(cls, "__post_init__", None)
    return isinstance(cls, type) and getattr(check, "__module__", "") == __name__


def explained(cls: Any) -> str:
    """The options of a class: name, type, default, bounds, and what each means."""
    fields = [
        f for f in dataclasses.fields(cls) if not dataclasses.is_dataclass(f.type)
    ]
    lines = ["Options:" if fields else "No options."]
    for field in fields:
        bounds = "".join(
            f", {words} {field.metadata[name]}"
            for name, words, _ in BOUNDS
            if field.metadata.get(name) is not None
        )
        lines.append(f"  {field.name}: {_type(field.type)} = {field.default!r}{bounds}")
        lines += textwrap.wrap(
            field.metadata.get("help", ""),
            width=80,
            initial_indent="      ",
            subsequent_indent="      ",
        )
    return "\n".join(lines)


def _type(kind: Any) -> str:
    """A type as an option shows it: the words of a choice, the name of a class."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(map(_type, args))
    if origin is Literal:
        return " | ".join(map(repr, args))
    if origin is tuple:
        return f"tuple[{_type(args[0])}, ...]"
    return "None" if kind is type(None) else getattr(kind, "__name__", str(kind))


def _verify(options: Any) -> None:
    """Raises `BadInput` for the first field that is not what its class declares."""
    cls = type(options)
    for name, (kind, metadata) in _declared(cls).items():
        value, where = getattr(options, name), f"{cls.__name__}.{name}"
        if not _of_kind(value, kind):
            raise BadInput(f"{where} is {value!r}; it must be {_words(kind)}")
        if not dataclasses.is_dataclass(kind):
            convert(value, kind, where)
            check(value, metadata, where)


@functools.cache
def _declared(cls: type) -> dict[str, tuple[Any, Mapping[str, Any]]]:
    """Field -> its type and its metadata, of a dataclass."""
    hints = typing.get_type_hints(cls)
    return {f.name: (hints[f.name], f.metadata) for f in dataclasses.fields(cls)}  # type: ignore


def _of_kind(value: Any, kind: Any) -> bool:
    """Whether a value is one of Python's for a type; its size is not looked at."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return any(_of_kind(value, one) for one in args)
    if kind is type(None) or value is None:
        return value is None and kind is type(None)
    if origin is tuple:
        return isinstance(value, tuple)
    if kind in (int, float):  # as `convert` tells them apart
        return not isinstance(value, str)
    return isinstance(value, str if origin is Literal else kind)


def _words(kind: Any) -> str:
    """What a value of a type is called in an error."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(_words, args))
    if origin is Literal:
        return f"one of {', '.join(map(str, args))}"
    if origin is tuple:
        return "a tuple"
    names = {bool: "True or False", int: "a whole number", float: "a number"}
    names |= {str: "text", type(None): "None"}
    return names.get(kind) or f"an object of {kind.__name__}"


def whole(value: Any) -> bool:
    """Whether a value is a whole number of Python or NumPy, and no truth value."""
    try:
        operator.index(value)
    except TypeError:
        return False
    return not isinstance(value, bool)


def _bounds(metadata: Mapping[str, Any]) -> str:
    """The bounds of a number, as they follow what kind of number it must be."""
    words = [
        f"{words} {metadata[name]:g}"
        for name, words, _ in BOUNDS
        if metadata.get(name) is not None
    ]
    return f", {' and '.join(words)}" if words else ""


def convert(
    text: Any,
    kind: Any,
    where: str,
    metadata: Mapping[str, Any] = types.MappingProxyType({}),
) -> Any:
    """`text` as a value of the type `kind`; raises `BadInput`, naming the bounds."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if text is None or text == "none":
            return None
        (inner,) = (a for a in args if a is not type(None))
        return convert(text, inner, where, metadata)
    if origin is Literal:
        if str(text) in args:
            return str(text)
        close = nearest(str(text), args)
        raise BadInput(
            f"{where} is {text!r}; it must be one of {', '.join(map(str, args))}{close}"
        )
    if origin is tuple:
        parts = text.split(",") if isinstance(text, str) else text
        if not isinstance(parts, (list, tuple)) or not len(parts) or "" in parts:
            raise BadInput(f"{where} is {text!r}; it must be a list such as 1,2,3")
        return tuple(convert(part, args[0], where, metadata) for part in parts)
    if kind is bool:
        if str(text).lower() in ("true", "false"):
            return str(text).lower() == "true"
        raise BadInput(f"{where} is {text!r}; it must be true or false")
    if kind in (int, float):
        try:
            value = kind(str(text))
        except ValueError:
            need = "a whole number" if kind is int else "a number"
            need += _bounds(metadata)
            raise BadInput(f"{where} is {text!r}; it must be {need}") from None
        if kind is int and abs(value) > INT_MAX:
            raise BadInput(f"{where} is {text}; it must be at most {INT_MAX} in size")
        if not math.isfinite(value):
            raise BadInput(f"{where} is {text!r}; it must be a finite number")
        if kind is float and value and not TINY <= abs(value) <= HUGE:
            raise BadInput(
                f"{where} is {text!r}; it must be 0 or a number of a size from "
                f"{TINY:g} to {HUGE:g}"
            )
        return value
    return str(text)


def check(value: Any, metadata: Mapping[str, Any], where: str) -> None:
    """Raises `BadInput` if `value` is outside the bounds of its field."""
    for item in value if isinstance(value, tuple) else (value,):
        if not isinstance(item, (int, float)):
            continue
        for name, words, good in BOUNDS:
            bound = metadata.get(name)
            if bound is not None and not good(item, bound):
                raise BadInput(f"{where} is {item}; it must be {words} {bound}")


_hints = functools.cache(typing.get_type_hints)  # a study reads thousands of configs


def leaves(cls: type) -> Iterator[tuple[str, dataclasses.Field, Any]]:
    """(name, field, type) of each field of a dataclass that is not one itself."""
    hints = _hints(cls)
    for field in dataclasses.fields(cls):
        if not dataclasses.is_dataclass(hints[field.name]):
            yield field.name, field, hints[field.name]


def build(cls: type[T], options: Mapping[str, Any], where: str) -> T:
    """A `cls` from strings or values; raises `BadInput` naming `where` it was given."""
    hints = _hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore
    values = {}
    for name, given in options.items():
        if name not in fields:
            raise unknown(f"option of {where}", name, fields)
        kind = hints[name]
        if dataclasses.is_dataclass(kind):
            if not isinstance(given, Mapping):
                raise BadInput(
                    f"{where}.{name} is {given!r}; it must be a group of fields"
                )
            values[name] = build(kind, given, f"{where}.{name}")  # type: ignore
        else:
            metadata = fields[name].metadata
            values[name] = convert(given, kind, f"{where}.{name}", metadata)
            check(values[name], metadata, f"{where}.{name}")
    return cls(**values)
