"""Segments from what other code calls a mask, and the check of a mixer's inputs."""

import functools
from collections.abc import Callable
from typing import Any, Literal, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from attn_research.modules.sharding import batch_axes, by_rows
from attn_research.options import BadInput, whole

Call = TypeVar("Call", bound=Callable[..., jax.Array])
TRUE_MEANS = ("token", "padding")
LONGEST = 2**24  # positions of a row, of which each has a number


def segments(
    given: Any,
    *,
    length: int | None = None,
    true_means: Literal["token", "padding"] = "token",
) -> jax.Array:
    """segments_BT (int32) for a mixer or a model: 0 padding, 1, 2, ... sequences.

    `given` is one of three. A boolean mask_BT marks the tokens with True; if True marks
    the padding, as in PyTorch's `key_padding_mask`, say `true_means="padding"`. The
    tokens of a row are one sequence, without padding between them. Whole numbers ids_BT
    are segments already: each sequence of a row has a number of its own and is
    contiguous. Whole numbers lengths_B say how many tokens each row has, before its
    padding; `length` is then T, by default the longest.

    Raises `BadInput` for rows of several lengths, an array of another rank or kind, a
    negative number, a sequence in several pieces, in a mask too, a row longer than
    `length`, and a mask with a row that has no token: True probably means the other
    thing. Arrays that are traced by `jit`
    are checked for their rank and kind alone.
    """
    if true_means not in TRUE_MEANS:
        raise BadInput(f"true_means is {true_means!r}; it must be token or padding")
    try:
        array = given if isinstance(given, jax.Array) else np.asarray(given)
    except ValueError:
        raise BadInput(
            "The rows of the segments differ in length; they must be of one length, "
            "padded with False or 0"
        ) from None
    kind = array.dtype.kind
    if kind not in "biu" or array.ndim not in (1, 2) or 0 in array.shape:
        raise BadInput(
            f"The segments are {array.dtype} of the shape {array.shape}; they must be "
            "a boolean mask_BT, whole numbers ids_BT, or whole numbers lengths_B"
        )
    if kind == "b" and array.ndim == 1:
        raise BadInput(
            f"The mask has the shape {array.shape}; it must be mask_BT, a row for each "
            "sequence of the batch"
        )
    if kind != "b" and true_means != "token":
        raise BadInput(
            f"true_means is {true_means!r} and the array holds whole numbers; the "
            "array must be boolean, or true_means left out"
        )
    if array.ndim == 1:
        return _of_lengths(array, length)
    if length not in (None, array.shape[1]):
        raise BadInput(
            f"length is {length} and the array has {array.shape[1]} positions; length "
            "must be left out, which lengths_B alone need"
        )
    if kind == "b":
        array = array if true_means == "token" else ~array
    if not isinstance(array, Tracer):
        (_check_mask if kind == "b" else _check_ids)(np.asarray(array))
    return jnp.asarray(array, jnp.int32)


def _of_lengths(lengths_B: Any, length: int | None) -> jax.Array:
    traced = isinstance(lengths_B, Tracer)
    if length is None and traced:
        raise BadInput("lengths_B are traced by jit; length must be given")
    longest = 1 if traced else int(np.max(lengths_B))
    length = max(1, longest) if length is None else length
    if not whole(length) or not 1 <= length <= LONGEST:
        raise BadInput(
            f"length is {length!r}; it must be a whole number from 1 to {LONGEST}"
        )
    if not traced and (np.min(lengths_B) < 0 or longest > length):
        raise BadInput(
            f"The lengths are {int(np.min(lengths_B))} to {longest}; they must be 0 to "
            f"{length}"
        )
    time_1T = jnp.arange(length, dtype=jnp.int32)[None]
    return (time_1T < jnp.asarray(lengths_B, jnp.int32)[:, None]).astype(jnp.int32)


def _check_mask(mask_BT: np.ndarray) -> None:
    empty_B = ~np.any(mask_BT, axis=1)
    if np.any(empty_B):
        raise BadInput(
            f"Row {int(np.argmax(empty_B))} of the mask has no token; each row must "
            'have one, and if True marks padding, true_means must be "padding"'
        )
    begins_BT = np.diff(mask_BT.astype(np.int8), axis=1, prepend=0) == 1
    broken_B = np.sum(begins_BT, axis=1) > 1
    if np.any(broken_B):
        raise BadInput(
            f"Row {int(np.argmax(broken_B))} of the mask has padding between its "
            "tokens; they must be contiguous, or whole numbers ids_BT say which "
            "sequence each is of"
        )


def _check_ids(ids_BT: np.ndarray) -> None:
    if np.min(ids_BT) < 0 or np.max(ids_BT) >= 2**31:
        raise BadInput(
            f"The segments are {int(np.min(ids_BT))} to {int(np.max(ids_BT))}; they "
            "must be 0 for padding and 1, 2, ... for sequences"
        )
    for row, ids_T in enumerate(ids_BT):
        starts = np.flatnonzero(np.diff(ids_T, prepend=0))
        begun = ids_T[starts][ids_T[starts] != 0]
        values, count = np.unique(begun, return_counts=True)
        if np.any(count > 1):
            raise BadInput(
                f"Segment {int(values[np.argmax(count)])} of row {row} is in several "
                "pieces; each segment must be contiguous"
            )


def reading(call: Call) -> Call:
    """The `__call__` of a mixer, which checks what it reads first.

    Raises `BadInput` unless x_BTD has real numbers, three axes and the width of the
    mixer, and segments_BT, if given, whole numbers for the same positions. A batch
    that is sharded along explicit axes of a mesh stays so (see `sharding`).
    """

    @functools.wraps(call)
    def checked(self: Any, x_BTD: Any, segments_BT: Any = None) -> jax.Array:
        check_input(self, x_BTD, "BTD")
        x_BTD = jnp.asarray(x_BTD)  # numpy's float64 is that of the session
        if segments_BT is not None:
            _check_segments(type(self).__name__, x_BTD, segments_BT)
        axes = batch_axes(x_BTD)
        if axes:
            return by_rows(call, self, x_BTD, segments_BT, axes)
        return call(self, x_BTD, segments_BT)

    return cast(Call, checked)


def check_input(mixer: Any, x: Any, axes: Literal["BTD", "BD"]) -> None:
    """Raises `BadInput` if x has not these axes and the width of the mixer."""
    name = type(mixer).__name__
    shape, dtype = _shape_and_dtype("input", name, x)
    if len(shape) != len(axes) or shape[-1] != mixer.width:
        raise BadInput(
            f"The input of {name} has the shape {shape}; it must be {axes} with D = "
            f"{mixer.width}"
        )
    if not jnp.issubdtype(dtype, jnp.floating):
        raise BadInput(f"The input of {name} is {dtype}; it must be of real numbers")


def _shape_and_dtype(what: str, name: str, array: Any) -> tuple[Any, Any]:
    """Those of an array, of which it reads nothing; raises `BadInput` if it is none."""
    if not (hasattr(array, "shape") and hasattr(array, "dtype")):
        raise BadInput(
            f"{type(array).__name__} is given as {what} of {name}; it must be an array"
        )
    return jnp.shape(array), jnp.result_type(array)


def _check_segments(name: str, x_BTD: Any, segments_BT: Any) -> None:
    shape, dtype = _shape_and_dtype("segments", name, segments_BT)
    if dtype == jnp.bool_:
        raise BadInput(
            f"The segments of {name} are a boolean mask; they must be whole numbers, "
            "as attn_research.segments(mask) makes them"
        )
    if not jnp.issubdtype(dtype, jnp.integer):
        raise BadInput(
            f"The segments of {name} are {dtype}; they must be whole numbers"
        )
    if shape != jnp.shape(x_BTD)[:2]:
        raise BadInput(
            f"The segments of {name} have the shape {shape}; it must be "
            f"{jnp.shape(x_BTD)[:2]}, a number for each position"
        )
