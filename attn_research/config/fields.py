"""The fields of a dataclass tree by dotted names, its JSON and its hash."""

import dataclasses
import hashlib
import json
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from attn_research.options import BadInput, check, convert, unknown, written
from attn_research.options.specs import parse, spell

T = TypeVar("T")


def to_dict(config: Any) -> dict[str, Any]:
    """A dataclass tree, or the JSON read from one, as JSON values."""

    def plain(node: Any) -> Any:
        if not dataclasses.is_dataclass(node):
            return node
        return {name: plain(value) for name, value in written(node).items()}

    return json.loads(json.dumps(plain(config)))


def edit(config: T, changes: Mapping[str, Any]) -> T:
    """A copy with dotted fields changed: `{"model.width": 64, "task.length": 128}`.

    A dotted name below a spec (`task.length`) changes that option of the spec.
    """
    for name, value in changes.items():
        if not isinstance(name, str):
            raise BadInput(f"{name!r} is not a field; it must be a dotted name")
        config = _edit_one(config, name.split("."), value, name)
    return config


def _edit_one(node: Any, path: list[str], value: Any, name: str) -> Any:
    head, *rest = path
    if isinstance(node, str):
        if rest:
            raise BadInput(
                f"{name!r} is not a field; an option of a spec must be SPEC.OPTION"
            )
        spec, options = parse(node)
        return spell(spec, {**options, head: value})
    fields = {f.name: f for f in dataclasses.fields(node)}
    if head not in fields:
        beside = name[: name.rindex(head)]
        raise unknown("field", name, [beside + field for field in fields])
    child = getattr(node, head)
    if rest and (dataclasses.is_dataclass(child) or isinstance(child, str)):
        return dataclasses.replace(node, **{head: _edit_one(child, rest, value, name)})
    if rest or dataclasses.is_dataclass(child):
        raise BadInput(f"{name!r} is a group of fields; it must be a single field")
    kind = typing.get_type_hints(type(node))[head]
    value = convert(value, kind, name, fields[head].metadata)
    check(value, fields[head].metadata, name)
    return dataclasses.replace(node, **{head: value})


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted name -> value of every leaf; the options of `task` are leaves too."""
    flat: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            flat |= flatten(value, f"{prefix}{field.name}.")
        elif prefix + field.name == "task":
            flat["task"], options = parse(value)
            flat |= {f"task.{k}": v for k, v in options.items()}
        else:
            flat[prefix + field.name] = value
    return flat


def content_hash(*parts: Any) -> str:
    """16 hexadecimal digits that name the content of dataclass trees."""
    text = json.dumps([to_dict(part) for part in parts], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
