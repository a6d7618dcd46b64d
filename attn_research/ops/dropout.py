"""Dropout whose mask is a hash of (key, position): next to free, unlike jax.random."""

import math

import jax
import jax.numpy as jnp


def dropout(x: jax.Array, rate: float, key: jax.Array | None) -> jax.Array:
    """x with a fraction `rate` of entries zero and the rest over 1 - rate.

    A key of None, or rate 0, gives x itself. `rate` is a Python number in [0, 1).
    Srivastava et al., 2014.
    """
    if key is None or rate == 0:
        return x
    dropped = jnp.uint32(min(round(rate * 2**32), 2**32 - 1))
    kept = hashed(key, x.shape) >= dropped
    return jnp.where(kept, x / (1 - rate), 0)


def hashed(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Uniform uint32 of a shape: an integer hash of a JAX key and the position.

    Cheap enough to be computed anew wherever a fused loop needs it, so that no mask is
    stored. Good enough for dropout, not a source of randomness for anything finer:
    positions repeat after 2^32. The finaliser is lowbias32 (Wellons, 2018), a round for
    each half of the key.
    """
    first, second = jax.random.key_data(key).reshape(-1)[:2]
    position = jax.lax.iota(jnp.uint32, math.prod(shape)).reshape(shape)
    # The golden ratio parts neighbouring positions before the first round.
    return _mixed(_mixed(position * jnp.uint32(0x9E3779B9) + first) ^ second)


def _mixed(bits: jax.Array) -> jax.Array:
    bits = (bits ^ (bits >> 16)) * jnp.uint32(0x7FEB352D)
    bits = (bits ^ (bits >> 15)) * jnp.uint32(0x846CA68B)
    return bits ^ (bits >> 16)
