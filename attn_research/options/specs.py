"""The grammar of specs: `name(option=value,...)`, in flags, patterns and JSON alike.

A spec names an entry of a table (a mixer, a task) and gives its options; a value that
holds a sign of the grammar is quoted.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from attn_research.options import BadInput, build, unknown, written

T = TypeVar("T")


def split(text: str, mark: str = ",") -> list[str]:
    """The parts of `text` between commas (or `mark`) outside brackets and quotes."""
    if not isinstance(text, str):
        raise BadInput(f"{text!r} is given; it must be text: name(option=value,...)")
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
    if not isinstance(spec, str):
        raise BadInput(
            f"{spec!r} is not a spec; it must be text such as name(option=value,...)"
        )
    name, bracket, inner = spec.strip().partition("(")
    if (bracket and not inner.endswith(")")) or not name.strip():
        raise BadInput(
            f"{spec!r} is not a spec; it must be name or name(option=value,...)"
        )
    options: dict[str, str] = {}
    for part in split(inner[:-1]) if inner[:-1].strip() else []:
        key, equals, value = part.partition("=")
        key, value = key.strip(), value.strip()
        if not equals or not key or not value:
            raise BadInput(
                f"{part!r} in {spec!r} is not an option; it must be option=value"
            )
        if key in options:
            raise BadInput(f"{spec!r} gives the option {key!r} twice")
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = value[1:-1]
        options[key] = value
    return name.strip(), options


def word(value: Any) -> str:
    """A value as a spec writes it: quoted if it holds a sign of the grammar."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return '"' + ",".join(map(word, value)) + '"'
    text = str(value)
    if '"' in text:
        raise BadInput(f"{text!r} holds a quote; option values must not")
    return f'"{text}"' if not text or set(text) & set("(),= ") else text


def spell(name: str, options: Any) -> str:
    """The spec of a name and its options (a mapping or a dataclass), each written."""
    if not isinstance(options, Mapping):
        options = written(options)
    inner = ",".join(f"{key}={word(value)}" for key, value in options.items())
    return f"{name}({inner})" if inner else name


def choose(spec: str, table: Mapping[str, type[T]], kind: str) -> T:
    """The dataclass that `spec` names in `table`, built with the options given."""
    name, options = parse(spec)
    if name not in table:
        raise unknown(kind, name, table)
    return build(table[name], options, name)
