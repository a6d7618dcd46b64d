"""The decoding carry of the attention mixers: the keys and values seen so far."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from attn_research.modules.head_sizes import HeadSizes
from attn_research.ops.precision import wide


class Cache(NamedTuple):
    """The keys and values in memory, and the number of tokens seen.

    `fade_BSH`: the sum of the logarithms of forget gates since each key; None: none.
    """

    k_BSGK: jax.Array
    v_BSGK: jax.Array
    time: jax.Array
    fade_BSH: jax.Array | None = None


def empty(
    sizes: HeadSizes, batch: int, slots: int, dtype: Any, forget: bool = False
) -> Cache:
    """A cache of `slots` tokens before the first."""
    zeros_BSGK = jnp.zeros((batch, slots, sizes.groups, sizes.head_size), dtype)
    fade = jnp.zeros((batch, slots, sizes.heads), wide(dtype)) if forget else None
    return Cache(zeros_BSGK, zeros_BSGK, jnp.zeros((), jnp.int32), fade)


def remember(
    cache: Cache,
    k_B1GK: jax.Array,
    v_B1GK: jax.Array,
    log_forget_B1H: jax.Array | None = None,
) -> Cache:
    """The cache with one more token, which replaces the oldest if the cache is full."""
    slot = cache.time % cache.k_BSGK.shape[1]
    update = jax.lax.dynamic_update_slice_in_dim
    fade_BSH = cache.fade_BSH
    if fade_BSH is not None and log_forget_B1H is not None:
        # A key has not faded for its own token.
        fade_BSH = fade_BSH + log_forget_B1H
        fade_BSH = update(fade_BSH, jnp.zeros_like(log_forget_B1H), slot, axis=1)
    return Cache(
        update(cache.k_BSGK, k_B1GK.astype(cache.k_BSGK.dtype), slot, axis=1),
        update(cache.v_BSGK, v_B1GK.astype(cache.v_BSGK.dtype), slot, axis=1),
        cache.time + 1,
        fade_BSH,
    )


def places(cache: Cache) -> jax.Array:
    """places_S: the position of the token in each slot; negative if it is empty."""
    slots = cache.k_BSGK.shape[1]
    newest = cache.time - 1
    back_S = (newest - jnp.arange(slots, dtype=jnp.int32)) % slots
    return newest - back_S
