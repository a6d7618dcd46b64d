"""Positions: where a token stands in its segment, and its encodings.

Every function works on one position or many, so that a decoding step uses the same code
as the whole sequence.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.ops import precision


def restart(segments_BT: jax.Array) -> jax.Array:
    """The position of each token within its own segment, from 0, as int32.

    Segments are contiguous: a position counts from the last change of segment.
    """
    time_1T = jnp.arange(segments_BT.shape[-1], dtype=jnp.int32)[None]
    before_BT = jnp.pad(segments_BT[:, :-1], ((0, 0), (1, 0)), constant_values=-1)
    start_BT = jnp.where(segments_BT != before_BT, time_1T, 0)
    return time_1T - jax.lax.cummax(start_BT, axis=1)


def ordinals(segments_BT: jax.Array) -> jax.Array:
    """The place of each token's segment in its row, from 1; 0 at padding."""
    before_BT = jnp.pad(segments_BT[:, :-1], ((0, 0), (1, 0)))
    starts_BT = (segments_BT != before_BT) & (segments_BT != 0)
    count_BT = jnp.cumsum(starts_BT, axis=1, dtype=jnp.int32)
    return jnp.where(segments_BT != 0, count_BT, 0)


def positions(batch: int, length: int, segments_BT: jax.Array | None) -> jax.Array:
    """positions_BT, restarting in every segment; without segments 0, 1, 2, ..."""
    if segments_BT is None:
        time_1T = jnp.arange(length, dtype=jnp.int32)[None]
        return jnp.broadcast_to(time_1T, (batch, length))
    return restart(segments_BT)


def angles(position: jax.Array, size: int, base: float, dtype) -> jax.Array:
    """position * base^(-i / size) for i in 0..size-1, on a new last axis.

    In float32 the rounding of an angle grows with the position: 6e-8 of it.
    """
    rates = np.power(base, -np.arange(size) / size)  # float64, rounded once
    rates = jnp.asarray(rates.reshape((1,) * position.ndim + (size,)), dtype)
    return position[..., None].astype(dtype) * rates


def rope(x_BTHK: jax.Array, positions_BT: jax.Array, base: float) -> jax.Array:
    """x with the pairs (i, i + K/2) rotated by position * base^(-2i/K).

    The product of a rotated query and key depends on the difference of their
    positions only. Raises ValueError for an odd K. Su et al., 2021, arXiv:2104.09864.
    """
    size = x_BTHK.shape[-1]
    if size % 2:
        raise ValueError(
            f"RoPE rotates pairs; the head size is {size}, it must be even"
        )
    return _turned(x_BTHK, positions_BT, base ** -(np.arange(size // 2) / (size // 2)))


class Rope(NamedTuple):
    """RoPE of the first `share` of a head, stretched by `factor` beyond `original`.

    `base` is that of `rope`, `scaling` one of none, linear, ntk and yarn. "linear"
    divides every position by the factor (Chen et al., 2023, arXiv:2306.15595).
    "ntk" raises the base so that the slowest pair slows by the factor and the fastest
    keeps its pace. "yarn" divides those pairs that turn less than once within the
    original length, keeps those that turn 32 times, and blends between; queries and
    keys grow so that scores grow by (0.1 log factor + 1)^2 (Peng et al., 2023,
    arXiv:2309.00071, which gives ntk too). As in the released code, and unlike the
    paper, the blend is linear in the number of the pair, and `truncate` rounds its ends
    outwards to whole pairs; without it they lie where the formula puts them.
    """

    base: float
    share: float = 1.0
    scaling: str = "none"
    factor: float = 1.0
    original: int = 1
    truncate: bool = True

    def __call__(self, x_BTHK: jax.Array, positions_BT: jax.Array) -> jax.Array:
        """y_BTHK: `x_BTHK` with its share rotated by the angles of `positions_BT`.

        Whole pairs are rotated; the rest of a head stays as it is.
        """
        turned = self.size(x_BTHK.shape[-1])
        y_BTHK = _turned(x_BTHK[..., :turned], positions_BT, self.rates(turned))
        if self.scaling == "yarn":
            y_BTHK = y_BTHK * (0.1 * math.log(self.factor) + 1)
        return jnp.concatenate([y_BTHK, x_BTHK[..., turned:]], axis=-1)

    def size(self, head: int) -> int:
        """How many of the `head` numbers are rotated: an even number, at least 2."""
        return max(2, int(head * self.share) // 2 * 2)

    def rates(self, size: int) -> np.ndarray:
        """rate_R: radians per position of each of the size / 2 pairs, in float64.

        `size` is that of the part that is rotated.
        """
        half = np.arange(size // 2) / (size // 2)
        if self.scaling == "ntk" and size > 2:
            return (self.base * self.factor ** (size / (size - 2))) ** -half
        rates = self.base**-half
        if self.scaling in ("linear", "ntk"):
            return rates / self.factor
        if self.scaling == "yarn":
            # The pairs that turn 32 times and once.
            per_turn = size / (2 * math.log(self.base))
            many = per_turn * math.log(self.original / (64 * math.pi))
            once = per_turn * math.log(self.original / (2 * math.pi))
            if self.truncate:
                many, once = math.floor(many), math.ceil(once)
            many = max(many, 0)
            once = max(min(once, size - 1), many + 1e-3)
            slow = np.clip((np.arange(size // 2) - many) / (once - many), 0, 1)
            return rates * (1 - slow) + rates / self.factor * slow
        return rates


def _turned(x_BTHK: jax.Array, positions_BT: jax.Array, rate_R: np.ndarray):
    dtype = precision.wide(x_BTHK.dtype)
    rate_111R = jnp.asarray(rate_R.reshape(1, 1, 1, -1), dtype)
    angle_BT1R = positions_BT[:, :, None, None].astype(dtype) * rate_111R
    cos, sin = jnp.cos(angle_BT1R), jnp.sin(angle_BT1R)
    left, right = jnp.split(x_BTHK.astype(dtype), 2, axis=-1)
    turned = jnp.concatenate([left * cos - right * sin, left * sin + right * cos], -1)
    return turned.astype(x_BTHK.dtype)


def scattered(key: jax.Array, batch: int, length: int, most: int) -> jax.Array:
    """positions_BT: for each row random distinct positions below `most`, sorted.

    A model trained on these knows positions beyond the length of its sequences. Ruoss
    et al., 2023, arXiv:2305.16843. Raises ValueError if `length` is above `most`.
    """
    if length > most:
        raise ValueError(
            f"There are {most} positions for {length} tokens; they must be at least as "
            "many"
        )
    rows = jax.random.split(key, batch)
    draw = jax.vmap(lambda row: jax.random.permutation(row, most)[:length])
    return jnp.sort(draw(rows).astype(jnp.int32), axis=1)


def sinusoid(
    positions_BT: jax.Array, width: int, base: float = 10_000.0, dtype=jnp.float32
) -> jax.Array:
    """Sines, then cosines of the angles, as BTD; an odd width drops the last cosine.

    Vaswani et al., 2017, arXiv:1706.03762.
    """
    wide = precision.wide(dtype)
    angle = angles(positions_BT, (width + 1) // 2, base, wide)
    both = jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=-1)
    return both[..., :width].astype(dtype)


def lookup(table_ND: jax.Array, positions_BT: jax.Array) -> jax.Array:
    """The row of a learned table for each position, as BTD.

    Positions must lie within the table; the caller checks that.
    """
    return jnp.take(table_ND, positions_BT, axis=0, mode="clip")
