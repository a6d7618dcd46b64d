"""Linear attention: a sum over the past that fits into a state of fixed size.

    out_t = sum_{s <= t} decay^(t - s) (q_t . k_s) v_s

q and k are already features (see features.py). The normaliser is the same sum with the
value 1, so every form takes a tuple of values: v alone, or v and ones. Three forms of
one function: `naive` builds the T x S weights and is the twin the others are held to,
`recurrent` carries the state one token at a time, `chunked` is naive within a chunk and
recurrent between chunks.

Katharopoulos et al., 2020, arXiv:2006.16236; decay and chunks: Sun et al., 2023,
arXiv:2307.08621.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from attn_research.ops.precision import wide

# The smallest normaliser divided by. Only rows whose every weight underflows meet it.
FLOOR = 1e-6

# Arrays (..., E) summed alike, and what each has summed to: (B, H, M, E).
Values = tuple[jax.Array, ...]
State = tuple[jax.Array, ...]


def linear_attention(
    q_BTHM: jax.Array,
    k_BTHM: jax.Array,
    v_BTHE: jax.Array,
    *,
    causal: bool = True,
    log_decay_H: jax.Array | None = None,
    log_decay_after_H: jax.Array | None = None,
    normalize: bool = False,
    segments_BT: jax.Array | None = None,
    chunk: int = 64,
    implementation: str | None = None,
) -> jax.Array:
    """out_BTHE, in the dtype of v; sums are in float32 at least.

    `log_decay_H` (at most 0; None: no decay) weighs a source |t - s| tokens away by
    exp(log_decay |t - s|); not causal, sources after t take `log_decay_after_H` (None:
    the same). `normalize` divides by the sum of weights over all sources seen, which
    must be positive. Positions see their own segment; the output at padding (segment
    0) is exactly zero, and so are its gradients. `implementation` is "naive" (memory
    T x T), "recurrent" or "chunked" (linear in T); None picks chunked. Raises
    ValueError for any other name, or for a chunk below 1.
    """
    if chunk < 1:
        raise ValueError(f"chunk is {chunk}; it must be at least 1")
    dtype = v_BTHE.dtype
    work = wide(dtype)
    q_BTHM, k_BTHM, v_BTHE = (x.astype(work) for x in (q_BTHM, k_BTHM, v_BTHE))
    q_BTHM, k_BTHM, v_BTHE = (_real(x, segments_BT) for x in (q_BTHM, k_BTHM, v_BTHE))
    if log_decay_H is None:
        log_decay_H = jnp.zeros(q_BTHM.shape[2], work)
    if log_decay_after_H is None:
        log_decay_after_H = log_decay_H
    match implementation or "chunked":
        case "naive":
            form = _naive
        case "recurrent":
            form = functools.partial(_directions, _recurrent)
        case "chunked":
            chunked = functools.partial(_chunked, chunk=chunk)
            form = functools.partial(_directions, chunked)
        case _:
            raise ValueError(
                f"implementation is {implementation!r}; "
                "naive, recurrent, chunked or None is allowed"
            )
    sums = form(
        q_BTHM,
        k_BTHM,
        _values(v_BTHE, normalize),
        log_decay_H.astype(work),
        None if causal else log_decay_after_H.astype(work),
        segments_BT,
    )
    return _real(_divided(*sums), segments_BT).astype(dtype)


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
    log_decay_H: jax.Array | None = None,
) -> tuple[jax.Array, State]:
    """(out_BHE, next state): one token of the causal sum, from `linear_start` on."""
    work = state[0].dtype
    decay_BH = jnp.ones(q_BHM.shape[:2], work)
    if log_decay_H is not None:
        decay_BH = decay_BH * jnp.exp(log_decay_H.astype(work))[None]
    values = _values(v_BHE.astype(work), len(state) == 2)
    inputs = q_BHM.astype(work), k_BHM.astype(work), values, decay_BH
    state, sums = _token(state, inputs, strict=False)
    return _divided(*sums).astype(v_BHE.dtype), state


def _real(x_BTHE: jax.Array, segments_BT: jax.Array | None) -> jax.Array:
    """x with zeros at padding: chosen, not multiplied, for padding may hold NaN."""
    if segments_BT is None:
        return x_BTHE
    return jnp.where((segments_BT != 0)[:, :, None, None], x_BTHE, 0)


def _values(v: jax.Array, normalize: bool) -> Values:
    return (v, jnp.ones((*v.shape[:-1], 1), v.dtype)) if normalize else (v,)


def _divided(out: jax.Array, weight: jax.Array | None = None) -> jax.Array:
    return out if weight is None else out / jnp.maximum(weight, FLOOR)


def _naive(q_BTHM, k_BSHM, values, before_H, after_H, segments_BT):
    """The definition, all T x S weights at once; the twin of the other forms."""
    position_T = jnp.arange(q_BTHM.shape[1], dtype=before_H.dtype)
    back_1TS = (position_T[:, None] - position_T[None, :])[None]
    log_weight_HTS = before_H[:, None, None] * jnp.abs(back_1TS)
    if after_H is not None:
        log_after_HTS = after_H[:, None, None] * jnp.abs(back_1TS)
        log_weight_HTS = jnp.where(back_1TS >= 0, log_weight_HTS, log_after_HTS)
        weight_HTS = jnp.exp(log_weight_HTS)
    else:
        weight_HTS = jnp.where(back_1TS >= 0, jnp.exp(log_weight_HTS), 0)
    score_BHTS = jnp.einsum("BTHM,BSHM->BHTS", q_BTHM, k_BSHM) * weight_HTS[None]
    if segments_BT is not None:
        same_BTS = segments_BT[:, :, None] == segments_BT[:, None, :]
        score_BHTS = jnp.where(same_BTS[:, None], score_BHTS, 0)
    return tuple(jnp.einsum("BHTS,BSHE->BTHE", score_BHTS, v) for v in values)


def _directions(form, q_BTHM, k_BTHM, values, before_H, after_H, segments_BT):
    """The sums over the past and, where `after_H` is given, over the future as well."""
    sums, _ = form(q_BTHM, k_BTHM, values, before_H, segments_BT, strict=False)
    if after_H is None:
        return sums
    flip = functools.partial(jnp.flip, axis=1)
    *flipped, turned_BT = jax.tree.map(flip, (q_BTHM, k_BTHM, values, segments_BT))
    # The token itself belongs to the past: the future is counted strictly.
    after, _ = form(*flipped, after_H, turned_BT, strict=True)
    return jax.tree.map(lambda past, future: past + flip(future), sums, after)


def _recurrent(q_BTHM, k_BTHM, values, log_decay_H, segments_BT, *, strict):
    """(sums, final state) by a scan over tokens."""
    B, T, H, M = q_BTHM.shape
    decay_BTH = jnp.broadcast_to(jnp.exp(log_decay_H)[None, None], (B, T, H))
    if segments_BT is not None:
        fresh_BT = segments_BT != jnp.roll(segments_BT, 1, axis=1)
        decay_BTH = jnp.where(fresh_BT[..., None], 0, decay_BTH)
    state = tuple(jnp.zeros((B, H, M, v.shape[-1]), v.dtype) for v in values)
    inputs = jax.tree.map(
        lambda x: jnp.moveaxis(x, 1, 0), (q_BTHM, k_BTHM, values, decay_BTH)
    )
    state, sums = jax.lax.scan(functools.partial(_token, strict=strict), state, inputs)
    return jax.tree.map(lambda x: jnp.moveaxis(x, 0, 1), sums), state


def _token(state, inputs, *, strict):
    """(state, sums) after one more token."""
    q_BHM, k_BHM, values, decay_BH = inputs
    faded = tuple(s * decay_BH[..., None, None] for s in state)
    state = tuple(
        s + k_BHM[..., None] * v[..., None, :]
        for s, v in zip(faded, values, strict=True)
    )
    seen = faded if strict else state
    return state, tuple(jnp.einsum("BHM,BHME->BHE", q_BHM, s) for s in seen)


def _chunked(q_BTHM, k_BTHM, values, log_decay_H, segments_BT, *, chunk, strict):
    """(sums, final state) by a scan over chunks, recomputed in the backward.

    Every exponent is log_decay times a count of tokens of this chunk, so nothing
    overflows, however strong the decay.
    """
    B, T, H, M = q_BTHM.shape
    C = min(chunk, T)

    def chunks(x_BT):
        # Padded on the left, where zeros change neither the sums nor the final state.
        widths = [(0, 0), (-T % C, 0)] + [(0, 0)] * (x_BT.ndim - 2)
        x_BT = jnp.pad(x_BT, widths)
        return jnp.moveaxis(x_BT.reshape(B, -1, C, *x_BT.shape[2:]), 1, 0)

    position_C = jnp.arange(C, dtype=log_decay_H.dtype)
    back_CC = position_C[:, None] - position_C[None, :]
    log_decay_H1 = log_decay_H[:, None]
    within_HCC = jnp.where(
        (back_CC > 0 if strict else back_CC >= 0)[None],
        jnp.exp(log_decay_H[:, None, None] * jnp.abs(back_CC)[None]),
        0,
    )
    from_state_HC = jnp.exp(log_decay_H1 * (position_C + 1)[None])
    to_state_HC = jnp.exp(log_decay_H1 * (C - 1 - position_C)[None])
    over_chunk_H = jnp.exp(log_decay_H * C)

    def body(carry, inputs):
        state, last_B = carry
        *qkv, segments_BC = inputs
        q_BHCM, k_BHCM, values = jax.tree.map(lambda x: jnp.swapaxes(x, 1, 2), qkv)
        score_BHCC = (q_BHCM @ jnp.swapaxes(k_BHCM, 2, 3)) * within_HCC[None]
        q_BHCM = q_BHCM * from_state_HC[None, ..., None]
        k_BHCM = k_BHCM * to_state_HC[None, ..., None]
        kept_BH11 = jnp.broadcast_to(over_chunk_H[None], (B, H))[..., None, None]
        if segments_BC is not None:
            same_BCC = segments_BC[:, :, None] == segments_BC[:, None, :]
            score_BHCC = jnp.where(same_BCC[:, None], score_BHCC, 0)
            first_BC = segments_BC == last_B[:, None]
            q_BHCM = jnp.where(first_BC[:, None, :, None], q_BHCM, 0)
            goes_on_B = last_B == segments_BC[:, -1]
            kept_BH11 = jnp.where(goes_on_B[:, None, None, None], kept_BH11, 0)
            last_B = segments_BC[:, -1]
            final_BC = segments_BC == last_B[:, None]
            k_BHCM = jnp.where(final_BC[:, None, :, None], k_BHCM, 0)
        sums = tuple(
            jnp.swapaxes(score_BHCC @ v + q_BHCM @ s, 1, 2)
            for s, v in zip(state, values, strict=True)
        )
        state = tuple(
            s * kept_BH11 + jnp.swapaxes(k_BHCM, 2, 3) @ v
            for s, v in zip(state, values, strict=True)
        )
        return (state, last_B), sums

    state = tuple(jnp.zeros((B, H, M, v.shape[-1]), v.dtype) for v in values)
    last_B = None if segments_BT is None else jnp.zeros_like(segments_BT[:, 0])
    inputs = jax.tree.map(chunks, (q_BTHM, k_BTHM, values, segments_BT))
    (state, _), sums = jax.lax.scan(jax.checkpoint(body), (state, last_B), inputs)

    def whole(out_NBCHE):
        out_BNCHE = jnp.moveaxis(out_NBCHE, 0, 1)
        return out_BNCHE.reshape(B, -1, H, out_NBCHE.shape[-1])[:, -T:]

    return jax.tree.map(whole, sums), state
