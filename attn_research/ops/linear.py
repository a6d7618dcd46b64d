"""Linear attention: a sum over the past that fits into a state of fixed size.

    out_t = sum_{s <= t} decay^(t - s) (q_t . k_s) v_s

q and k are already features (see features.py). The normaliser is the same sum with the
value 1, so it is one more column of v. Three forms of one function: `naive` builds the
T x S weights and is the twin the others are held to, `recurrent` carries the state one
token at a time, `chunked` is naive within a chunk and recurrent between chunks.

Katharopoulos et al., 2020, arXiv:2006.16236; decay and chunks: Sun et al., 2023,
arXiv:2307.08621.
"""

import functools

import jax
import jax.numpy as jnp

from attn_research.ops.precision import wide

# The smallest normaliser divided by. Only rows whose every weight underflows meet it.
FLOOR = 1e-6


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
    if normalize:
        v_BTHE = _with_ones(v_BTHE)
    if log_decay_H is None:
        log_decay_H = jnp.zeros(q_BTHM.shape[2], work)
    before_H = log_decay_H.astype(work)
    after_H = before_H if log_decay_after_H is None else log_decay_after_H.astype(work)
    match implementation or "chunked":
        case "naive":
            out_BTHE = _naive(
                q_BTHM, k_BTHM, v_BTHE, before_H, None if causal else after_H,
                segments_BT,
            )  # fmt: skip
        case "recurrent":
            out_BTHE = _directions(
                _recurrent, q_BTHM, k_BTHM, v_BTHE, before_H,
                None if causal else after_H, segments_BT,
            )  # fmt: skip
        case "chunked":
            out_BTHE = _directions(
                functools.partial(_chunked, chunk=chunk), q_BTHM, k_BTHM, v_BTHE,
                before_H, None if causal else after_H, segments_BT,
            )  # fmt: skip
        case _:
            raise ValueError(
                f"implementation is {implementation!r}; "
                "naive, recurrent, chunked or None is allowed"
            )
    if normalize:
        out_BTHE = _divided(out_BTHE)
    return _real(out_BTHE, segments_BT).astype(dtype)


def linear_step(
    q_BHM: jax.Array,
    k_BHM: jax.Array,
    v_BHE: jax.Array,
    state_BHME: jax.Array,
    *,
    log_decay_H: jax.Array | None = None,
    normalize: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """(out_BHE, next state): one token of the causal sum.

    The state starts as zeros of float32 (B, H, M, E), or E + 1 under `normalize`.
    """
    dtype, work = v_BHE.dtype, state_BHME.dtype
    q_BHM, k_BHM, v_BHE = (x.astype(work) for x in (q_BHM, k_BHM, v_BHE))
    if normalize:
        v_BHE = _with_ones(v_BHE)
    if log_decay_H is not None:
        decay_1H11 = jnp.exp(log_decay_H.astype(work))[None, :, None, None]
        state_BHME = state_BHME * decay_1H11
    state_BHME = state_BHME + k_BHM[..., None] * v_BHE[..., None, :]
    out_BHE = jnp.einsum("BHM,BHME->BHE", q_BHM, state_BHME)
    if normalize:
        out_BHE = _divided(out_BHE)
    return out_BHE.astype(dtype), state_BHME


def _real(x_BTHE: jax.Array, segments_BT: jax.Array | None) -> jax.Array:
    """x with zeros at padding: chosen, not multiplied, for padding may hold NaN."""
    if segments_BT is None:
        return x_BTHE
    return jnp.where((segments_BT != 0)[:, :, None, None], x_BTHE, 0)


def _with_ones(v: jax.Array) -> jax.Array:
    return jnp.concatenate([v, jnp.ones((*v.shape[:-1], 1), v.dtype)], axis=-1)


def _divided(out: jax.Array) -> jax.Array:
    return out[..., :-1] / jnp.maximum(out[..., -1:], FLOOR)


def _naive(q_BTHM, k_BSHM, v_BSHE, before_H, after_H, segments_BT):
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
    return jnp.einsum("BHTS,BSHE->BTHE", score_BHTS, v_BSHE)


def _directions(form, q_BTHM, k_BTHM, v_BTHE, before_H, after_H, segments_BT):
    """The sum over the past, and where `after_H` is given, over the future as well."""
    out_BTHE, _ = form(q_BTHM, k_BTHM, v_BTHE, before_H, segments_BT, strict=False)
    if after_H is None:
        return out_BTHE
    flipped = jax.tree.map(
        functools.partial(jnp.flip, axis=1), (q_BTHM, k_BTHM, v_BTHE, segments_BT)
    )
    *qkv, flipped_segments_BT = flipped
    # The token itself belongs to the past: the future is counted strictly.
    after_BTHE, _ = form(*qkv, after_H, flipped_segments_BT, strict=True)
    return out_BTHE + jnp.flip(after_BTHE, axis=1)


def _recurrent(q_BTHM, k_BTHM, v_BTHE, log_decay_H, segments_BT, *, strict):
    """(out_BTHE, final state_BHME) by a scan over tokens."""
    B, T, H, M = q_BTHM.shape
    decay_BTH = jnp.broadcast_to(jnp.exp(log_decay_H)[None, None], (B, T, H))
    if segments_BT is not None:
        fresh_BT = segments_BT != jnp.roll(segments_BT, 1, axis=1)
        decay_BTH = jnp.where(fresh_BT[..., None], 0, decay_BTH)

    def token(state_BHME, inputs):
        q_BHM, k_BHM, v_BHE, decay_BH = inputs
        faded_BHME = state_BHME * decay_BH[..., None, None]
        state_BHME = faded_BHME + k_BHM[..., None] * v_BHE[..., None, :]
        seen_BHME = faded_BHME if strict else state_BHME
        return state_BHME, jnp.einsum("BHM,BHME->BHE", q_BHM, seen_BHME)

    state_BHME = jnp.zeros((B, H, M, v_BTHE.shape[-1]), v_BTHE.dtype)
    inputs = (jnp.moveaxis(x, 1, 0) for x in (q_BTHM, k_BTHM, v_BTHE, decay_BTH))
    state_BHME, out_TBHE = jax.lax.scan(token, state_BHME, tuple(inputs))
    return jnp.moveaxis(out_TBHE, 0, 1), state_BHME


def _chunked(q_BTHM, k_BTHM, v_BTHE, log_decay_H, segments_BT, *, chunk, strict):
    """(out_BTHE, final state_BHME) by a scan over chunks, recomputed in the backward.

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
        state_BHME, last_B = carry
        q_BCHM, k_BCHM, v_BCHE, segments_BC = inputs
        q_BHCM, k_BHCM, v_BHCE = (
            jnp.swapaxes(x, 1, 2) for x in (q_BCHM, k_BCHM, v_BCHE)
        )
        score_BHCC = (q_BHCM @ jnp.swapaxes(k_BHCM, 2, 3)) * within_HCC[None]
        q_BHCM = q_BHCM * from_state_HC[None, ..., None]
        k_BHCM = k_BHCM * to_state_HC[None, ..., None]
        state_next_BHME = state_BHME * over_chunk_H[None, :, None, None]
        if segments_BC is not None:
            same_BCC = segments_BC[:, :, None] == segments_BC[:, None, :]
            score_BHCC = jnp.where(same_BCC[:, None], score_BHCC, 0)
            first_BC = segments_BC == last_B[:, None]
            q_BHCM = jnp.where(first_BC[:, None, :, None], q_BHCM, 0)
            kept_B = last_B == segments_BC[:, -1]
            state_next_BHME = jnp.where(kept_B[:, None, None, None], state_next_BHME, 0)
            last_B = segments_BC[:, -1]
            final_BC = segments_BC == last_B[:, None]
            k_BHCM = jnp.where(final_BC[:, None, :, None], k_BHCM, 0)
        out_BHCE = score_BHCC @ v_BHCE + q_BHCM @ state_BHME
        state_next_BHME = state_next_BHME + jnp.swapaxes(k_BHCM, 2, 3) @ v_BHCE
        return (state_next_BHME, last_B), jnp.swapaxes(out_BHCE, 1, 2)

    state_BHME = jnp.zeros((B, H, M, v_BTHE.shape[-1]), v_BTHE.dtype)
    last_B = None if segments_BT is None else jnp.zeros_like(segments_BT[:, 0])
    inputs = jax.tree.map(chunks, (q_BTHM, k_BTHM, v_BTHE, segments_BT))
    (state_BHME, _), out_NBCHE = jax.lax.scan(
        jax.checkpoint(body), (state_BHME, last_B), inputs
    )
    out_BTHE = jnp.moveaxis(out_NBCHE, 0, 1).reshape(B, -1, H, v_BTHE.shape[-1])
    return out_BTHE[:, -T:], state_BHME
