"""The values of a cell as a terminal shows them."""

import functools
from typing import Any


def short(name: str, value: Any) -> str:
    """A value of the field `name`, short enough for a column."""
    if name == "model.pattern" and value is not None:
        value = _brief(value)
    text = "" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


@functools.cache
def _brief(pattern: str) -> str:
    from attn_research.modules.pattern import brief

    return brief(pattern)
