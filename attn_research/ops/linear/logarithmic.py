"""Normalised linear attention of features given as logarithms, at any magnitude.

    out_t = sum_s w_ts v_s / sum_s w_ts,  w_ts = sum_m exp(q_tm + k_sm + d_tsm)

where d_tsm is the log decay of feature m over s < r <= t. Nothing computed is as large
or as small as a weight may be. `naive` and `recurrent` hold the sum over the past for
each feature in units of its largest term (a running maximum), and a query reads it in
units of its largest product with those: wherever a source is seen its weights sum to
at least 1. `chunked` has one unit for all features of a head, the running maximum of
the keys' largest: there a weight is lost, as if it were zero, if q and k have their
largest features so far apart that the sum over m is below exp(-76) of the product of
the two largest. Nothing is divided by a floor; no result depends on a unit, and no
gradient passes through one.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from attn_research.ops import chunks
from attn_research.ops.linear.chunked import chunked as plain
from attn_research.ops.precision import ratio
from attn_research.ops.recurrence import begins

# The log decay of what a new segment does not see: a whole number, so that sums of it
# and of units are exact.
FORGOTTEN = -(2.0**13)


# The logarithm of the largest feature of a query and of a key, in their units: room for
# products that are smaller than those of the largest. With twice as much, gradients
# would run out of numbers at the other end.
ROOM = 20.0
# A sum of weights that is smaller is lost: the gradient of its inverse, with features
# and values as factors, would not be a number.
LOST = 1e-16


class Sums(NamedTuple):
    """Sums of values, the last of them of ones, over exp(unit); -inf if of nothing."""

    total_X: jax.Array
    unit: jax.Array


def naive(q_BTHM, k_BSHM, v_BSHX, before, after, segments_BT, *, fading) -> Sums:
    """The definition, all T x S x M log weights at once; the twin of the other forms.

    `fading(log_decay, q_BTHM)` sums log decays between tokens, (B, T, S, H, M or 1).
    """
    seen_TS = chunks.triangle(q_BTHM.shape[1])
    fading_BTSHM = fading(before, q_BTHM)
    admit_BTS = seen_TS[None]
    if after is not None:
        turned = jnp.flip(after, axis=1) if after.ndim > 1 else after
        ahead_BTSHM = jnp.flip(fading(turned, q_BTHM), axis=(1, 2))
        fading_BTSHM = jnp.where(
            seen_TS[None, :, :, None, None], fading_BTSHM, ahead_BTSHM
        )
        admit_BTS = jnp.ones_like(admit_BTS)
    if segments_BT is not None:
        same_BTS = segments_BT[:, :, None] == segments_BT[:, None, :]
        admit_BTS = admit_BTS & same_BTS & (segments_BT != 0)[:, None]
    log_weight_BTSHM = q_BTHM[:, :, None] + k_BSHM[:, None] + fading_BTSHM
    log_weight_BTSHM = jnp.where(admit_BTS[..., None, None], log_weight_BTSHM, -jnp.inf)
    unit_BTH = _largest(log_weight_BTSHM, (2, 4))
    weight_BTSH = _power(log_weight_BTSHM, unit_BTH[:, :, None, :, None]).sum(axis=4)
    heads = v_BSHX.shape[2]
    weight_BTSH = jnp.broadcast_to(weight_BTSH, (*weight_BTSH.shape[:3], heads))
    return Sums(jnp.einsum("BTSH,BSHX->BTHX", weight_BTSH, v_BSHX), unit_BTH)


def recurrent(q_BTHM, k_BTHM, v_BTHX, log_decay, segments_BT, *, strict):
    """(`Sums` of each token, final state) by a scan over tokens."""
    B, T, H, _ = v_BTHX.shape
    M = q_BTHM.shape[-1]
    decay = _spread(log_decay, T)
    decay_BTHM = jnp.broadcast_to(decay, (B, *decay.shape[1:]))
    if segments_BT is not None:
        fresh_BT = begins(segments_BT)
        decay_BTHM = jnp.where(fresh_BT[..., None, None], -jnp.inf, decay_BTHM)
        k_BTHM = jnp.where((segments_BT != 0)[..., None, None], k_BTHM, -jnp.inf)
    state = start(B, H, M, v_BTHX.shape[-1], v_BTHX.dtype)
    inputs = (q_BTHM, k_BTHM, v_BTHX, decay_BTHM)
    state, sums = jax.lax.scan(
        functools.partial(token, strict=strict),
        state,
        jax.tree.map(lambda x: jnp.moveaxis(x, 1, 0), inputs),
    )
    return jax.tree.map(lambda x: jnp.moveaxis(x, 0, 1), sums), state


def start(batch: int, heads: int, features: int, size: int, dtype) -> Sums:
    """The state before the first token: nothing yet, for each feature."""
    shape = batch, heads, features
    return Sums(jnp.zeros((*shape, size), dtype), jnp.full(shape, -jnp.inf, dtype))


def token(state: Sums, inputs, *, strict: bool) -> tuple[Sums, Sums]:
    """(state, sums) after one more token."""
    q_BHM, k_BHM, v_BHX, decay_BHM = inputs
    faded = Sums(state.total_X, state.unit + decay_BHM)
    own = Sums(jnp.broadcast_to(v_BHX[:, :, None], faded.total_X.shape), k_BHM)
    state = merged(faded, own)
    sums = _read(q_BHM[:, :, None], faded if strict else state)
    return state, jax.tree.map(lambda x_BH1: x_BH1[:, :, 0], sums)


def chunked(q_BTHM, k_BTHM, v_BTHX, log_decay, segments_BT, *, chunk, strict):
    """(`Sums` of each token, final state) by a scan over chunks.

    Plain features in units: as the unit changes, the state decays by as much.
    """
    if segments_BT is not None:
        k_BTHM = jnp.where((segments_BT != 0)[..., None, None], k_BTHM, -jnp.inf)
    largest_BTH = _largest(k_BTHM, 3)
    decay_BTH = _spread(jax.lax.stop_gradient(log_decay), q_BTHM.shape[1]).max(axis=3)
    unit_BTH, change_BTH = _running(largest_BTH, decay_BTH, segments_BT)
    heads = v_BTHX.shape[2]
    unit_BTH, change_BTH = (
        jnp.broadcast_to(x, (*x.shape[:2], heads)) for x in (unit_BTH, change_BTH)
    )
    if log_decay.ndim > 1:
        one = change_BTH[..., None] if log_decay.ndim == 4 else change_BTH
        log_decay, change_BTH = log_decay + one, None
    top_BTH = _largest(q_BTHM, 3)
    (sums_BTHX,), (state_BHMX,) = plain(
        _power(q_BTHM, top_BTH[..., None] - ROOM),
        jnp.exp(k_BTHM - (unit_BTH[..., None] - ROOM)),
        (v_BTHX,),
        log_decay,
        segments_BT,
        chunk=chunk,
        strict=strict,
        change_BTH=change_BTH,
    )
    sums_BTHX = jnp.where(sums_BTHX[..., -1:] < LOST, 0, sums_BTHX)
    last_BHM = jnp.broadcast_to(unit_BTH[:, -1, :, None], state_BHMX.shape[:3])
    top_BTH = jnp.where(jnp.isneginf(top_BTH), 0, top_BTH)
    units_BTH = unit_BTH + top_BTH - 2 * ROOM
    return Sums(sums_BTHX, units_BTH), Sums(state_BHMX, last_BHM - ROOM)


def _running(log_BTH, decay_BTH, segments_BT):
    """A running maximum that decays, in whole numbers, and how much it falls by.

    Whole numbers have exact differences, whose sum over many tokens is exact too. The
    fall at the first key of a segment is `FORGOTTEN`.
    """
    log_BTH = jax.lax.stop_gradient(log_BTH)
    fresh_BT = jnp.arange(log_BTH.shape[1])[None] == 0
    if segments_BT is not None:
        fresh_BT = begins(segments_BT)
    kept_BTH = jnp.where(fresh_BT[..., None], -jnp.inf, decay_BTH)
    kept_BTH = jnp.broadcast_to(
        kept_BTH, jnp.broadcast_shapes(kept_BTH.shape, log_BTH.shape)
    )

    def later(one, two):
        return one[0] + two[0], jnp.maximum(one[1] + two[0], two[1])

    _, most_BTH = jax.lax.associative_scan(later, (kept_BTH, log_BTH), axis=1)
    empty_BTH = jnp.isneginf(most_BTH)
    unit_BTH = jnp.where(empty_BTH, 0, jnp.ceil(most_BTH))
    before = ((0, 0), (1, 0), (0, 0))
    fall_BTH = jnp.pad(unit_BTH[:, :-1], before) - unit_BTH
    lost_BTH = jnp.pad(empty_BTH[:, :-1], before, constant_values=True)
    lost_BTH = lost_BTH | fresh_BT[..., None]
    return unit_BTH, jnp.where(lost_BTH, FORGOTTEN, fall_BTH)


def merged(one: Sums, two: Sums) -> Sums:
    """The sums of both."""
    unit = jax.lax.stop_gradient(jnp.maximum(one.unit, two.unit))
    one_X, two_X = (x.total_X * _power(x.unit, unit)[..., None] for x in (one, two))
    return Sums(one_X + two_X, unit)


def divided(sums: Sums) -> jax.Array:
    """The mean of the values but the last, whose sum is that of the weights."""
    return ratio(sums.total_X[..., :-1], sums.total_X[..., -1:])


def _read(q_BHCM: jax.Array, state: Sums) -> Sums:
    """The sums that queries make of a state."""
    reads_BHCM = q_BHCM + state.unit[:, :, None]
    unit_BHC = _largest(reads_BHCM, 3)
    return Sums(_power(reads_BHCM, unit_BHC[..., None]) @ state.total_X, unit_BHC)


def _spread(log_decay: jax.Array, time: int) -> jax.Array:
    """The decay of each token as (B or 1, T, H, M or 1)."""
    if log_decay.ndim == 1:
        log_decay = jnp.broadcast_to(log_decay[None, None], (1, time, log_decay.size))
    return log_decay[..., None] if log_decay.ndim == 3 else log_decay


def _largest(log, axis, keepdims: bool = False) -> jax.Array:
    """The unit of a sum of exponentials."""
    return jax.lax.stop_gradient(log.max(axis=axis, keepdims=keepdims))


def _power(log: jax.Array, unit: jax.Array) -> jax.Array:
    """exp(log - unit), and zero if both are -inf."""
    return jnp.exp(log - jnp.where(jnp.isneginf(unit), 0, unit))
