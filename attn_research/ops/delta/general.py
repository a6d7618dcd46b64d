"""The generalised delta rule: one recurrence behind the delta rule's descendants.

    S_t,0 = diag(a_t) S_{t-1}
    S_t,j = S_t,j-1 + k_tj v_tj - r_tj (e_tj S_t,j-1),  j = 1 ... J
    out_t = q_t S_t,J

Each of J updates of a token erases, along r, what e reads of the state, and writes v
along k. So S_t = (D_t + sum of matrices of rank one) S_{t-1} + sum of k v. It is

- the delta rule: J = 1, e = b k, r = k, v = b v', with a decay per head or none;
- Kimi delta attention: the same with a decay per channel (Kimi Team, 2025,
  arXiv:2510.26692);
- gated DeltaNet-2: e = b * k and v = w * v' with a strength per channel
  (arXiv:2605.22791);
- DeltaProduct: J updates, each a generalised Householder matrix (Siems et al., 2025,
  arXiv:2502.10297);
- Comba: e = b p with a key p of its own to read with (Hu et al., 2025,
  arXiv:2506.02475);
- RWKV-7: e, r and k all differ (Peng et al., 2025, arXiv:2503.14456). It reads the
  state before it fades, which is e / a here; its decays are bounded from below.
"""

from typing import Literal

import jax
import jax.numpy as jnp

from attn_research.ops import chunks
from attn_research.ops.delta.chunked import chunked
from attn_research.ops.implementations import check_implementation
from attn_research.ops.linearity import linear_in
from attn_research.ops.precision import wide
from attn_research.ops.recurrence import begins

Form = Literal["naive", "recurrent", "chunked"]


@linear_in("v_BTJHE")
def generalized_delta_rule(
    q_BTHK: jax.Array,
    k_BTJHK: jax.Array,
    v_BTJHE: jax.Array,
    erase_BTJHK: jax.Array,
    *,
    remove_BTJHK: jax.Array | None = None,
    log_decay_BTHK: jax.Array | None = None,
    segments_BT: jax.Array | None = None,
    chunk: int = 64,
    implementation: Form | None = None,
) -> jax.Array:
    """out_BTHE, in the dtype of v; the state is in float32 at least.

    `remove_BTJHK` None is `k_BTJHK`. `log_decay_BTHK` is at most 0 (None: no decay);
    its last axis is of size 1 for one decay per head. The state stays bounded if the
    erasing removes at most twice what it reads. Positions see their own segment; the
    output at padding (segment 0) is exactly zero, and so are its gradients. A chunk is
    counted in updates: it has `chunk` / J tokens, with a decay per channel the next
    power of two. `implementation` is as in `delta_rule`. Raises ValueError for any
    other name, or for a chunk below 1.
    """
    return general(
        q_BTHK,
        k_BTJHK,
        v_BTJHE,
        erase_BTJHK,
        remove_BTJHK,
        log_decay_BTHK,
        segments_BT,
        chunk=chunk,
        implementation=implementation,
    )


def general(
    q_BTHK: jax.Array,
    k_BTJHK: jax.Array,
    v_BTJHE: jax.Array,
    erase_BTJHK: jax.Array,
    remove_BTJHK: jax.Array | None,
    log_decay_BTHK: jax.Array | None,
    segments_BT: jax.Array | None,
    *,
    chunk: int,
    implementation: Form | None,
) -> jax.Array:
    """`generalized_delta_rule` without a name in the trace."""
    if chunk < 1:
        raise ValueError(f"chunk is {chunk}; it must be at least 1")
    check_implementation(implementation, "naive", "recurrent", "chunked")
    dtype = v_BTJHE.dtype
    given = q_BTHK, k_BTJHK, v_BTJHE, erase_BTJHK, remove_BTJHK, log_decay_BTHK
    arrays = tuple(
        None if x is None else chunks.real(x.astype(wide(dtype)), segments_BT)
        for x in given
    )
    match implementation or "chunked":
        case "naive":
            out_BTHE, _ = scanned(_transition, arrays, segments_BT)
        case "recurrent":
            out_BTHE, _ = scanned(_token, arrays, segments_BT)
        case _:
            out_BTHE, _ = chunked(arrays, segments_BT, chunk)
    return chunks.real(out_BTHE, segments_BT).astype(dtype)


def generalized_delta_step(
    q_BHK: jax.Array,
    k_BJHK: jax.Array,
    v_BJHE: jax.Array,
    erase_BJHK: jax.Array,
    state_BHKE: jax.Array,
    *,
    remove_BJHK: jax.Array | None = None,
    log_decay_BHK: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]:
    """(out_BHE, next state): one token of the rule, from `delta_start` on."""
    given = q_BHK, k_BJHK, v_BJHE, erase_BJHK, remove_BJHK, log_decay_BHK
    work = state_BHKE.dtype
    arrays = tuple(None if x is None else x.astype(work) for x in given)
    state_BHKE, out_BHE = _token(state_BHKE, arrays)
    return out_BHE.astype(v_BJHE.dtype), state_BHKE


def scanned(token, arrays, segments_BT):
    """(out_BTHE, final state) by a scan over tokens; a segment begins with zeros."""
    q_BTHK, _, v_BTJHE, *_ = arrays
    B, T, H, K = q_BTHK.shape
    fresh_BT = jnp.zeros((B, T), bool)
    if segments_BT is not None:
        fresh_BT = begins(segments_BT)

    def one(state_BHKE, inputs):
        fresh_B, arrays = inputs
        return token(jnp.where(fresh_B[:, None, None, None], 0, state_BHKE), arrays)

    inputs = jax.tree.map(lambda x: jnp.moveaxis(x, 1, 0), (fresh_BT, arrays))
    start_BHKE = jnp.zeros((B, H, K, v_BTJHE.shape[-1]), v_BTJHE.dtype)
    state_BHKE, out_TBHE = jax.lax.scan(one, start_BHKE, inputs)
    return jnp.moveaxis(out_TBHE, 0, 1), state_BHKE


def _token(state_BHKE, inputs):
    """(state, out) after one more token: J updates in turn."""
    q_BHK, k_BJHK, v_BJHE, erase_BJHK, remove_BJHK, log_decay_BHK = inputs
    if log_decay_BHK is not None:
        state_BHKE = state_BHKE * jnp.exp(log_decay_BHK)[..., None]
    for j in range(k_BJHK.shape[1]):
        k_BHK, v_BHE, erase_BHK = (x[:, j] for x in (k_BJHK, v_BJHE, erase_BJHK))
        held_BHE = jnp.einsum("BHK,BHKE->BHE", erase_BHK, state_BHKE)
        if remove_BJHK is None:
            state_BHKE = state_BHKE + _outer(k_BHK, v_BHE - held_BHE)
        else:
            written_BHKE = _outer(k_BHK, v_BHE) - _outer(remove_BJHK[:, j], held_BHE)
            state_BHKE = state_BHKE + written_BHKE
    return state_BHKE, jnp.einsum("BHK,BHKE->BHE", q_BHK, state_BHKE)


def _outer(key_BHK, value_BHE):
    return key_BHK[..., None] * value_BHE[..., None, :]


def _transition(state_BHKE, inputs):
    """(state, out) after one more token, by the formula: S = (D + sum a b) S + k v.

    Every update multiplies the state by a matrix of K x K. The twin of the other forms.
    """
    q_BHK, k_BJHK, v_BJHE, erase_BJHK, remove_BJHK, log_decay_BHK = inputs
    remove_BJHK = k_BJHK if remove_BJHK is None else remove_BJHK
    K = q_BHK.shape[-1]
    one_11KK = jnp.eye(K, dtype=q_BHK.dtype)[None, None]
    decay_BHK = jnp.ones_like(q_BHK)
    if log_decay_BHK is not None:
        decay_BHK = jnp.broadcast_to(jnp.exp(log_decay_BHK), q_BHK.shape)
    state_BHKE = (one_11KK * decay_BHK[..., None]) @ state_BHKE
    for j in range(k_BJHK.shape[1]):
        erasing_BHKK = one_11KK - _outer(remove_BJHK[:, j], erase_BJHK[:, j])
        written_BHKE = _outer(k_BJHK[:, j], v_BJHE[:, j])
        state_BHKE = erasing_BHKK @ state_BHKE + written_BHKE
    return state_BHKE, jnp.einsum("BHK,BHKE->BHE", q_BHK, state_BHKE)
