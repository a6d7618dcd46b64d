"""The matrix memory of the xLSTM: linear attention with exponential gates.

    S_t = f_t S_{t-1} + i_t k_t v_t,  n_t = f_t n_{t-1} + i_t k_t,  i_t = exp(z_t)
    out_t = q_t S_t / max(|q_t n_t|, 1)

f lies in (0, 1) and i has no bound, so S and n are kept divided by exp(m), where m is
the largest log weight of the past: m_t = max(m_{t-1} + log f_t, z_t, 0), and the 1 of
the normaliser becomes exp(-m_t). The source lets m fall below 0; there the normaliser
is exp(-m), which overflows, of sums that are as small. No result depends on m, and no
gradient passes through it. Beck et al., 2024, arXiv:2405.04517.
"""

from typing import Any, Literal

import jax
import jax.numpy as jnp

from attn_research.ops import chunks
from attn_research.ops.implementations import check_implementation
from attn_research.ops.linearity import linear_in
from attn_research.ops.precision import ratio, wide
from attn_research.ops.recurrence import begins

# S / exp(m) with the column n / exp(m) beside it (B, H, K, E + 1), and m (B, H).
State = tuple[jax.Array, jax.Array]


@linear_in("v_BTHE")
def matrix_lstm(
    q_BTHK: jax.Array,
    k_BTHK: jax.Array,
    v_BTHE: jax.Array,
    write_BTH: jax.Array,
    log_forget_BTH: jax.Array,
    *,
    segments_BT: jax.Array | None = None,
    chunk: int = 64,
    implementation: Literal["naive", "recurrent", "chunked"] | None = None,
) -> jax.Array:
    """out_BTHE, in the dtype of v; the state is in float32 at least.

    `write_BTH` is z, the logarithm of the input gate; `log_forget_BTH` is at most 0.
    Queries are used as given: scale them by 1 / sqrt(K). Positions see their own
    segment; the output at padding (segment 0) is exactly zero, and so are its
    gradients. `implementation` is "naive" (memory T x T), "recurrent" or "chunked"
    (linear in T); None picks chunked. Raises ValueError for any other name, or for a
    chunk below 1.
    """
    if chunk < 1:
        raise ValueError(f"chunk is {chunk}; it must be at least 1")
    dtype = v_BTHE.dtype
    arrays = tuple(
        chunks.real(x.astype(wide(dtype)), segments_BT)
        for x in (q_BTHK, k_BTHK, v_BTHE, write_BTH, log_forget_BTH)
    )
    check_implementation(implementation, "naive", "recurrent", "chunked")
    match implementation or "chunked":
        case "naive":
            out_BTHE = _naive(*arrays, segments_BT=segments_BT)
        case "recurrent":
            out_BTHE, _ = _recurrent(*arrays, segments_BT=segments_BT)
        case _:
            out_BTHE, _ = _chunked(*arrays, segments_BT=segments_BT, chunk=chunk)
    return chunks.real(out_BTHE, segments_BT).astype(dtype)


def mlstm_start(batch: int, heads: int, size: int, values: int, dtype: Any) -> State:
    """The state before the first token: zeros, in float32 at least."""
    work = wide(dtype)
    state_BHKX = jnp.zeros((batch, heads, size, values + 1), work)
    return state_BHKX, jnp.zeros((batch, heads), work)


def mlstm_step(
    q_BHK: jax.Array,
    k_BHK: jax.Array,
    v_BHE: jax.Array,
    write_BH: jax.Array,
    log_forget_BH: jax.Array,
    state: State,
) -> tuple[jax.Array, State]:
    """(out_BHE, next state): one token of `matrix_lstm`, from `mlstm_start` on."""
    inputs = q_BHK, k_BHK, v_BHE, write_BH, log_forget_BH
    state, out_BHE = _token(state, [x.astype(state[0].dtype) for x in inputs])
    return out_BHE.astype(v_BHE.dtype), state


def _counted(v: jax.Array) -> jax.Array:
    """v with a column of ones, whose sum is that of the weights."""
    return jnp.concatenate([v, jnp.ones((*v.shape[:-1], 1), v.dtype)], axis=-1)


def _divided(sums: jax.Array, m: jax.Array) -> jax.Array:
    """The sums over max(|their last one|, exp(-m))."""
    out, weight = sums[..., :-1], sums[..., -1:]
    return ratio(out, jnp.maximum(jnp.abs(weight), jnp.exp(-m)[..., None]))


def _naive(q_BTHK, k_BSHK, v_BSHE, write_BSH, log_forget_BTH, *, segments_BT):
    """The definition, all T x S log weights at once; the twin of the other forms."""
    T = q_BTHK.shape[1]
    later_RS = chunks.triangle(T, strict=True)[None, ..., None]
    fading_BTSH = jnp.cumsum(jnp.where(later_RS, log_forget_BTH[:, :, None], 0), axis=1)
    seen_BTS = chunks.triangle(T)[None]
    if segments_BT is not None:
        seen_BTS &= segments_BT[:, :, None] == segments_BT[:, None, :]
    log_weight_BTSH = jnp.where(
        seen_BTS[..., None], fading_BTSH + write_BSH[:, None], -jnp.inf
    )
    m_BTH = jax.lax.stop_gradient(jnp.maximum(log_weight_BTSH.max(axis=2), 0))
    score_BTSH = jnp.einsum("BTHK,BSHK->BTSH", q_BTHK, k_BSHK)
    score_BTSH = score_BTSH * jnp.exp(log_weight_BTSH - m_BTH[:, :, None])
    sums_BTHX = jnp.einsum("BTSH,BSHX->BTHX", score_BTSH, _counted(v_BSHE))
    return _divided(sums_BTHX, m_BTH)


def _recurrent(q_BTHK, k_BTHK, v_BTHE, write_BTH, log_forget_BTH, *, segments_BT):
    """(out, final state) by a scan over tokens."""
    fresh_BT = jnp.zeros(q_BTHK.shape[:2], bool)
    if segments_BT is not None:
        fresh_BT = begins(segments_BT)
    B, _, H, K = q_BTHK.shape

    def token(state, inputs):
        fresh_B, *arrays = inputs
        state_BHKX, m_BH = state
        state_BHKX = jnp.where(fresh_B[:, None, None, None], 0, state_BHKX)
        return _token((state_BHKX, jnp.where(fresh_B[:, None], 0, m_BH)), arrays)

    arrays = fresh_BT, q_BTHK, k_BTHK, v_BTHE, write_BTH, log_forget_BTH
    inputs = tuple(jnp.moveaxis(x, 1, 0) for x in arrays)
    start = mlstm_start(B, H, K, v_BTHE.shape[-1], v_BTHE.dtype)
    state, out_TBHE = jax.lax.scan(token, start, inputs)
    return jnp.moveaxis(out_TBHE, 0, 1), state


def _token(state, inputs):
    """(state, out) after one more token."""
    state_BHKX, m_BH = state
    q_BHK, k_BHK, v_BHE, write_BH, log_forget_BH = inputs
    before_BH = m_BH + log_forget_BH
    m_BH = jax.lax.stop_gradient(jnp.maximum(jnp.maximum(before_BH, write_BH), 0))
    kept_BH = jnp.exp(before_BH - m_BH)
    written_BHK = k_BHK * jnp.exp(write_BH - m_BH)[..., None]
    state_BHKX = state_BHKX * kept_BH[..., None, None]
    state_BHKX = state_BHKX + written_BHK[..., None] * _counted(v_BHE)[..., None, :]
    sums_BHX = jnp.einsum("BHK,BHKX->BHX", q_BHK, state_BHKX)
    return (state_BHKX, m_BH), _divided(sums_BHX, m_BH)


def _chunked(q_BTHK, k_BTHK, v_BTHE, write_BTH, log_forget_BTH, *, segments_BT, chunk):
    """(out, final state) by a scan over chunks, recomputed in the backward."""
    B, T, H, K = q_BTHK.shape
    C = min(chunks.tokens(chunk), T)
    seen_BCC = chunks.triangle(C)[None]

    def body(carry, inputs):
        state_BHKX, m_BH, last_B = carry
        segments_BC, *arrays = inputs
        arrays = [jnp.swapaxes(x, 1, 2) for x in arrays]
        q_BHCK, k_BHCK, v_BHCE, write_BHC, log_forget_BHC = arrays
        span = chunks.spans(log_forget_BHC)
        # The log weights of each key and of the state carried in, for a query, and at
        # the end of the chunk.
        within_BHCC = span.between + write_BHC[:, :, None]
        since_BHC = span.since + m_BH[..., None]
        until_BHC = span.until + write_BHC
        kept_BH = since_BHC[..., -1]
        seen = seen_BCC
        if segments_BC is not None:
            meets = chunks.meeting(segments_BC, last_B)
            seen = seen & meets.same_BCC
            since_BHC = jnp.where(meets.first_BC[:, None], since_BHC, -jnp.inf)
            until_BHC = jnp.where(meets.final_BC[:, None], until_BHC, -jnp.inf)
            kept_BH = jnp.where(meets.through_B[:, None], kept_BH, -jnp.inf)
            last_B = segments_BC[:, -1]
        within_BHCC = jnp.where(seen[:, None], within_BHCC, -jnp.inf)
        m_BHC = jnp.maximum(jnp.maximum(within_BHCC.max(axis=3), since_BHC), 0)
        m_BHC = jax.lax.stop_gradient(m_BHC)
        score_BHCC = q_BHCK @ jnp.swapaxes(k_BHCK, 2, 3)
        score_BHCC = score_BHCC * jnp.exp(within_BHCC - m_BHC[..., None])
        read_BHCK = q_BHCK * jnp.exp(since_BHC - m_BHC)[..., None]
        v_BHCX = _counted(v_BHCE)
        sums_BHCX = score_BHCC @ v_BHCX + read_BHCK @ state_BHKX
        m_BH = m_BHC[..., -1]
        written_BHCK = k_BHCK * jnp.exp(until_BHC - m_BH[..., None])[..., None]
        state_BHKX = state_BHKX * jnp.exp(kept_BH - m_BH)[..., None, None]
        state_BHKX = state_BHKX + jnp.swapaxes(written_BHCK, 2, 3) @ v_BHCX
        out_BHCE = _divided(sums_BHCX, m_BHC)
        return (state_BHKX, m_BH, last_B), jnp.swapaxes(out_BHCE, 1, 2)

    start = mlstm_start(B, H, K, v_BTHE.shape[-1], v_BTHE.dtype)
    last_B = None if segments_BT is None else jnp.zeros_like(segments_BT[:, 0])
    arrays = segments_BT, q_BTHK, k_BTHK, v_BTHE, write_BTH, log_forget_BTH
    inputs = jax.tree.map(lambda x_BT: chunks.cut(x_BT, C), arrays)
    (*state, _), out_NBCHE = jax.lax.scan(
        jax.checkpoint(body), (*start, last_B), inputs
    )
    return chunks.join(out_NBCHE, T), tuple(state)
