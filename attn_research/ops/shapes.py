"""The public door of the ops: arrays have the axes that their names end in."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

# What is counted or named; every other array holds real or complex numbers.
_WHOLE = ("segments", "source", "positions", "bucket")


def shaped(op: Callable[..., Any]) -> Callable[..., Any]:
    """The op, which checks its arrays by the names of its parameters first.

    `k_BSGK` must have four axes, none of them empty, and an axis that several names end
    in must have one size in all of them, or 1. Raises ValueError that names the array,
    its shape and what it must be. Ops call one another without this check.
    """
    signature = inspect.signature(op)
    ends = {name: name.rpartition("_")[2] for name in signature.parameters}
    named = {name: axes for name, axes in ends.items() if axes.isupper()}

    @functools.wraps(op)
    def checked(*given: Any, **more: Any) -> Any:
        bound = signature.bind(*given, **more).arguments
        sizes: dict[str, tuple[int, str]] = {}
        for name, axes in named.items():
            if name not in bound or callable(array := bound[name]):
                continue
            if array is not None:
                _check(op.__name__, name, axes, array, sizes)
            elif signature.parameters[name].default is not None:
                raise ValueError(
                    f"{name} of {op.__name__} is None; it must be an array with the "
                    f"axes {', '.join(axes)}"
                )
        return op(*given, **more)

    return checked if named else op


def _check(
    op: str, name: str, axes: str, array: Any, sizes: dict[str, tuple[int, str]]
) -> None:
    if not (hasattr(array, "shape") and hasattr(array, "dtype")):
        raise ValueError(
            f"{name} of {op} is of the type {type(array).__name__}; it must be an "
            f"array with the axes {', '.join(axes)}"
        )
    shape, dtype = np.shape(array), jnp.result_type(array)
    fixed = all(
        size == int(axis)
        for axis, size in zip(axes, shape, strict=False)
        if axis.isdigit()
    )
    if len(shape) != len(axes) or 0 in shape or not fixed:
        raise ValueError(
            f"{name} of {op} has the shape {shape}; it must have the {len(axes)} axes "
            f"{', '.join(axes)}, none of them empty"
        )
    if dtype == jnp.bool_ and name.startswith(_WHOLE):
        raise ValueError(
            f"{name} of {op} is a boolean mask; it must be of whole numbers, such as "
            "attn_research.segments(mask) gives"
        )
    real = jnp.issubdtype(dtype, jnp.inexact)
    if not real and not name.startswith(_WHOLE):
        raise ValueError(f"{name} of {op} is {dtype}; it must be of real numbers")
    for axis, size in zip(axes, shape, strict=True):
        before, of = sizes.setdefault(axis, (size, name)) if size != 1 else (1, name)
        if size != 1 and before != size:
            raise ValueError(
                f"{name} of {op} has {size} along {axis} and {of} has {before}; they "
                "must be equal"
            )
