"""What a task of a plugin must be before it stands in the table."""

from typing import Any

from attn_research.options import is_declared

METHODS = ("arrays", "batch")


def check_entry(name: str, entry: Any) -> str | None:
    """What is wrong with an entry of `TASKS`, None if it keeps the form.

    Whether it keeps the laws is found by `attn_research.testing`.
    """
    if not isinstance(entry, type):
        return f"the task {name!r} is {entry!r}; it must be a class"
    if not is_declared(entry):
        return f"the task {name!r} is not declared; it must have @options.declared"
    for method in METHODS:
        if not callable(getattr(entry, method, None)):
            return f"the task {name!r} has no {method}; it must have that method"
    if not hasattr(entry, "spec"):
        return f"the task {name!r} has no spec; it must have that property"
    try:
        entry()
    except (TypeError, ValueError) as error:
        return f"the options of {name!r} have no defaults ({error}); each must have one"
    return None
