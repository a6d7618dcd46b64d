"""Linear attention: a sum over the past that fits into a state of fixed size.

    out_t = sum_{s <= t} (q_t * decay_{s+1} * ... * decay_t) . k_s v_s

q and k are already features (see features.py); a decay is a number or, per feature, a
vector. The normaliser is the same sum with the value 1, so every form takes a tuple of
values: v alone, or v and ones. Three forms of one function: `naive` builds the T x S
weights and is the twin the others are held to, `recurrent` carries the state one token
at a time, `chunked` is naive within a chunk and recurrent between chunks.

Katharopoulos et al., 2020, arXiv:2006.16236; decay and chunks: Sun et al., 2023,
arXiv:2307.08621.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from attn_research.ops import chunks
from attn_research.ops.linear.chunked import Values, chunked
from attn_research.ops.linearity import linear_in
from attn_research.ops.precision import wide
from attn_research.ops.recurrence import begins

# The smallest normaliser divided by. Only rows whose every weight underflows meet it.
FLOOR = 1e-6

# What each array of values has summed to: (B, H, M, E).
State = tuple[jax.Array, ...]


@linear_in("v_BTHE")
def linear_attention(
    q_BTHM: jax.Array,
    k_BTHM: jax.Array,
    v_BTHE: jax.Array,
    *,
    causal: bool = True,
    log_decay: jax.Array | None = None,
    log_decay_after: jax.Array | None = None,
    normalize: bool = False,
    segments_BT: jax.Array | None = None,
    chunk: int = 64,
    implementation: str | None = None,
) -> jax.Array:
    """out_BTHE, in the dtype of v; sums are in float32 at least.

    `log_decay` (at most 0; None: no decay) is one rate per head (H,), one per token and
    head (B, T, H), or one per feature too (B, T, H, M): token t fades by it what came
    before t. Not causal, sources after t fade by `log_decay_after` (None: the same),
    where token t fades what comes after it. Queries and keys may have one head, which
    all share. `normalize` divides by the sum of weights over all sources seen, which
    must be positive. Positions see their own segment; the output at padding (segment 0)
    is exactly zero, and so are its gradients.
    `implementation` is "naive" (memory T x T), "recurrent" or "chunked" (linear in T);
    None picks chunked. Raises ValueError for any other name, for a chunk below 1, or
    for a decay of another shape.
    """
    if chunk < 1:
        raise ValueError(f"chunk is {chunk}; it must be at least 1")
    dtype = v_BTHE.dtype
    work = wide(dtype)
    q_BTHM, k_BTHM, v_BTHE = (x.astype(work) for x in (q_BTHM, k_BTHM, v_BTHE))
    q_BTHM, k_BTHM, v_BTHE = (
        chunks.real(x, segments_BT) for x in (q_BTHM, k_BTHM, v_BTHE)
    )
    shape = *v_BTHE.shape[:3], q_BTHM.shape[-1]
    before = _checked(log_decay, shape, work, segments_BT)
    after = before
    if log_decay_after is not None:
        after = _checked(log_decay_after, shape, work, segments_BT)
    match implementation or "chunked":
        case "naive":
            form = _naive
        case "recurrent":
            form = functools.partial(_directions, _recurrent)
        case "chunked":
            form = functools.partial(
                _directions, functools.partial(chunked, chunk=chunk)
            )
        case _:
            raise ValueError(
                f"implementation is {implementation!r}; "
                "naive, recurrent, chunked or None is allowed"
            )
    sums = form(
        q_BTHM,
        k_BTHM,
        _values(v_BTHE, normalize),
        before,
        None if causal else after,
        segments_BT,
    )
    return chunks.real(_divided(*sums), segments_BT).astype(dtype)


def linear_start(
    batch: int, heads: int, features: int, size: int, normalize: bool, dtype: Any
) -> State:
    """The state before the first token: zeros (B, H, M, E), in float32 at least.

    Under `normalize` the sum of keys (B, H, M, 1) follows it.
    """
    sizes = (size, 1) if normalize else (size,)
    shape = batch, heads, features
    return tuple(jnp.zeros((*shape, size), wide(dtype)) for size in sizes)


def linear_step(
    q_BHM: jax.Array,
    k_BHM: jax.Array,
    v_BHE: jax.Array,
    state: State,
    *,
    log_decay: jax.Array | None = None,
) -> tuple[jax.Array, State]:
    """(out_BHE, next state): one token of the causal sum, from `linear_start` on.

    `log_decay` is (H,), (B, H) or (B, H, M), as in `linear_attention`.
    """
    work = state[0].dtype
    decay_BHM = jnp.ones((1, 1, 1), work)
    if log_decay is not None:
        decay = jnp.exp(log_decay.astype(work))
        decay_BH = decay[None] if decay.ndim == 1 else decay
        decay_BHM = decay_BH[..., None] if decay_BH.ndim == 2 else decay_BH
    values = _values(v_BHE.astype(work), len(state) == 2)
    inputs = q_BHM.astype(work), k_BHM.astype(work), values, decay_BHM
    state, sums = _token(state, inputs, strict=False)
    return _divided(*sums).astype(v_BHE.dtype), state


def _checked(log_decay, shape, dtype, segments_BT):
    """The decay, (H,) where there is none, and none at padding."""
    B, T, H, M = shape
    if log_decay is None:
        return jnp.zeros(H, dtype)
    if log_decay.shape not in ((H,), (B, T, H), (B, T, H, M)):
        raise ValueError(
            f"log_decay has the shape {log_decay.shape}; {(H,)}, {(B, T, H)} or "
            f"{(B, T, H, M)} is allowed"
        )
    log_decay = log_decay.astype(dtype)
    return log_decay if log_decay.ndim == 1 else chunks.real(log_decay, segments_BT)


def _values(v: jax.Array, normalize: bool) -> Values:
    return (v, jnp.ones((*v.shape[:-1], 1), v.dtype)) if normalize else (v,)


def _divided(out: jax.Array, weight: jax.Array | None = None) -> jax.Array:
    return out if weight is None else out / jnp.maximum(weight, FLOOR)


def _naive(q_BTHM, k_BSHM, values, before, after, segments_BT):
    """The definition, all T x S weights at once; the twin of the other forms."""
    seen_TS = chunks.triangle(q_BTHM.shape[1])
    weight_BTSHM = jnp.where(
        seen_TS[None, :, :, None, None], jnp.exp(_fading(before, q_BTHM)), 0
    )
    if after is not None:
        turned = jnp.flip(after, axis=1) if after.ndim > 1 else after
        after_BTSHM = jnp.exp(jnp.flip(_fading(turned, q_BTHM), axis=(1, 2)))
        weight_BTSHM = jnp.where(
            seen_TS[None, :, :, None, None], weight_BTSHM, after_BTSHM
        )
    if weight_BTSHM.shape[-1] == 1:
        score_BTSH = jnp.einsum("BTHM,BSHM->BTSH", q_BTHM, k_BSHM)
        score_BTSH = score_BTSH * weight_BTSHM[..., 0]
    else:
        score_BTSH = jnp.einsum("BTHM,BSHM,BTSHM->BTSH", q_BTHM, k_BSHM, weight_BTSHM)
    if segments_BT is not None:
        same_BTS = segments_BT[:, :, None] == segments_BT[:, None, :]
        score_BTSH = jnp.where(same_BTS[..., None], score_BTSH, 0)
    return tuple(jnp.einsum("BTSH,BSHE->BTHE", score_BTSH, v) for v in values)


def _fading(log_decay, q_BTHM):
    """The sum of log decays over s < r <= t, or zero, as (B or 1, T, S, H, M or 1)."""
    T = q_BTHM.shape[1]
    if log_decay.ndim == 1:
        position_T = jnp.arange(T, dtype=log_decay.dtype)
        back_TS = jnp.maximum(position_T[:, None] - position_T[None, :], 0)
        return (back_TS[..., None] * log_decay[None, None])[None, ..., None]
    decay_BRHM = log_decay[..., None] if log_decay.ndim == 3 else log_decay
    later_RS = chunks.triangle(T, strict=True)[None, :, :, None, None]
    return jnp.cumsum(jnp.where(later_RS, decay_BRHM[:, :, None], 0), axis=1)


def _directions(form, q_BTHM, k_BTHM, values, before, after, segments_BT):
    """The sums over the past and, where `after` is given, over the future as well."""
    sums, _ = form(q_BTHM, k_BTHM, values, before, segments_BT, strict=False)
    if after is None:
        return sums
    flip = functools.partial(jnp.flip, axis=1)
    *flipped, turned_BT = jax.tree.map(flip, (q_BTHM, k_BTHM, values, segments_BT))
    turned = after if after.ndim == 1 else flip(after)
    # The token itself belongs to the past: the future is counted strictly.
    ahead, _ = form(*flipped, turned, turned_BT, strict=True)
    return jax.tree.map(lambda past, future: past + flip(future), sums, ahead)


def _recurrent(q_BTHM, k_BTHM, values, log_decay, segments_BT, *, strict):
    """(sums, final state) by a scan over tokens."""
    B, T, H, _ = values[0].shape
    M = q_BTHM.shape[-1]
    decay_BTHM = jnp.exp(log_decay)
    if decay_BTHM.ndim == 1:
        decay_BTHM = jnp.broadcast_to(decay_BTHM[None, None], (B, T, H))
    if decay_BTHM.ndim == 3:
        decay_BTHM = decay_BTHM[..., None]
    if segments_BT is not None:
        fresh_BT = begins(segments_BT)
        decay_BTHM = jnp.where(fresh_BT[..., None, None], 0, decay_BTHM)
    state = tuple(jnp.zeros((B, H, M, v.shape[-1]), v.dtype) for v in values)
    inputs = jax.tree.map(
        lambda x: jnp.moveaxis(x, 1, 0), (q_BTHM, k_BTHM, values, decay_BTHM)
    )
    state, sums = jax.lax.scan(functools.partial(_token, strict=strict), state, inputs)
    return jax.tree.map(lambda x: jnp.moveaxis(x, 0, 1), sums), state


def _token(state, inputs, *, strict):
    """(state, sums) after one more token."""
    q_BHM, k_BHM, values, decay_BHM = inputs
    faded = tuple(s * decay_BHM[..., None] for s in state)
    state = tuple(
        s + k_BHM[..., None] * v[..., None, :]
        for s, v in zip(faded, values, strict=True)
    )
    seen = faded if strict else state
    return state, tuple(jnp.einsum("BHM,BHME->BHE", q_BHM, s) for s in seen)
