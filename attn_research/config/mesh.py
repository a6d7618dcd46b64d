"""The devices of one model, as `train.mesh` writes them: `data=2,fsdp=4`."""

import math

from attn_research.options import BadInput, nearest

AXES = ("data", "fsdp")


def axes(text: str | None) -> dict[str, int]:
    """The size of both `AXES`, 1 for one that is not written; None: one device.

    Raises `BadInput` for an axis that is unknown, repeated, or has no size.
    """
    sizes: dict[str, int] = {}
    for part in text.split(",") if text is not None else ():
        name, _, size = part.strip().partition("=")
        if name not in AXES:
            raise BadInput(
                f"train.mesh is {text!r} and has the axis {name!r}; its axes must be "
                f"{' or '.join(AXES)}{nearest(name, AXES)}"
            )
        if name in sizes:
            raise BadInput(f"train.mesh is {text!r}; {name} must be there once")
        if not size.isdecimal() or int(size) < 1:
            raise BadInput(
                f"train.mesh is {text!r}; the size of {name} must be a whole number of "
                "devices, at least 1"
            )
        sizes[name] = int(size)
    return {name: sizes.get(name, 1) for name in AXES}


def size(text: str | None) -> int:
    """The number of devices of one model."""
    return math.prod(axes(text).values())


def spelled(text: str | None) -> str | None:
    """The one spelling of a mesh: axes in order, without those of size 1."""
    parts = [f"{name}={size}" for name, size in axes(text).items() if size > 1]
    return ",".join(parts) or None
