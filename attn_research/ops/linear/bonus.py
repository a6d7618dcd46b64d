"""Linear attention that reads its state before it writes: RWKV-6.

    out_t = q_t (S_{t-1} + diag(u) k_t v_t'),   S_t = diag(f_t) S_{t-1} + k_t v_t'

The bonus u weighs the token itself, which has not decayed. A query that is moved to the
token before it reads the same state after that token has written, so that the chunks
are those of `linear_attention`. Peng et al., 2024, arXiv:2404.05892.
"""

from typing import Literal

import jax
import jax.numpy as jnp

from attn_research.ops import chunks
from attn_research.ops.implementations import check_implementation
from attn_research.ops.linear.chunked import chunked
from attn_research.ops.linearity import linear_in
from attn_research.ops.precision import wide
from attn_research.ops.recurrence import begins


@linear_in("v_BTHE")
def bonus_attention(
    q_BTHM: jax.Array,
    k_BTHM: jax.Array,
    v_BTHE: jax.Array,
    bonus_HM: jax.Array,
    *,
    log_decay_BTHM: jax.Array,
    segments_BT: jax.Array | None = None,
    chunk: int = 64,
    implementation: Literal["naive", "chunked"] | None = None,
) -> jax.Array:
    """out_BTHE, in the dtype of v; sums are in float32 at least.

    The state restarts in every segment; the output at padding is exactly zero, and so
    are its gradients. "naive" is the recurrence, token by token; "chunked", the
    default, is as in `linear_attention`. Raises ValueError for another name or a chunk
    below 1.
    """
    if chunk < 1:
        raise ValueError(f"chunk is {chunk}; it must be at least 1")
    check_implementation(implementation, "naive", "chunked")
    dtype, work = v_BTHE.dtype, wide(v_BTHE.dtype)
    q_BTHM, k_BTHM, v_BTHE, log_decay_BTHM = (
        chunks.real(x.astype(work), segments_BT)
        for x in (q_BTHM, k_BTHM, v_BTHE, log_decay_BTHM)
    )
    bonus_HM = bonus_HM.astype(work)
    if implementation == "naive":
        out_BTHE = _naive(q_BTHM, k_BTHM, v_BTHE, bonus_HM, log_decay_BTHM, segments_BT)
    else:
        past_BTHE = _past(q_BTHM, k_BTHM, v_BTHE, log_decay_BTHM, segments_BT, chunk)
        out_BTHE = past_BTHE + _own(q_BTHM, k_BTHM, v_BTHE, bonus_HM[None, None])
    return chunks.real(out_BTHE, segments_BT).astype(dtype)


def bonus_step(
    q_BHM: jax.Array,
    k_BHM: jax.Array,
    v_BHE: jax.Array,
    bonus_HM: jax.Array,
    state_BHME: jax.Array,
    *,
    log_decay_BHM: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """(out_BHE, next state): one token, from a state of zeros on."""
    dtype, work = v_BHE.dtype, state_BHME.dtype
    q_BHM, k_BHM, v_BHE = (x.astype(work) for x in (q_BHM, k_BHM, v_BHE))
    out_BHE = jnp.einsum("BHM,BHME->BHE", q_BHM, state_BHME)
    out_BHE = out_BHE + _own(q_BHM, k_BHM, v_BHE, bonus_HM.astype(work)[None])
    kept_BHME = jnp.exp(log_decay_BHM.astype(work))[..., None] * state_BHME
    state_BHME = kept_BHME + k_BHM[..., None] * v_BHE[..., None, :]
    return out_BHE.astype(dtype), state_BHME


def _own(q: jax.Array, k: jax.Array, v: jax.Array, bonus: jax.Array) -> jax.Array:
    """What a token reads of itself."""
    return (q * bonus * k).sum(-1, keepdims=True) * v


def _past(q_BTHM, k_BTHM, v_BTHE, log_decay_BTHM, segments_BT, chunk):
    """q_t S_{t-1}."""
    start = ((0, 0), (1, 0), (0, 0), (0, 0))
    next_BTHM = jnp.pad(q_BTHM[:, 1:], ((0, 0), (0, 1), (0, 0), (0, 0)))
    (read_BTHE,), _ = chunked(
        next_BTHM,
        k_BTHM,
        (v_BTHE,),
        log_decay_BTHM,
        segments_BT,
        chunk=chunk,
        strict=False,
    )
    past_BTHE = jnp.pad(read_BTHE[:, :-1], start)
    if segments_BT is None:
        return past_BTHE
    return jnp.where(begins(segments_BT)[..., None, None], 0, past_BTHE)


def _naive(q_BTHM, k_BTHM, v_BTHE, bonus_HM, log_decay_BTHM, segments_BT):
    """The definition, token by token; the twin of the chunked form."""
    (B, T, H, M), E = q_BTHM.shape, v_BTHE.shape[-1]
    fresh_BT = jnp.zeros((B, T), bool) if segments_BT is None else begins(segments_BT)

    def token(state_BHME, inputs):
        fresh_B, q_BHM, k_BHM, v_BHE, log_decay_BHM = inputs
        state_BHME = jnp.where(fresh_B[:, None, None, None], 0, state_BHME)
        out_BHE, state_BHME = bonus_step(
            q_BHM, k_BHM, v_BHE, bonus_HM, state_BHME, log_decay_BHM=log_decay_BHM
        )
        return state_BHME, out_BHE

    inputs = fresh_BT, q_BTHM, k_BTHM, v_BTHE, log_decay_BTHM
    inputs = jax.tree.map(lambda x: jnp.moveaxis(x, 1, 0), inputs)
    zeros_BHME = jnp.zeros((B, H, M, E), q_BTHM.dtype)
    return jnp.moveaxis(jax.lax.scan(token, zeros_BHME, inputs)[1], 0, 1)
