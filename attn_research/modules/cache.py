"""The decoding carry of the attention mixers: the keys and values seen so far."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from attn_research.modules.head_sizes import HeadSizes


class Cache(NamedTuple):
    """The keys and values in memory, and the number of tokens seen."""

    k_BSGK: jax.Array
    v_BSGK: jax.Array
    time: jax.Array


def empty(sizes: HeadSizes, batch: int, slots: int, dtype: Any) -> Cache:
    """A cache of `slots` tokens before the first."""
    zeros_BSGK = jnp.zeros((batch, slots, sizes.groups, sizes.head_size), dtype)
    return Cache(zeros_BSGK, zeros_BSGK, jnp.zeros((), jnp.int32))


def remember(cache: Cache, k_B1GK: jax.Array, v_B1GK: jax.Array) -> Cache:
    """The cache with one more token, which replaces the oldest if the cache is full."""
    slot = cache.time % cache.k_BSGK.shape[1]
    update = jax.lax.dynamic_update_slice_in_dim
    return Cache(
        update(cache.k_BSGK, k_B1GK.astype(cache.k_BSGK.dtype), slot, axis=1),
        update(cache.v_BSGK, v_B1GK.astype(cache.v_BSGK.dtype), slot, axis=1),
        cache.time + 1,
    )


def places(cache: Cache) -> jax.Array:
    """places_S: the position of the token in each slot; negative if it is empty."""
    slots = cache.k_BSGK.shape[1]
    newest = cache.time - 1
    back_S = (newest - jnp.arange(slots, dtype=jnp.int32)) % slots
    return newest - back_S
