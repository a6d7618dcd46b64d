"""The average of RWKV-4: weights that decay by channel, and a bonus for the token.

    out_t = (sum_{s<t} e^{k_s - (t-1-s) w} v_s + e^{u + k_t} v_t)
          / (sum_{s<t} e^{k_s - (t-1-s) w}     + e^{u + k_t})

Keys are logarithms of weights, of any magnitude: sums are kept in units of their
largest term so far. Peng et al., 2023, arXiv:2305.13048.
"""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from attn_research.ops import chunks
from attn_research.ops.implementations import check_implementation
from attn_research.ops.linearity import linear_in
from attn_research.ops.precision import wide
from attn_research.ops.recurrence import begins, diagonal_recurrence


class Averages(NamedTuple):
    """Sums of weighted values, and of weights, both over exp(unit); and the unit."""

    value: jax.Array
    weight: jax.Array
    unit: jax.Array


@linear_in("v_BTN")
def wkv(
    k_BTN: jax.Array,
    v_BTN: jax.Array,
    rate_N: jax.Array,
    bonus_N: jax.Array,
    *,
    segments_BT: jax.Array | None = None,
    implementation: Literal["naive", "sequential", "associative"] | None = None,
) -> jax.Array:
    """out_BTN, in the dtype of v, computed in float32 at least.

    `rate_N` (at least 0) is w. The sums restart in every segment; the output at padding
    is exactly zero, and so are its gradients. "naive" is the definition, with all
    T x T x N weights; the others are those of `diagonal_recurrence`, which None leaves
    the choice to. Raises ValueError for another name.
    """
    check_implementation(implementation, "naive", "sequential", "associative")
    dtype, work = v_BTN.dtype, wide(v_BTN.dtype)
    k_BTN, v_BTN = (chunks.real(x.astype(work), segments_BT) for x in (k_BTN, v_BTN))
    rate_N, bonus_N = rate_N.astype(work), bonus_N.astype(work)
    if implementation == "naive":
        out_BTN = _naive(k_BTN, v_BTN, rate_N, bonus_N, segments_BT)
    else:
        sums = _sums(k_BTN, v_BTN, rate_N, segments_BT, implementation)
        fresh_BT1 = _fresh(k_BTN, segments_BT)[..., None]
        before = Averages(*(jnp.pad(x[:, :-1], ((0, 0), (1, 0), (0, 0))) for x in sums))
        before = before._replace(unit=jnp.where(fresh_BT1, -jnp.inf, before.unit))
        out_BTN = _read(before, k_BTN + bonus_N[None, None], v_BTN)
    return chunks.real(out_BTN, segments_BT).astype(dtype)


def wkv_start(batch: int, width: int, dtype: Any) -> Averages:
    """The sums before the first token, in float32 at least: nothing yet."""
    zeros_BN = jnp.zeros((batch, width), wide(dtype))
    return Averages(zeros_BN, zeros_BN, jnp.full_like(zeros_BN, -jnp.inf))


def wkv_step(
    k_BN: jax.Array,
    v_BN: jax.Array,
    rate_N: jax.Array,
    bonus_N: jax.Array,
    state: Averages,
) -> tuple[jax.Array, Averages]:
    """(out_BN, next state): one token, from `wkv_start` on."""
    dtype, work = v_BN.dtype, state.value.dtype
    k_BN, v_BN = k_BN.astype(work), v_BN.astype(work)
    out_BN = _read(state, k_BN + bonus_N.astype(work)[None], v_BN)
    faded_BN = state.unit - rate_N.astype(work)[None]
    unit_BN = jnp.maximum(faded_BN, k_BN)
    kept_BN, own_BN = jnp.exp(faded_BN - unit_BN), jnp.exp(k_BN - unit_BN)
    state = Averages(
        kept_BN * state.value + own_BN * v_BN, kept_BN * state.weight + own_BN, unit_BN
    )
    return out_BN.astype(dtype), state


def _fresh(k_BTN: jax.Array, segments_BT: jax.Array | None) -> jax.Array:
    """Which tokens have none before them."""
    if segments_BT is not None:
        return begins(segments_BT)
    first_T = jnp.arange(k_BTN.shape[1], dtype=jnp.int32) == 0
    return jnp.broadcast_to(first_T[None], k_BTN.shape[:2])


def _read(sums: Averages, own: jax.Array, v: jax.Array) -> jax.Array:
    """The average of what the sums hold and of a token of the logarithmic weight."""
    top = jax.lax.stop_gradient(jnp.maximum(sums.unit, own))
    past, own = jnp.exp(sums.unit - top), jnp.exp(own - top)
    return (past * sums.value + own * v) / (past * sums.weight + own)


def _sums(k_BTN, v_BTN, rate_N, segments_BT, implementation) -> Averages:
    """The sums with each token: a recurrence in units that change."""
    fresh_BT1 = _fresh(k_BTN, segments_BT)[..., None]
    faded_BTN = jnp.where(fresh_BT1, -jnp.inf, -rate_N[None, None])

    def later(one, two):
        return one[0] + two[0], jnp.maximum(one[1] + two[0], two[1])

    fixed = jax.lax.stop_gradient((faded_BTN, k_BTN))
    _, unit_BTN = jax.lax.associative_scan(later, fixed, axis=1)
    before_BTN = jnp.pad(unit_BTN[:, :-1], ((0, 0), (1, 0), (0, 0)))
    kept_BTN = jnp.exp(before_BTN - unit_BTN + faded_BTN)
    own_BTN = jnp.exp(k_BTN - unit_BTN)
    both_BTX = diagonal_recurrence(
        jnp.concatenate([kept_BTN, kept_BTN], axis=-1),
        jnp.concatenate([own_BTN * v_BTN, own_BTN], axis=-1),
        segments_BT=segments_BT,
        implementation=implementation,
    )
    value_BTN, weight_BTN = jnp.split(both_BTX, 2, axis=-1)
    return Averages(value_BTN, weight_BTN, unit_BTN)


def _naive(k_BTN, v_BTN, rate_N, bonus_N, segments_BT):
    """The definition: a softmax over the past for every channel; the twin."""
    T = k_BTN.shape[1]
    place_T = jnp.arange(T, dtype=k_BTN.dtype)
    back_TS1 = (place_T[:, None] - place_T[None])[..., None]
    fading_TSN = jnp.where(
        back_TS1 == 0, bonus_N[None, None], (1 - back_TS1) * rate_N[None, None]
    )
    seen_BTS = (back_TS1 >= 0)[None, ..., 0]
    if segments_BT is not None:
        seen_BTS = seen_BTS & (segments_BT[:, :, None] == segments_BT[:, None])
    log_BTSN = jnp.where(
        seen_BTS[..., None], fading_TSN[None] + k_BTN[:, None], -jnp.inf
    )
    return jnp.einsum("BTSN,BSN->BTN", jax.nn.softmax(log_BTSN, axis=2), v_BTN)
