"""The implementations of an op, which all have the same result."""


def check_implementation(given: str | None, *names: str) -> None:
    """Raises ValueError for a name that is not one of these; None leaves the choice."""
    if given is not None and given not in names:
        raise ValueError(
            f"The implementation is {given!r}; it must be one of {', '.join(names)}, "
            "or None for the default"
        )
