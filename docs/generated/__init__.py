"""The pages of the site that are made from the code, when it is built."""


def every_page() -> dict[str, str | bytes]:
    """Place in the site -> Markdown, or the bytes of an image."""
    from . import (
        accelerators,
        api,
        architectures,
        benchmarks,
        commands,
        experiments,
        mixers,
        notebook,
        ops,
        tasks,
    )

    found: dict[str, str | bytes] = {}
    for room in (
        mixers,
        tasks,
        architectures,
        ops,
        api,
        benchmarks,
        accelerators,
        commands,
        experiments,
        notebook,
    ):
        found.update(room.pages())
    return found
