"""How far two results are apart, and how far they may be."""

from typing import Any

import jax
import numpy as np

# The largest relative RMS errors in float32, of outputs and of gradients.
FORWARD, GRADIENT = 2e-6, 1e-5


def error(got: Any, want: Any, flat: tuple[str, ...] = ()) -> float:
    """The RMS of the difference over the RMS of `want`, of the worst leaf of a tree.

    A leaf that is zero must be met exactly, but for the parameters named in `flat`,
    whose rounding noise is measured against the largest leaf.
    """
    want, tree = jax.tree_util.tree_flatten_with_path(want)
    got = tree.flatten_up_to(got)
    largest = max(size(leaf) for _, leaf in want)
    errors = []
    for one, (path, two) in zip(got, want, strict=True):
        assert np.shape(one) == np.shape(two), f"{np.shape(one)}, not {np.shape(two)}"
        noise = any(f"'{name}'" in jax.tree_util.keystr(path) for name in flat)
        off = size(np.subtract(np.float64(one), np.float64(two)))
        errors.append(off / ((largest if noise else size(two)) or np.finfo(float).tiny))
    # np.max, unlike max, never loses a NaN.
    return float(np.max(errors))


def size(leaf: Any) -> float:
    """The root of the mean square."""
    return float(np.sqrt(np.mean(np.square(np.asarray(leaf, np.float64)))))


def close(
    got: Any, want: Any, reach: float, what: str, flat: tuple[str, ...] = ()
) -> None:
    """Raises AssertionError where `got` is off by more than `reach`."""
    worst = error(got, want, flat)
    assert worst <= reach, f"{what}: off by {worst:.1e}, allowed is {reach:.0e}"


def finite(tree: Any) -> bool:
    """Whether every number of a tree is finite."""
    return all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(tree))
