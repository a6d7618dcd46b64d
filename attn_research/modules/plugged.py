"""What a mixer of a plugin must be before it stands in the table."""

import inspect
from typing import Any

from attn_research.modules.contract import Preset
from attn_research.options import is_declared

METHODS = ("__call__", "cost", "reach")
DECODING = ("start", "step")
SIZES = ("width", "causal", "length", "rngs")


def check_entry(name: str, entry: Any) -> str | None:
    """What is wrong with an entry of `MIXERS`, None if it keeps the form.

    Whether it keeps the laws is found by `attn_research.testing`.
    """
    module, options = entry, getattr(entry, "Options", None)
    if isinstance(entry, Preset):
        module = entry.module
    if not isinstance(module, type):
        return f"the mixer {name!r} is {entry!r}; it must be a class or a preset of one"
    if options is None:
        return f"the mixer {name!r} has no Options; it must have a class of that name"
    if not is_declared(options):
        return (
            f"the Options of {name!r} are not declared; they must be a class with "
            "@options.declared"
        )
    try:
        options()
    except (TypeError, ValueError) as error:
        return f"the Options of {name!r} have no defaults ({error}); each must have one"
    needed = METHODS if getattr(module, "both_ways_only", False) else METHODS + DECODING
    for method in needed:
        if not callable(getattr(module, method, None)):
            return f"the mixer {name!r} has no {method}; it must have that method"
    try:
        inspect.signature(module.__init__).bind(None, None, **dict.fromkeys(SIZES))
    except TypeError as error:
        return (
            f"the mixer {name!r} cannot be built ({error}); it must take options, and "
            "by keyword width, causal, length and rngs"
        )
    return None
