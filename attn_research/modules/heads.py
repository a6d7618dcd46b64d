"""Queries, keys and values of the attention mixers, and the way back to the width."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.modules.cache import Cache, empty, places, remember
from attn_research.modules.contract import Cost, Projection, carry_bytes, parameters
from attn_research.modules.directions import refuse_decoding
from attn_research.ops import logits, positions, precision
from attn_research.ops.dense import weigh
from attn_research.ops.masks import Mask
from attn_research.ops.norm import rms_norm
from attn_research.ops.selection import Rule
from attn_research.options import BadInput, option

__all__ = ["Cache", "HeadOptions", "Heads", "Sizes", "cost", "empty", "sizes", "start"]

Positions = Literal["none", "learned", "rope", "alibi", "t5"]


@dataclass(frozen=True)
class HeadOptions:
    """What all attention mixers share: heads, positions, and what tempers scores."""

    heads: int = option(4, "Query heads H.", low=1)
    groups: int = option(0, "Key/value heads G; 0: as many as heads; 1: shared.", low=0)
    head_size: int = option(0, "Size K of a head; 0: the width over the heads.", low=0)
    positions: Positions = option(
        "none", "Positions given to queries and keys, or as a bias of their scores."
    )
    base: float = option(10_000.0, "Slowest wavelength of RoPE over 2 pi.", above=1)
    share: float = option(1.0, "Share of a head that RoPE rotates.", above=0, high=1)
    scaling: Literal["none", "linear", "ntk", "yarn"] = option(
        "none", "How RoPE is stretched beyond the length it was trained at."
    )
    factor: float = option(1.0, "How far RoPE is stretched.", low=1)
    original: int = option(
        0, "Tokens RoPE was trained at, for yarn; 0: the length built for.", low=0
    )
    buckets: int = option(32, "Buckets of distances of T5.", low=4)
    distance: int = option(128, "Distance from which T5 tells none apart.", low=2)
    qk_norm: bool = option(False, "RMS normalisation of queries and keys, per head.")
    cap: float = option(0.0, "Soft cap of the scores; 0: none.", low=0)
    sinks: bool = option(False, "One learned logit per head that has no value.")
    bias: bool = option(False, "Biases on all four projections, as in BERT.")


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

    Learned positions are added to what queries and keys are made of, not to the values,
    as in Carion et al., 2020, arXiv:2005.12872.
    """

    def __init__(
        self,
        options: HeadOptions,
        *,
        width: int,
        causal: bool,
        length: int,
        rngs: nnx.Rngs,
    ):
        o = options
        self.options, self.causal, self.length = options, causal, length
        self.sizes = sizes(o.heads, o.groups, o.head_size, width, o.positions)
        H, G, K = self.sizes
        self.rope = None
        if o.positions == "rope":
            self.rope = positions.Rope(
                o.base, o.share, o.scaling, o.factor, o.original or length
            )
        self.query = Projection(width, H * K, rngs=rngs, bias=o.bias)
        self.key = Projection(width, G * K, rngs=rngs, bias=o.bias)
        self.value = Projection(width, G * K, rngs=rngs, bias=o.bias)
        self.out = Projection(H * K, width, rngs=rngs, bias=o.bias)
        normal = jax.random.normal
        learned, t5 = o.positions == "learned", o.positions == "t5"
        table_ND = normal(rngs.params(), (length, width)) if learned else None
        self.table_ND = (
            nnx.Param(0.02 * table_ND, rows="positions")
            if table_ND is not None
            else None
        )
        table_NH = normal(rngs.params(), (o.buckets, H)) if t5 else None
        self.bias_NH = None if table_NH is None else nnx.Param(0.02 * table_NH)
        ones_K = jnp.ones(K, jnp.float32)
        self.query_scale = nnx.Param(ones_K) if o.qk_norm else None
        self.key_scale = nnx.Param(ones_K) if o.qk_norm else None
        self.sink_H = nnx.Param(jnp.zeros(H, jnp.float32)) if o.sinks else None

    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None, attend: Callable
    ) -> jax.Array:
        """y_BTD of attend(q, k, v, segments_BT=..., logits=...).

        Raises BadInput for more tokens than learned positions.
        """
        batch, time = x_BTD.shape[:2]
        self.check(time)
        here_BT = positions.positions(batch, time, segments_BT)
        y_BTHK = attend(
            *self.split(x_BTD, here_BT),
            segments_BT=segments_BT,
            logits=self.logits(time, precision.wide(x_BTD.dtype)),
        )
        y_BTD = self.merge(y_BTHK)
        if self.options.bias and segments_BT is not None:
            # A bias gives padding an output.
            y_BTD = jnp.where((segments_BT != 0)[..., None], y_BTD, 0)
        return y_BTD

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
        if self.query_scale is not None and self.key_scale is not None:
            q_BTHK = rms_norm(q_BTHK, self.query_scale.get_value())
            k_BTGK = rms_norm(k_BTGK, self.key_scale.get_value())
        if self.rope is not None:
            q_BTHK = self.rope(q_BTHK, positions_BT)
            k_BTGK = self.rope(k_BTGK, positions_BT)
        return q_BTHK, k_BTGK, v_BTGK

    def logits(self, time: int, dtype: Any) -> logits.Logits:
        """Cap, bias and sinks of self-attention over `time` tokens."""
        apart_D = logits.distances(time, time)
        return logits.Logits(
            self.options.cap or None,
            self.bias(apart_D, dtype),
            None if self.sink_H is None else self.sink_H.get_value().astype(dtype),
        )

    def bias(self, distance_D: jax.Array, dtype: Any) -> jax.Array | None:
        """bias_HD of distances between queries and keys; None without one."""
        o = self.options
        if o.positions == "alibi":
            return logits.alibi(distance_D, o.heads, dtype)
        if self.bias_NH is None:
            return None
        row_D = logits.bucket(distance_D, o.buckets, o.distance, self.causal)
        return jnp.take(self.bias_NH.get_value().astype(dtype), row_D, axis=0).T

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

    def step(
        self,
        x_BD: jax.Array,
        cache: Cache,
        mask: Mask,
        limit: int | None,
        rule: Rule | None = None,
    ) -> tuple[jax.Array, Cache]:
        """y_BD of one token over what the mask admits of the cache, and the cache.

        A rule selects among the keys admitted; its cache is no ring.
        After `limit` tokens (None: any number), or beyond a table of learned positions,
        the output is NaN: it would lack a token or tell a wrong position, and a
        compiled step cannot raise.
        """
        here = cache.time
        here_B1 = jnp.broadcast_to(here, (x_BD.shape[0], 1))
        q_B1HK, k_B1GK, v_B1GK = self.split(x_BD[:, None], here_B1)
        cache = remember(cache, k_B1GK, v_B1GK)
        # Slots are told apart by their place: a ring needs no unrolling.
        place_S = places(cache)
        admit_S = (place_S >= 0) & mask.admit(here, place_S)
        wide = precision.wide(x_BD.dtype)
        bias_HS, sink_H = self.bias(here - place_S, wide), self.logits(1, wide).sink_H
        admit_B1S = jnp.broadcast_to(admit_S, (x_BD.shape[0], 1, admit_S.size))
        keep = None
        if rule is not None:
            place_BS = jnp.broadcast_to(place_S, admit_B1S[:, 0].shape)
            ids_BS = (place_BS >= 0).astype(jnp.int32)
            known = rule.prepare(cache.k_BSGK, ids_BS, place_BS)
            keep = partial(rule.keep, known, q_B1HK, here_B1, admit_B1S)
        y_B1HK = weigh(
            q_B1HK,
            cache.k_BSGK,
            cache.v_BSGK,
            admit_B1S,
            self.options.cap or None,
            None if bias_HS is None else bias_HS[:, None],
            sink_H,
            keep,
        )
        y_BD = self.merge(y_B1HK)[:, 0]
        table = None if self.table_ND is None else self.length
        bounds = [bound for bound in (limit, table) if bound is not None]
        if bounds:
            y_BD = jnp.where(cache.time <= min(bounds), y_BD, jnp.nan)
        return y_BD, cache

    def flops(self, length: int, pairs: int) -> int:
        """FLOPs of the projections of `length` tokens and of `pairs` of them."""
        heads, groups, head_size = self.sizes
        width = self.query.kernel.get_value().shape[0]
        project = 2 * length * width * head_size * (2 * heads + 2 * groups)
        return project + 2 * pairs * heads * 2 * head_size


def start(heads: Heads, name: str, batch: int, length: int, slots: int, dtype) -> Cache:
    """An empty cache of `slots` of `length` tokens; raises BadInput if not causal."""
    refuse_decoding(name, heads.causal)
    heads.check(length)
    return empty(heads.sizes, batch, slots, dtype)


def cost(mixer: Any, length: int, pairs: int) -> Cost:
    """The cost of a mixer made of `heads` that multiplies `pairs` of tokens."""
    carry = jax.eval_shape(lambda: mixer.start(1, length)) if mixer.causal else ()
    flops = mixer.heads.flops(length, pairs)
    return Cost(parameters(mixer), flops, carry_bytes(carry))
