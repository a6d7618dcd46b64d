"""Which scores are the highest of their query, in one reading of them."""

import jax
import jax.numpy as jnp

from attn_research.ops.platform import accelerated


def highest(score_BHTS: jax.Array, count: int) -> jax.Array:
    """Which scores are among the `count` highest of their query, and not -inf.

    More if scores are equal. One reading of the scores decides: a compiler may compute
    a score once to find the least of them and again to compare it, rounded otherwise,
    and the highest would not reach itself.
    """
    score_BHTS = jax.lax.stop_gradient(score_BHTS)
    some_BHTS = score_BHTS > -jnp.inf
    if count >= score_BHTS.shape[-1]:
        return some_BHTS
    reached = by_sorting if accelerated() else by_sweeping
    return some_BHTS & reached(score_BHTS, count)


def by_sorting(x: jax.Array, count: int) -> jax.Array:
    """Which numbers along the last axis reach the `count`-th highest, by sorting."""
    place = jax.lax.broadcasted_iota(jnp.int32, x.shape, x.ndim - 1)
    rising, place = jax.lax.sort((x, place), num_keys=1)
    at = x.shape[-1] - count
    reached = rising >= jax.lax.slice_in_dim(rising, at, at + 1, axis=-1)
    return jax.lax.sort((place, reached), num_keys=1)[1]


def by_sweeping(x: jax.Array, count: int) -> jax.Array:
    """Which numbers along the last axis reach the `count`-th highest, bit by bit.

    One sweep per bit from the sign down, each a comparison and a count. A sort takes
    8 times as long on a CPU; on an accelerator 31 sweeps are 31 steps.
    """
    integer = jnp.int64 if x.dtype == jnp.float64 else jnp.int32
    bits = jnp.iinfo(integer).bits - 1
    rest = jnp.asarray(jnp.iinfo(integer).max, integer)
    number = jax.lax.bitcast_convert_type(x, integer)
    # Negative floats rise as their bits fall.
    ordered = jnp.where(number < 0, number ^ rest, number)

    def raised(swept: tuple[jax.Array, jax.Array], bound: jax.Array):
        """The bound and what reaches it, if that is enough; else as before."""
        reached = ordered >= bound
        enough = reached.sum(-1, keepdims=True, dtype=jnp.int32) >= count
        return jnp.where(enough, bound, swept[0]), jnp.where(enough, reached, swept[1])

    def lower(n: jax.Array, swept: tuple[jax.Array, jax.Array]):
        one = jnp.ones((), integer)
        return raised(swept, swept[0] | (one << (bits - 1 - n).astype(integer)))

    least = jnp.full((*x.shape[:-1], 1), jnp.iinfo(integer).min, integer)
    swept = raised((least, jnp.ones(x.shape, bool)), jnp.zeros((), integer))
    return jax.lax.fori_loop(0, bits, lower, swept)[1]
