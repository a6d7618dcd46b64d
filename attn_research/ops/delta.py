"""The delta rule: a state that corrects what it already holds for a key.

    S_t = a_t S_{t-1} + k_t u_t,  u_t = b_t (v_t - k_t a_t S_{t-1}),  out_t = q_t S_t

Of what the faded state reads at k_t the share b_t is replaced by v_t. Keys of length 1
and b in (0, 1) shrink the state along the key; b in (1, 2) turns its sign, which lets a
state count and track (Grazzi et al., 2024, arXiv:2411.12537). Schlag et al., 2021,
arXiv:2102.11174; the decay a_t: Yang et al., 2024, arXiv:2412.06464.

The corrections u of a chunk depend on each other: (I + A) u = b (v - k' S) with A
strictly lower triangular, A_ts = b_t (k_t . k_s) a_{s+1} ... a_t. The chunked form
solves it (Yang et al., 2024, arXiv:2406.06484).
"""

from typing import Any, Literal

import jax
import jax.numpy as jnp

from attn_research.ops import chunks, triangular
from attn_research.ops.implementations import check_implementation
from attn_research.ops.linearity import linear_in
from attn_research.ops.precision import wide
from attn_research.ops.recurrence import begins


@linear_in("v_BTHE")
def delta_rule(
    q_BTHK: jax.Array,
    k_BTHK: jax.Array,
    v_BTHE: jax.Array,
    beta_BTH: jax.Array,
    *,
    log_decay_BTH: jax.Array | None = None,
    segments_BT: jax.Array | None = None,
    chunk: int = 64,
    implementation: Literal["naive", "recurrent", "chunked"] | None = None,
) -> jax.Array:
    """out_BTHE, in the dtype of v; the state is in float32 at least.

    Keys should have length 1 at most and beta lie in [0, 2]: the state grows without
    bound otherwise. `log_decay_BTH` is at most 0 (None: no decay). Positions see their
    own segment; the output at padding (segment 0) is exactly zero, and so are its
    gradients. `implementation` is "naive" (one T x T system), "recurrent" or "chunked"
    (linear in T); None picks chunked. Raises ValueError for any other name, or for a
    chunk below 1.
    """
    if chunk < 1:
        raise ValueError(f"chunk is {chunk}; it must be at least 1")
    dtype = v_BTHE.dtype
    arrays = tuple(x.astype(wide(dtype)) for x in (q_BTHK, k_BTHK, v_BTHE, beta_BTH))
    if log_decay_BTH is not None:
        arrays = *arrays, log_decay_BTH.astype(wide(dtype))
    arrays = tuple(chunks.real(x, segments_BT) for x in arrays)
    check_implementation(implementation, "naive", "recurrent", "chunked")
    match implementation or "chunked":
        case "naive":
            out_BTHE = _naive(*arrays, segments_BT=segments_BT)
        case "recurrent":
            out_BTHE, _ = _recurrent(*arrays, segments_BT=segments_BT)
        case _:
            out_BTHE, _ = _chunked(*arrays, segments_BT=segments_BT, chunk=chunk)
    return chunks.real(out_BTHE, segments_BT).astype(dtype)


def delta_start(
    batch: int, heads: int, size: int, values: int, dtype: Any
) -> jax.Array:
    """The state before the first token: zeros (B, H, K, E), in float32 at least."""
    return jnp.zeros((batch, heads, size, values), wide(dtype))


def delta_step(
    q_BHK: jax.Array,
    k_BHK: jax.Array,
    v_BHE: jax.Array,
    beta_BH: jax.Array,
    state_BHKE: jax.Array,
    *,
    log_decay_BH: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]:
    """(out_BHE, next state): one token of `delta_rule`, from `delta_start` on."""
    arrays = q_BHK, k_BHK, v_BHE, beta_BH
    if log_decay_BH is not None:
        arrays = *arrays, log_decay_BH
    arrays = tuple(x.astype(state_BHKE.dtype) for x in arrays)
    state_BHKE, out_BHE = _token(state_BHKE, arrays)
    return out_BHE.astype(v_BHE.dtype), state_BHKE


def _naive(q_BTHK, k_BTHK, v_BTHE, beta_BTH, log_decay_BTH=None, *, segments_BT):
    """The whole sequence as one system of equations; the twin of the other forms."""
    T = q_BTHK.shape[1]
    weight_BHTS = jnp.ones((1, 1, T, T), v_BTHE.dtype)
    if log_decay_BTH is not None:
        terms_BRSH = jnp.where(
            chunks.triangle(T, strict=True)[None, ..., None],
            log_decay_BTH[:, :, None],
            0,
        )
        weight_BHTS = jnp.exp(jnp.moveaxis(jnp.cumsum(terms_BRSH, axis=1), 3, 1))
    if segments_BT is not None:
        same_BTS = segments_BT[:, :, None] == segments_BT[:, None, :]
        weight_BHTS = jnp.where(same_BTS[:, None], weight_BHTS, 0)
    beta_BHT1 = jnp.swapaxes(beta_BTH, 1, 2)[..., None]
    key_BHTS = jnp.einsum("BTHK,BSHK->BHTS", k_BTHK, k_BTHK) * weight_BHTS
    query_BHTS = jnp.einsum("BTHK,BSHK->BHTS", q_BTHK, k_BTHK) * weight_BHTS
    earlier_11TS = chunks.triangle(T, strict=True)[None, None]
    system_BHTS = jnp.where(earlier_11TS, beta_BHT1 * key_BHTS, 0)
    update_BHTE = triangular.solve(system_BHTS, beta_BHT1 * jnp.swapaxes(v_BTHE, 1, 2))
    query_BHTS = jnp.where(chunks.triangle(T)[None, None], query_BHTS, 0)
    return jnp.einsum("BHTS,BHSE->BTHE", query_BHTS, update_BHTE)


def _recurrent(q_BTHK, k_BTHK, v_BTHE, beta_BTH, log_decay_BTH=None, *, segments_BT):
    """(out, final state) by a scan over tokens."""
    fresh_BT = jnp.zeros(q_BTHK.shape[:2], bool)
    if segments_BT is not None:
        fresh_BT = begins(segments_BT)
    arrays = q_BTHK, k_BTHK, v_BTHE, beta_BTH
    if log_decay_BTH is not None:
        arrays = *arrays, log_decay_BTH
    B, _, H, K = q_BTHK.shape

    def token(state_BHKE, inputs):
        fresh_B, *arrays = inputs
        state_BHKE = jnp.where(fresh_B[:, None, None, None], 0, state_BHKE)
        return _token(state_BHKE, arrays)

    inputs = tuple(jnp.moveaxis(x, 1, 0) for x in (fresh_BT, *arrays))
    start_BHKE = jnp.zeros((B, H, K, v_BTHE.shape[-1]), v_BTHE.dtype)
    state_BHKE, out_TBHE = jax.lax.scan(token, start_BHKE, inputs)
    return jnp.moveaxis(out_TBHE, 0, 1), state_BHKE


def _token(state_BHKE, inputs):
    """(state, out) after one more token."""
    q_BHK, k_BHK, v_BHE, beta_BH, *log_decay = inputs
    if log_decay:
        state_BHKE = state_BHKE * jnp.exp(log_decay[0])[..., None, None]
    held_BHE = jnp.einsum("BHK,BHKE->BHE", k_BHK, state_BHKE)
    update_BHE = beta_BH[..., None] * (v_BHE - held_BHE)
    state_BHKE = state_BHKE + k_BHK[..., None] * update_BHE[..., None, :]
    return state_BHKE, jnp.einsum("BHK,BHKE->BHE", q_BHK, state_BHKE)


def _chunked(
    q_BTHK, k_BTHK, v_BTHE, beta_BTH, log_decay_BTH=None, *, segments_BT, chunk
):
    """(out, final state) by a scan over chunks, recomputed in the backward."""
    B, T, H, K = q_BTHK.shape
    C = min(chunk, T)
    seen_11CC = chunks.triangle(C)[None, None]
    earlier_11CC = chunks.triangle(C, strict=True)[None, None]

    def body(carry, inputs):
        state_BHKE, last_B = carry
        segments_BC, *arrays = inputs
        arrays = [jnp.swapaxes(x, 1, 2) for x in arrays]
        q_BHCK, k_BHCK, v_BHCE, beta_BHC, *log_decay = arrays
        beta_BHC1 = beta_BHC[..., None]
        # One product for both: the rows of queries under those of keys.
        both_BHXC = jnp.concatenate([k_BHCK, q_BHCK], 2) @ jnp.swapaxes(k_BHCK, 2, 3)
        key_BHCC, query_BHCC = jnp.split(both_BHXC, 2, axis=2)
        key_BHCC = jnp.where(earlier_11CC, key_BHCC, 0)
        query_BHCC = jnp.where(seen_11CC, query_BHCC, 0)
        read_BHCK, write_BHCK, kept_BH11 = (
            k_BHCK,
            k_BHCK,
            jnp.ones((B, H, 1, 1), state_BHKE.dtype),
        )
        if log_decay:
            span = chunks.spans(log_decay[0])
            weight_BHCC = jnp.exp(span.between)
            key_BHCC, query_BHCC = key_BHCC * weight_BHCC, query_BHCC * weight_BHCC
            since_BHC1 = jnp.exp(span.since)[..., None]
            read_BHCK, q_BHCK = k_BHCK * since_BHC1, q_BHCK * since_BHC1
            write_BHCK = k_BHCK * jnp.exp(span.until)[..., None]
            kept_BH11 = since_BHC1[:, :, -1:]
        if segments_BC is not None:
            meets = chunks.meeting(segments_BC, last_B)
            first_BHCK = meets.first_BC[:, None, :, None]
            key_BHCC = jnp.where(meets.same_BCC[:, None], key_BHCC, 0)
            query_BHCC = jnp.where(meets.same_BCC[:, None], query_BHCC, 0)
            read_BHCK = jnp.where(first_BHCK, read_BHCK, 0)
            q_BHCK = jnp.where(first_BHCK, q_BHCK, 0)
            write_BHCK = jnp.where(meets.final_BC[:, None, :, None], write_BHCK, 0)
            kept_BH11 = jnp.where(meets.through_B[:, None, None, None], kept_BH11, 0)
            last_B = segments_BC[:, -1]
        held_BHCE = read_BHCK @ state_BHKE
        update_BHCE = triangular.solve(
            beta_BHC1 * key_BHCC, beta_BHC1 * (v_BHCE - held_BHCE)
        )
        out_BHCE = q_BHCK @ state_BHKE + query_BHCC @ update_BHCE
        state_BHKE = state_BHKE * kept_BH11
        state_BHKE = state_BHKE + jnp.swapaxes(write_BHCK, 2, 3) @ update_BHCE
        return (state_BHKE, last_B), jnp.swapaxes(out_BHCE, 1, 2)

    arrays = q_BTHK, k_BTHK, v_BTHE, beta_BTH
    if log_decay_BTH is not None:
        arrays = *arrays, log_decay_BTH
    state_BHKE = jnp.zeros((B, H, K, v_BTHE.shape[-1]), v_BTHE.dtype)
    last_B = None if segments_BT is None else jnp.zeros_like(segments_BT[:, 0])
    inputs = jax.tree.map(lambda x_BT: chunks.cut(x_BT, C), (segments_BT, *arrays))
    (state_BHKE, _), out_NBCHE = jax.lax.scan(
        jax.checkpoint(body), (state_BHKE, last_B), inputs
    )
    return chunks.join(out_NBCHE, T), state_BHKE
