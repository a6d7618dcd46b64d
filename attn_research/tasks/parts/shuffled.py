"""A fixed random order of the examples of a split, without a table of it."""

import jax
import jax.numpy as jnp

ROUNDS = 6


def shuffled(number_B: jax.Array, count: jax.Array) -> jax.Array:
    """The example at each place of a fixed random order of range(count).

    A permutation, the same in every call: places 0, 1, 2, ... are a draw without
    replacement. `number_B` must be below `count`, which may be traced, up to 2^31 - 1.
    A Feistel network (Luby & Rackoff, 1988) permutes the next larger power of four;
    places that leave the range walk on until they return to it.
    """
    count = jnp.asarray(count, jnp.uint32)
    top = jnp.maximum(count, 2) - 1
    bits = jnp.uint32(32) - jax.lax.clz(top)
    half = (bits + jnp.uint32(1)) // jnp.uint32(2)
    mask = (jnp.uint32(1) << half) - jnp.uint32(1)

    def permute(x_B: jax.Array) -> jax.Array:
        left_B, right_B = x_B >> half, x_B & mask
        for round in range(ROUNDS):
            left_B, right_B = right_B, left_B ^ (_mixed(right_B, round) & mask)
        return (left_B << half) | right_B

    def walk(x_B: jax.Array) -> jax.Array:
        return jnp.where(x_B < count, x_B, permute(x_B))

    def outside(x_B: jax.Array) -> jax.Array:
        return jnp.any(x_B >= count)

    start_B = permute(number_B.astype(jnp.uint32))
    return jax.lax.while_loop(outside, walk, start_B).astype(number_B.dtype)


def _mixed(x_B: jax.Array, round: int) -> jax.Array:
    """A hash of 32 bits (the finalizer of MurmurHash3), another one in every round."""
    x_B = x_B + jnp.uint32(0x9E3779B9 * (round + 1) & 0xFFFFFFFF)
    x_B = (x_B ^ (x_B >> 16)) * jnp.uint32(0x85EBCA6B)
    x_B = (x_B ^ (x_B >> 13)) * jnp.uint32(0xC2B2AE35)
    return x_B ^ (x_B >> 16)
