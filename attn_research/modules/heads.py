"""Queries, keys and values of the attention mixers, and the way back to the width."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.modules.contract import Projection
from attn_research.ops import positions
from attn_research.ops.dense import attend
from attn_research.options import BadInput

Positions = Literal["none", "learned", "rope"]


class Sizes(NamedTuple):
    """Query heads H, key/value heads G, head size K, with the defaults resolved."""

    heads: int
    groups: int
    head_size: int


def sizes(heads: int, groups: int, head_size: int, width: int, kind: Positions):
    """`Sizes` from options, where 0 groups are `heads` and head size 0 is D / H.

    Raises BadInput where they do not divide, or where RoPE has no pairs to rotate.
    """
    if not head_size and width % heads:
        raise BadInput(
            f"The width is {width} with {heads} heads; a multiple of the heads is "
            "allowed, or a head_size of your own"
        )
    groups, head_size = groups or heads, head_size or width // heads
    if heads % groups:
        raise BadInput(
            f"There are {groups} groups; a divisor of {heads} heads is allowed"
        )
    if kind == "rope" and head_size % 2:
        raise BadInput(f"RoPE rotates pairs; head_size is {head_size}, even is allowed")
    return Sizes(heads, groups, head_size)


class Heads(nnx.Module):
    """x_BTD -> q_BTHK, k_BTGK, v_BTGK with positions on queries and keys; and back.

    No projection has a bias: that of the keys has no gradient, and the others would
    give padding an output. Learned positions are added to what queries and keys are
    made of, not to the values, as in Carion et al., 2020, arXiv:2005.12872.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        width: int,
        length: int,
        kind: Positions,
        base: float,
        rngs: nnx.Rngs,
    ):
        self.sizes, self.length, self.kind, self.base = sizes, length, kind, base
        heads, groups, head_size = sizes
        self.query = Projection(width, heads * head_size, rngs=rngs)
        self.key = Projection(width, groups * head_size, rngs=rngs)
        self.value = Projection(width, groups * head_size, rngs=rngs)
        self.out = Projection(heads * head_size, width, rngs=rngs)
        self.table_ND = (
            nnx.Param(0.02 * jax.random.normal(rngs.params(), (length, width)))
            if kind == "learned"
            else None
        )

    def split(
        self, x_BTD: jax.Array, positions_BT: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """q_BTHK, k_BTGK, v_BTGK of tokens at the given positions."""
        placed_BTD = x_BTD
        if self.table_ND is not None:
            table_ND = self.table_ND.get_value().astype(x_BTD.dtype)
            placed_BTD = x_BTD + positions.lookup(table_ND, positions_BT)
        heads, groups, head_size = self.sizes
        batch, time = x_BTD.shape[:2]
        q_BTHK = self.query(placed_BTD).reshape(batch, time, heads, head_size)
        k_BTGK = self.key(placed_BTD).reshape(batch, time, groups, head_size)
        v_BTGK = self.value(x_BTD).reshape(batch, time, groups, head_size)
        if self.kind == "rope":
            q_BTHK = positions.rope(q_BTHK, positions_BT, self.base)
            k_BTGK = positions.rope(k_BTGK, positions_BT, self.base)
        return q_BTHK, k_BTGK, v_BTGK

    def merge(self, y_BTHK: jax.Array) -> jax.Array:
        """y_BTD: what the heads found, back at the width of the model."""
        batch, time = y_BTHK.shape[:2]
        return self.out(y_BTHK.reshape(batch, time, -1))

    def check(self, length: int) -> None:
        """Raises BadInput where a table is too short for `length` tokens."""
        if self.table_ND is not None and length > self.length:
            raise BadInput(
                f"The sequence has {length} tokens; learned positions were built for "
                f"at most {self.length}"
            )

    def flops(self, length: int, pairs: int) -> int:
        """FLOPs of the projections of `length` tokens and of `pairs` of them."""
        heads, groups, head_size = self.sizes
        width = self.query.kernel.get_value().shape[0]
        project = 2 * length * width * head_size * (2 * heads + 2 * groups)
        return project + 2 * pairs * heads * 2 * head_size


class Cache(NamedTuple):
    """Keys and values seen, and the number of tokens seen: the decoding carry."""

    k_BSGK: jax.Array
    v_BSGK: jax.Array
    time: jax.Array


def empty(sizes: Sizes, batch: int, slots: int, dtype) -> Cache:
    """A cache of `slots` tokens before the first."""
    zeros_BSGK = jnp.zeros((batch, slots, sizes.groups, sizes.head_size), dtype)
    return Cache(zeros_BSGK, zeros_BSGK, jnp.zeros((), jnp.int32))


def remember(cache: Cache, k_B1GK: jax.Array, v_B1GK: jax.Array) -> Cache:
    """The cache with one token more, in place of the oldest once it is full."""
    slot = cache.time % cache.k_BSGK.shape[1]
    update = jax.lax.dynamic_update_slice_in_dim
    return Cache(
        update(cache.k_BSGK, k_B1GK.astype(cache.k_BSGK.dtype), slot, axis=1),
        update(cache.v_BSGK, v_B1GK.astype(cache.v_BSGK.dtype), slot, axis=1),
        cache.time + 1,
    )


def step(
    heads: Heads, x_BD: jax.Array, cache: Cache, limit: int | None
) -> tuple[jax.Array, Cache]:
    """y_BD of one token over the cache and itself, and the cache with it.

    After `limit` tokens (None: any number), or beyond a table of learned positions, the
    output is NaN: it would lack a token or tell a wrong position, and a compiled step
    cannot raise.
    """
    positions_B1 = jnp.broadcast_to(cache.time, (x_BD.shape[0], 1))
    q_B1HK, k_B1GK, v_B1GK = heads.split(x_BD[:, None], positions_B1)
    cache = remember(cache, k_B1GK, v_B1GK)
    # Which slots are seen does not depend on their order: a ring needs no unrolling.
    y_B1HK = attend(q_B1HK, *cache[:2], source_BS=held(cache), implementation="naive")
    y_BD = heads.merge(y_B1HK)[:, 0]
    table = heads.length if heads.kind == "learned" else None
    bounds = [bound for bound in (limit, table) if bound is not None]
    if bounds:
        y_BD = jnp.where(cache.time <= min(bounds), y_BD, jnp.nan)
    return y_BD, cache


def held(cache: Cache) -> jax.Array:
    """segments_BS of a cache: 1 where a slot holds a token, 0 where none does yet."""
    batch, slots = cache.k_BSGK.shape[:2]
    held_1S = (jnp.arange(slots) < cache.time).astype(jnp.int32)[None]
    return jnp.broadcast_to(held_1S, (batch, slots))
