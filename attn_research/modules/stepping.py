"""A decoding step that refuses the carry of another mixer."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import jax

from attn_research.modules.segments import check_input
from attn_research.options import BadInput
from attn_research.trees import Kind, difference, kinds

Step = TypeVar("Step", bound=Callable[..., tuple[jax.Array, Any]])


def stepping(step: Step) -> Step:
    """The `step` of a mixer that raises BadInput for a carry that is not its own.

    That is the carry of another mixer, batch or dtype. The axes of a carry that grow
    with the length may have any size. The input must have the width of the mixer. A
    mixer that cannot decode refuses in `start`.
    """

    @functools.wraps(step)
    def checked(self: Any, x_BD: jax.Array, carry: Any) -> tuple[jax.Array, Any]:
        check_input(self, x_BD, "BD")
        wrong = foreign(self, x_BD, carry)
        if wrong:
            raise BadInput(
                f"{type(self).__name__} was given the carry of another mixer, batch "
                f"or dtype: {wrong}"
            )
        return step(self, x_BD, carry)

    return cast(Step, checked)


def foreign(mixer: Any, x_BD: jax.Array, carry: Any) -> str | None:
    """How a carry differs from one that the mixer would start with, or None."""

    def wanted(length: int) -> dict[str, Kind]:
        start = functools.partial(mixer.start, x_BD.shape[0], length, x_BD.dtype)
        return kinds(jax.eval_shape(start))

    one, two = wanted(1), wanted(2)
    either = {
        path: Kind(
            kind.dtype,
            tuple(
                a if a == b else None
                for a, b in zip(kind.shape, two[path].shape, strict=True)
            ),
        )
        for path, kind in one.items()
    }
    return difference(kinds(carry), either)
