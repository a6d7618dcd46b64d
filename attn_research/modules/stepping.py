"""A decoding step that refuses a carry which is not its own."""

import functools
from collections.abc import Callable
from typing import Any

import jax

from attn_research.options import BadInput

Step = Callable[[Any, jax.Array, Any], tuple[jax.Array, Any]]


def stepping(step: Step) -> Step:
    """`step` of a mixer, which raises BadInput for a carry that `start` cannot make.

    That is the carry of another mixer, batch or dtype. The axes of a carry that grow
    with the length may have any size. A mixer that cannot decode refuses in `start`.
    """

    @functools.wraps(step)
    def checked(self: Any, x_BD: jax.Array, carry: Any) -> tuple[jax.Array, Any]:
        found = foreign(self, x_BD, carry)
        if found:
            raise BadInput(
                f"{type(self).__name__} was given the carry of another mixer, batch "
                f"or dtype: {found}"
            )
        return step(self, x_BD, carry)

    return checked


def foreign(mixer: Any, x_BD: jax.Array, carry: Any) -> str | None:
    """How a carry differs from those that the mixer starts with for x, or None."""

    def leaves(length: int) -> dict[str, Any]:
        start = functools.partial(mixer.start, x_BD.shape[0], length, x_BD.dtype)
        return _leaves(jax.eval_shape(start))

    one, two, given = leaves(1), leaves(2), _leaves(carry)
    for path in sorted(set(given) ^ set(one)):
        return f"it has {'an extra' if path in given else 'no'} leaf {path or 'alone'}"
    for path, leaf in given.items():
        sizes = zip(one[path].shape, two[path].shape, strict=True)
        allowed = [a if a == b else None for a, b in sizes]
        same = len(leaf.shape) == len(allowed) and all(
            size in (None, own) for size, own in zip(allowed, leaf.shape, strict=True)
        )
        if not same or leaf.dtype != one[path].dtype:
            shape = ["any" if size is None else size for size in allowed]
            return (
                f"{path or 'it'} is {leaf.dtype}{list(leaf.shape)}, "
                f"{one[path].dtype}{shape} is allowed".replace("'", "")
            )
    return None


def _leaves(carry: Any) -> dict[str, Any]:
    pairs = jax.tree_util.tree_leaves_with_path(carry)
    return {jax.tree_util.keystr(path): leaf for path, leaf in pairs}
