"""Projections of the attention mixers to queries, keys and values, and back."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.modules.cache import Cache, places, remember
from attn_research.modules.contract import Projection
from attn_research.modules.head_sizes import head_sizes
from attn_research.ops import logits, positions, precision
from attn_research.ops.dense import weigh
from attn_research.ops.masks import Mask
from attn_research.ops.norm import rms_norm
from attn_research.ops.selection import Rule
from attn_research.options import BadInput, declared, option

Positions = Literal["none", "learned", "rope", "alibi", "t5"]


@declared
class HeadOptions:
    """Options of all attention mixers: heads, positions and the scaling of scores."""

    heads: int = option(4, "Query heads H.", low=1)
    groups: int = option(0, "Key/value heads G; 0: as many as heads; 1: shared.", low=0)
    head_size: int = option(0, "Size K of a head; 0: the width over the heads.", low=0)
    positions: Positions = option(
        "none", "Positions of queries and keys, or as a bias of their scores."
    )
    base: float = option(10_000.0, "Slowest wavelength of RoPE over 2 pi.", above=1)
    share: float = option(1.0, "Fraction of a head that RoPE rotates.", above=0, high=1)
    scaling: Literal["none", "linear", "ntk", "yarn"] = option(
        "none", "How RoPE is stretched beyond the length it was trained at."
    )
    factor: float = option(1.0, "How far RoPE is stretched.", low=1)
    original: int = option(
        0, "Tokens RoPE was trained at, for yarn; 0: the length built for.", low=0
    )
    truncate: bool = option(
        True,
        "Round the range of pairs that yarn blends to whole pairs, as in the released "
        "code; false: as in checkpoints written before this option.",
        later=True,
    )
    buckets: int = option(32, "Buckets of distances of T5.", low=4)
    distance: int = option(128, "Distance from which T5 has one bucket for all.", low=2)
    qk_norm: bool = option(False, "RMS normalisation of queries and keys, per head.")
    cap: float = option(0.0, "Soft cap of the scores; 0: none.", low=0)
    sinks: bool = option(False, "One learned logit per head, without a value.")
    bias: bool = option(False, "Biases on all four projections, as in BERT.")
    gate: Literal["none", "head", "channel"] = option(
        "none",
        "Multiply what heads read by sigmoid(x W): a number per head or per channel.",
        later=True,
    )
    forget: bool = option(
        False,
        "Let scores fade by a forget gate per token and head, sigmoid(x W + b), of "
        "every token from a key to its query; dense and window only.",
        later=True,
    )


class Heads(nnx.Module):
    """x_BTD -> q_BTHK, k_BTGK, v_BTGK with positions on queries and keys; and back.

    Learned positions are added to the input of queries and keys, not of the values, as
    in Carion et al., 2020, arXiv:2005.12872. Gates are those of Qiu et al., 2025,
    arXiv:2505.06708, and have no biases. Forget gates: Lin et al., 2025,
    arXiv:2503.02130.
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
        self.options, self.causal = options, causal
        # How many learned positions there are; other kinds are not sized by the length.
        self.length = length if o.positions == "learned" else None
        self.sizes = head_sizes("attention", o.heads, o.groups, o.head_size, width)
        H, G, K = self.sizes
        if o.positions == "rope" and K % 2:
            raise BadInput(f"RoPE rotates pairs; head_size is {K}, it must be even")
        self.rope = None
        if o.positions == "rope":
            original = o.original or (length if o.scaling == "yarn" else 0)
            self.rope = positions.Rope(
                o.base, o.share, o.scaling, o.factor, original, o.truncate
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
        gates = {"none": 0, "head": H, "channel": H * K}[o.gate]
        self.gate = Projection(width, gates, rngs=rngs) if gates else None
        self.forget = Projection(width, H, rngs=rngs, bias=True) if o.forget else None

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
            logits=self.logits(x_BTD),
        )
        y_BTD = self.merge(y_BTHK, x_BTD)
        if self.options.bias and segments_BT is not None:
            # A bias would give padding an output.
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
        H, G, K = self.sizes
        B, T = x_BTD.shape[:2]
        q_BTHK = self.query(placed_BTD).reshape(B, T, H, K)
        k_BTGK = self.key(placed_BTD).reshape(B, T, G, K)
        v_BTGK = self.value(x_BTD).reshape(B, T, G, K)
        if self.query_scale is not None and self.key_scale is not None:
            q_BTHK = rms_norm(q_BTHK, self.query_scale.get_value())
            k_BTGK = rms_norm(k_BTGK, self.key_scale.get_value())
        if self.rope is not None:
            q_BTHK = self.rope(q_BTHK, positions_BT)
            k_BTGK = self.rope(k_BTGK, positions_BT)
        return q_BTHK, k_BTGK, v_BTGK

    def logits(self, x_BTD: jax.Array) -> logits.Logits:
        """Cap, bias, sinks and forget gates of self-attention over these tokens."""
        time, dtype = x_BTD.shape[1], precision.wide(x_BTD.dtype)
        return logits.Logits(
            self.options.cap or None,
            self.bias(logits.distances(time, time), dtype),
            None if self.sink_H is None else self.sink_H.get_value().astype(dtype),
            self.log_forget(x_BTD),
        )

    def log_forget(self, x_BTD: jax.Array) -> jax.Array | None:
        """log_forget_BTH, in float32 at least: many are summed; None without gates."""
        if self.forget is None:
            return None
        return jax.nn.log_sigmoid(
            self.forget(x_BTD.astype(precision.wide(x_BTD.dtype)))
        )

    def bias(self, distance_D: jax.Array, dtype: Any) -> jax.Array | None:
        """bias_HD of distances between queries and keys, or None."""
        o = self.options
        if o.positions == "alibi":
            return logits.alibi(distance_D, o.heads, dtype)
        if self.bias_NH is None:
            return None
        row_D = logits.bucket(distance_D, o.buckets, o.distance, self.causal)
        return jnp.take(self.bias_NH.get_value().astype(dtype), row_D, axis=0).T

    def merge(self, y_BTHK: jax.Array, x_BTD: jax.Array) -> jax.Array:
        """y_BTD: the outputs of the heads, gated by x, back at the model's width."""
        B, T, H = y_BTHK.shape[:3]
        if self.gate is not None:
            y_BTHK = y_BTHK * jax.nn.sigmoid(self.gate(x_BTD)).reshape(B, T, H, -1)
        return self.out(y_BTHK.reshape(B, T, -1))

    def check(self, length: int) -> None:
        """Raises BadInput if there are fewer learned positions than `length`."""
        if self.length is not None and length > self.length:
            raise BadInput(
                f"The sequence has {length} tokens; with learned positions it must "
                f"have at most the {self.length} that the model was built for"
            )

    def step(
        self,
        x_BD: jax.Array,
        cache: Cache,
        mask: Mask,
        *,
        limit: int | None,
        rule: Rule | None = None,
    ) -> tuple[jax.Array, Cache]:
        """y_BD of one token over what the mask admits of the cache, and the cache.

        A rule selects among the admitted keys of a cache that holds all tokens. After
        `limit` tokens (None: any number), or beyond the learned positions, the output
        is NaN: a token or a position would be missing, and a compiled step cannot
        raise.
        """
        here = cache.time
        here_B1 = jnp.broadcast_to(here, (x_BD.shape[0], 1))
        x_B1D = x_BD[:, None]
        q_B1HK, k_B1GK, v_B1GK = self.split(x_B1D, here_B1)
        logits = self.logits(x_B1D)
        cache = remember(cache, k_B1GK, v_B1GK, logits.log_forget_BTH)
        # Each slot has a position of its own, so that a ring need not be unrolled.
        place_S = places(cache)
        admit_S = (place_S >= 0) & mask.admit(here, place_S)
        wide = precision.wide(x_BD.dtype)
        bias_BHS = self.bias(here - place_S, wide)
        bias_BHS = None if bias_BHS is None else bias_BHS[None]
        if cache.fade_BSH is not None:
            fade_BHS = cache.fade_BSH.swapaxes(1, 2)
            bias_BHS = fade_BHS if bias_BHS is None else bias_BHS + fade_BHS
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
            cap=self.options.cap or None,
            bias_BHTS=None if bias_BHS is None else bias_BHS[:, :, None],
            sink_H=logits.sink_H,
            keep=keep,
        )
        y_BD = self.merge(y_B1HK, x_B1D)[:, 0]
        bounds = [bound for bound in (limit, self.length) if bound is not None]
        if bounds:
            y_BD = jnp.where(cache.time <= min(bounds), y_BD, jnp.nan)
        return y_BD, cache

    def products(self, length: int, pairs: int) -> int:
        """Multiply-adds of the projections of all tokens and of `pairs` of tokens."""
        H, G, K = self.sizes
        width = self.query.kernel.get_value().shape[0]
        gates = (p for p in (self.gate, self.forget) if p is not None)
        gated = sum(p.kernel.get_value().shape[1] for p in gates)
        projected = 2 * K * (H + G) + gated
        return length * width * projected + 2 * pairs * H * K
