"""Attention to selected keys: those with the best scores, or the best blocks of keys.

Exact selection scores every pair once: the time is T * S, the memory is linear, a chunk
of queries at a time. The selection is not differentiable: gradients are those of
attention to the selected keys.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.ops import dense, flash, precision
from attn_research.ops.highest import highest
from attn_research.ops.implementations import check_implementation
from attn_research.ops.linearity import linear_in
from attn_research.ops.logits import PLAIN, Logits, spread
from attn_research.ops.masks import CAUSAL, FULL, together
from attn_research.ops.plan import Chosen, among
from attn_research.ops.positions import restart


class Rule(Protocol):
    """How a query selects among the keys it may see; static."""

    def prepare(
        self,
        k_BSGK: jax.Array,
        ids_BS: jax.Array,
        place_BS: jax.Array,
        whole: bool = False,
    ) -> Any:
        """The properties of the keys that `keep` needs, as its `known`.

        `k_BSGK` are keys, `ids_BS` their segments (0: padding), `place_BS` their places
        in a segment; `whole`: every row is one sequence from its first slot on.
        """
        ...

    def keep(
        self,
        known: Any,
        q_BTHK: jax.Array,
        place_BT: jax.Array,
        admit_BTS: jax.Array,
        score_BHTS: jax.Array,
    ) -> jax.Array:
        """keep_BHTS: whether a query keeps a key.

        `known` is what `prepare` returned, `place_BT` the places of the queries
        `q_BTHK` in a segment; `score_BHTS` is -inf where `admit_BTS` is False.
        """
        ...


@dataclass(frozen=True)
class Best:
    """The `count` keys of the highest scores; more if scores are equal.

    Gupta et al., 2021, arXiv:2106.06899.
    """

    count: int

    def prepare(self, k_BSGK, ids_BS, place_BS, whole=False) -> None:
        """None: the scores suffice; see `Rule`."""

    def keep(self, known, q_BTHK, place_BT, admit_BTS, score_BHTS) -> jax.Array:
        """keep_BHTS: the highest of a query's scores; see `Rule`."""
        return highest(score_BHTS, self.count)


@dataclass(frozen=True)
class Blocks:
    """A query's own block of `size` tokens, and the `count` - 1 best of the others.

    A block's score is the product of the query with the mean of its keys. Blocks are
    counted from the start of each sequence; causal ones are past, hence complete. Lu et
    al., 2025, arXiv:2502.13189.
    """

    count: int
    size: int

    def prepare(
        self, k_BSGK, ids_BS, place_BS, whole=False
    ) -> tuple[jax.Array, jax.Array | None]:
        """mean_BNGK, the mean of each of N blocks, and None, if rows are `whole`.

        If not, mean_BSGK of the block of each of `k_BSGK`, and `place_BS`; see `Rule`.
        """
        keys, size = k_BSGK.shape[1], self.size
        wide = precision.wide(k_BSGK.dtype)
        if whole:
            more = -keys % size
            k_BSGK = jnp.pad(k_BSGK, ((0, 0), (0, more), (0, 0), (0, 0))).astype(wide)
            sum_BNGK = k_BSGK.reshape(k_BSGK.shape[0], -1, size, *k_BSGK.shape[2:]).sum(
                2
            )
            tokens_N = np.full(sum_BNGK.shape[1], size)
            tokens_N[-1] -= more
            tokens_1N11 = jnp.asarray(tokens_N, wide)[None, :, None, None]
            return sum_BNGK / tokens_1N11, None
        block_BS = jnp.cumsum((place_BS % size == 0).astype(jnp.int32), axis=1)
        total = jax.vmap(partial(jax.ops.segment_sum, num_segments=keys + 1))
        sum_BNGK = total(k_BSGK.astype(wide), block_BS)
        tokens_BN = total(jnp.ones(block_BS.shape, wide), block_BS)
        mean_BNGK = sum_BNGK / jnp.maximum(tokens_BN, 1)[:, :, None, None]
        mean_BSGK = jnp.take_along_axis(mean_BNGK, block_BS[:, :, None, None], axis=1)
        return mean_BSGK, place_BS

    def keep(self, known, q_BTHK, place_BT, admit_BTS, score_BHTS) -> jax.Array:
        """keep_BHTS: all keys of the blocks that a query selects; see `Rule`."""
        number_BHTM = self.numbers(known, q_BTHK, place_BT, admit_BTS)
        place_BS = known[1]
        if place_BS is None:
            place_BS = jnp.arange(admit_BTS.shape[2], dtype=jnp.int32)[None]
        own_BT1 = (place_BT // self.size)[:, :, None]
        kept = among(
            own_BT1[:, None], number_BHTM, (place_BS // self.size)[:, None, None]
        )
        return jnp.broadcast_to(kept, score_BHTS.shape)

    def numbers(self, known, q_BTHK, place_BT, admit_BTS) -> jax.Array:
        """number_BHTM of the best blocks besides a query's own; -1 after the last one.

        `known` is what `prepare` returned; blocks compete for `q_BTHK` at `place_BT`
        if `admit_BTS` holds for their first key. Ties go to the first.
        """
        mean, place_BS = known
        (B, T, H, K), (N, G) = q_BTHK.shape, mean.shape[1:3]
        own_BT1 = (place_BT // self.size)[:, :, None]
        if place_BS is None:
            # N blocks of keys, all of one size.
            number_BN = jnp.arange(N, dtype=jnp.int32)[None]
            others_BTN = admit_BTS[:, :, :: self.size]
        else:
            # Each packed key represents its block; only the first of a block competes.
            number_BN = place_BS // self.size
            others_BTN = admit_BTS & (place_BS % self.size == 0)[:, None]
        others_BTN &= own_BT1 != number_BN[:, None]
        gate_BGRTN = jnp.einsum(
            "BTGRK,BNGK->BGRTN",
            q_BTHK.reshape(B, T, G, H // G, K).astype(mean.dtype),
            mean,
        )
        gate_BHTN = jnp.where(
            others_BTN[:, None], gate_BGRTN.reshape(B, H, T, N), -jnp.inf
        )
        number_BHTN = jnp.broadcast_to(number_BN[:, None, None], gate_BHTN.shape)
        # A sort stays where the batch is; for top_k the compiler gathers it.
        less_BHTN, number_BHTN = jax.lax.sort((-gate_BHTN, number_BHTN), num_keys=1)
        best_BHTM = -less_BHTN[..., : self.count - 1]
        number_BHTM = number_BHTN[..., : self.count - 1]
        return jnp.where(best_BHTM > -jnp.inf, number_BHTM, -1)


@linear_in("v_BTGE")
def selected_attention(
    q_BTHK: jax.Array,
    k_BTGK: jax.Array,
    v_BTGE: jax.Array,
    *,
    rule: Rule,
    causal: bool,
    segments_BT: jax.Array | None = None,
    logits: Logits = PLAIN,
    chunk: int = 128,
    implementation: Literal["naive", "chunked"] | None = None,
) -> jax.Array:
    """out_BTHE of self-attention to the keys that the rule selects.

    "naive", the twin, takes all queries at once; "chunked", the default, selects for
    `chunk` at a time. Raises ValueError for another implementation, or if the shapes
    do not fit, or for forget gates.
    """
    dense.check_shapes(q_BTHK, k_BTGK, v_BTGE)
    if logits.log_forget_BTH is not None:
        raise ValueError("Selected attention is given forget gates; they must be None")
    check_implementation(implementation, "naive", "chunked")
    B, T = q_BTHK.shape[:2]
    ids_BT = jnp.ones((B, T), jnp.int32) if segments_BT is None else segments_BT
    place_BT = restart(ids_BT)
    known = rule.prepare(
        jax.lax.stop_gradient(k_BTGK), ids_BT, place_BT, segments_BT is None
    )
    C = T if implementation == "naive" else min(chunk, T)
    more = -T % C

    def chunks(x_BT: jax.Array) -> jax.Array:
        x_BT = jnp.pad(x_BT, ((0, 0), (0, more), *[(0, 0)] * (x_BT.ndim - 2)))
        return x_BT.reshape(B, -1, C, *x_BT.shape[2:]).swapaxes(0, 1)

    def admitted(ids_BC: jax.Array, place_BC: jax.Array) -> jax.Array:
        admit_BCS = together(ids_BC, ids_BT)
        if causal:
            admit_BCS &= place_BT[:, None] <= place_BC[:, :, None]
        return admit_BCS

    if isinstance(rule, Blocks) and implementation != "naive":
        # Whole blocks are selected: the tiles of attention without selection.
        number_IBHCM = jax.lax.map(
            lambda one: rule.numbers(known, one[0], one[2], admitted(*one[1:])),
            (
                chunks(jax.lax.stop_gradient(q_BTHK)),
                chunks(ids_BT),
                chunks(place_BT),
            ),
        )
        number_BICHM = number_IBHCM.transpose(1, 0, 3, 2, 4)
        number_BTHM = number_BICHM.reshape(B, T + more, *number_BICHM.shape[3:])
        number_BT = place_BT // rule.size
        return flash.flash_attention(
            q_BTHK,
            k_BTGK,
            v_BTGE,
            mask=CAUSAL if causal else FULL,
            segments_BT=segments_BT,
            source_BS=segments_BT,
            logits=logits,
            chosen=Chosen(number_BTHM[:, :T], number_BT, number_BT),
        )

    if (bias_HD := logits.bias_HD) is not None:
        bias_HD = jnp.pad(bias_HD, ((0, 0), (0, more)))

    def some(first, q_BCHK, ids_BC, place_BC) -> jax.Array:
        admit_BCS = admitted(ids_BC, place_BC)
        bias_1HCS = None
        if bias_HD is not None:
            near_HD = jax.lax.dynamic_slice_in_dim(bias_HD, first, C + T - 1, axis=1)
            bias_1HCS = spread(near_HD, C)[None]
        keep = partial(
            rule.keep, known, jax.lax.stop_gradient(q_BCHK), place_BC, admit_BCS
        )
        return dense.weigh(
            q_BCHK,
            k_BTGK,
            v_BTGE,
            admit_BCS,
            cap=logits.cap,
            bias_BHTS=bias_1HCS,
            sink_H=logits.sink_H,
            keep=keep,
        )

    if C == T:
        return some(0, q_BTHK, ids_BT, place_BT)

    firsts = jnp.arange(0, T, C, dtype=jnp.int32)
    parts = firsts, chunks(q_BTHK), chunks(ids_BT), chunks(place_BT)
    out_IBCHE = jax.lax.map(lambda one: jax.checkpoint(some)(*one), parts)
    out_BTHE = out_IBCHE.swapaxes(0, 1).reshape(B, T + more, *out_IBCHE.shape[3:])
    return out_BTHE[:, :T]
