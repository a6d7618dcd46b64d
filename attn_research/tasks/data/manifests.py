"""The manifest of a packed data set: its seal, and its schema down to the leaves."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, get_args

import numpy as np

from attn_research.host.durable import safe_name
from attn_research.tasks.data.schema import Kind

LAYOUT = 1
AXES = 32  # of an array, at most


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest with its own digest."""
    return {**content, "blake2b": digest(content)}


def digest(content: Mapping[str, Any]) -> str:
    """The BLAKE2b of a manifest without its own digest."""
    plain = {name: value for name, value in content.items() if name != "blake2b"}
    line = json.dumps(plain, sort_keys=True).encode()
    return hashlib.blake2b(line, digest_size=16).hexdigest()


def fault(content: Any) -> str | None:
    """What is wrong with a manifest, None if it can be read."""
    try:
        if content.get("blake2b") != digest(content):
            return "its digest differs"
    except RecursionError:
        return "it is nested too deeply"
    if content.get("layout") != LAYOUT:
        return f"its layout is {content.get('layout')!r:.40}; it must be {LAYOUT}"
    for name in ("features", "splits", "replaced"):
        if not isinstance(content.get(name, {} if name == "replaced" else None), dict):
            return f"its {name} must be an object"
    for name, feature in content["features"].items():
        if wrong := _feature(feature):
            return f"its feature {name!r:.80} {wrong}"
    for name, split in content["splits"].items():
        if wrong := _split(name, split, content["features"]):
            return f"its split {name!r:.80} {wrong}"
    return None


def _feature(feature: Any) -> str | None:
    if not isinstance(feature, dict):
        return "must be an object"
    if feature.get("kind") not in get_args(Kind):
        return f"must be of a kind among {', '.join(get_args(Kind))}"
    if not isinstance(feature.get("about"), str):
        return "must have a text about it"
    try:
        dtype = np.dtype(feature["dtype"])
    except (KeyError, TypeError, ValueError):
        return "must have a dtype"
    if not isinstance(feature["dtype"], str) or dtype.kind not in "biufc":
        return "must have a dtype of numbers"
    shape = feature.get("shape")
    if not isinstance(shape, list) or len(shape) > AXES:
        return "must have a shape"
    if not all(_count(n) or (n is None and not axis) for axis, n in enumerate(shape)):
        return "must have a shape of whole numbers"
    names = feature.get("names")
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        return "must have a list of names"
    return None


def _split(name: str, split: Any, features: Mapping[str, Any]) -> str | None:
    if not safe_name(name) or not isinstance(split, dict):
        return "must be an object with a plain name"
    arrays = split.get("arrays")
    if not _count(split.get("examples")) or not isinstance(arrays, dict):
        return "must have a number of examples, and arrays"
    for file, facts in arrays.items():
        if not safe_name(file) or not isinstance(facts, dict):
            return f"has {file!r:.80}; it must be an object with a plain name"
        right = (
            _count(facts.get("bytes"))
            and isinstance(facts.get("dtype"), str)
            and isinstance(facts.get("shape"), list)
            and all(map(_count, facts["shape"]))
            and isinstance(facts.get("blake2b"), str)
        )
        if not right:
            return f"has {file!r:.80}; it must have bytes, a dtype, a shape, a digest"
    for key, feature in features.items():
        shape = feature["shape"]
        wanted = [f"{key}.npy"]
        if feature["kind"] in ("text", "texts") or None in shape[:1]:
            wanted.append(f"{key}.offsets.npy")
        if feature["kind"] == "texts":
            wanted.append(f"{key}.rows.npy")
        for file in wanted:
            if file not in arrays:
                return f"must have the file {file!r:.80}"
    return None


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
