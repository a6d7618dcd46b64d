"""Typed options: strings from a flag, a pattern or a file into frozen dataclasses.

A field is declared with `option`, which carries its help and its bounds; `build` makes
the dataclass and refuses, in one sentence, what it does not know. A choice among
families (a mixer, a task) is written as a *spec*, `name(option=value,...)`, in flags,
patterns and JSON alike.

This module imports nothing but the standard library, so that a script can parse its
flags before it pays for importing jax.
"""

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, TypeVar

T = TypeVar("T")
# What the arrays hold that options end in: int32, and float32 at its full precision.
INT_MAX, TINY, HUGE = 2**31 - 1, 1.2e-38, 3.4e38


class BadInput(ValueError):
    """A user's mistake, told in one sentence: what was given and what is allowed."""


def option(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
    below: float | None = None,
) -> Any:
    """A dataclass field with its help and its bounds.

    `low` and `high` are inclusive, `above` and `below` exclusive.
    """
    bounds = {"low": low, "above": above, "high": high, "below": below}
    return dataclasses.field(default=default, metadata={"help": help, **bounds})


def nearest(name: str, known: Iterable[str]) -> str:
    """The words `; did you mean ...?` where a known name is close, else ``."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def unknown(kind: str, name: str, known: Iterable[str]) -> BadInput:
    """The error for a name outside a table, listing the table."""
    known = sorted(known)
    allowed = ", ".join(known) if known else "none"
    return BadInput(f"Unknown {kind} {name!r} (known: {allowed}){nearest(name, known)}")


def convert(text: Any, kind: Any, where: str) -> Any:
    """`text` as a value of the annotated type `kind`; raises `BadInput`."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if text is None or text == "none":
            return None
        (inner,) = (a for a in args if a is not type(None))
        return convert(text, inner, where)
    if origin is Literal:
        if str(text) in args:
            return str(text)
        close = nearest(str(text), args)
        raise BadInput(
            f"{where} is {text!r}; allowed are {', '.join(map(str, args))}{close}"
        )
    if origin is tuple:
        parts = text.split(",") if isinstance(text, str) else text
        if not isinstance(parts, (list, tuple)) or not len(parts) or "" in parts:
            raise BadInput(f"{where} is {text!r}; a list such as 1,2,3 is allowed")
        return tuple(convert(part, args[0], where) for part in parts)
    if kind is bool:
        if str(text).lower() in ("true", "false"):
            return str(text).lower() == "true"
        raise BadInput(f"{where} is {text!r}; true or false is allowed")
    if kind in (int, float):
        try:
            value = kind(str(text))
        except ValueError:
            need = "a whole number" if kind is int else "a number"
            raise BadInput(f"{where} is {text!r}; {need} is allowed") from None
        if kind is int and abs(value) > INT_MAX:
            raise BadInput(f"{where} is too large; at most {INT_MAX} is allowed")
        if not math.isfinite(value):
            raise BadInput(f"{where} is {text!r}; a finite number is allowed")
        if kind is float and value and not TINY <= abs(value) <= HUGE:
            raise BadInput(
                f"{where} is {text!r}; a finite number from {TINY:g} to {HUGE:g} or 0 "
                "is allowed"
            )
        return value
    return str(text)


def check(value: Any, metadata: Mapping[str, Any], where: str) -> None:
    """Raises `BadInput` where `value` is outside the bounds of its field."""
    for item in value if isinstance(value, tuple) else (value,):
        if not isinstance(item, (int, float)):
            continue
        for name, words, good in (
            ("low", "at least", lambda v, b: v >= b),
            ("above", "more than", lambda v, b: v > b),
            ("high", "at most", lambda v, b: v <= b),
            ("below", "less than", lambda v, b: v < b),
        ):
            bound = metadata.get(name)
            if bound is not None and not good(item, bound):
                raise BadInput(f"{where} is {item}; it must be {words} {bound}")


def leaves(cls: type) -> Iterator[tuple[str, dataclasses.Field, Any]]:
    """(name, field, type) of each field of a dataclass that is no dataclass."""
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        if not dataclasses.is_dataclass(hints[field.name]):
            yield field.name, field, hints[field.name]


def build(cls: type[T], options: Mapping[str, Any], where: str) -> T:
    """A `cls` from strings or values; raises `BadInput` naming `where` it was given."""
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore
    values = {}
    for name, given in options.items():
        if name not in fields:
            raise unknown(f"option of {where}", name, fields)
        kind = hints[name]
        if dataclasses.is_dataclass(kind):
            if not isinstance(given, Mapping):
                raise BadInput(f"{where}.{name} is {given!r}; a group is allowed")
            values[name] = build(kind, given, f"{where}.{name}")  # type: ignore
        else:
            values[name] = convert(given, kind, f"{where}.{name}")
            check(values[name], fields[name].metadata, f"{where}.{name}")
    return cls(**values)


# --- the grammar of specs ------------------------------------------------------------


def split(text: str, mark: str = ",") -> list[str]:
    """The parts of `text` between commas (or `mark`) outside brackets and quotes."""
    parts, depth, quoted, current = [], 0, False, ""
    for char in text:
        quoted ^= char == '"'
        if not quoted:
            depth += (char == "(") - (char == ")")
            if depth < 0:
                break
            if char == mark and depth == 0:
                parts.append(current.strip())
                current = ""
                continue
        current += char
    if depth or quoted:
        raise BadInput(f"{text!r} has an unbalanced bracket or quote")
    return [*parts, current.strip()]


def parse(spec: str) -> tuple[str, dict[str, str]]:
    """`"name(a=1,b=x)"` as `("name", {"a": "1", "b": "x"})`."""
    name, bracket, inner = spec.strip().partition("(")
    if (bracket and not inner.endswith(")")) or not name.strip():
        raise BadInput(f"{spec!r} is no spec; write name or name(option=value,...)")
    options: dict[str, str] = {}
    for part in split(inner[:-1]) if inner[:-1].strip() else []:
        key, equals, value = part.partition("=")
        key, value = key.strip(), value.strip()
        if not equals or not key or not value:
            raise BadInput(f"{part!r} in {spec!r} is no option; write option=value")
        if key in options:
            raise BadInput(f"{spec!r} gives the option {key!r} twice")
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = value[1:-1]
        options[key] = value
    return name.strip(), options


def word(value: Any) -> str:
    """A value as a spec writes it: quoted where it holds a sign of the grammar."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return '"' + ",".join(map(word, value)) + '"'
    text = str(value)
    if '"' in text:
        raise BadInput(f"{text!r} holds a quote; option values hold none")
    return f'"{text}"' if not text or set(text) & set("(),= ") else text


def spell(name: str, options: Any) -> str:
    """The spec of a name and its options (a mapping or a dataclass), each written."""
    if not isinstance(options, Mapping):
        options = {k: getattr(options, k) for k, _, _ in leaves(type(options))}
    inner = ",".join(f"{key}={word(value)}" for key, value in options.items())
    return f"{name}({inner})" if inner else name


def choose(spec: str, table: Mapping[str, type[T]], kind: str) -> T:
    """The dataclass that `spec` names in `table`, built with the options given."""
    name, options = parse(spec)
    if name not in table:
        raise unknown(kind, name, table)
    return build(table[name], options, name)
