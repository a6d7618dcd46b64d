"""The delta rule: a state that corrects what it already holds for a key.

    S_t = a_t S_{t-1} + k_t u_t,  u_t = b_t (v_t - k_t a_t S_{t-1}),  out_t = q_t S_t

Of what the faded state reads at k_t the share b_t is replaced by v_t. Keys of length 1
and b in (0, 1) shrink the state along the key; b in (1, 2) turns its sign, which lets a
state count and track (Grazzi et al., 2024, arXiv:2411.12537). Schlag et al., 2021,
arXiv:2102.11174; the decay a_t: Yang et al., 2024, arXiv:2412.06464.
"""

from typing import Any, Literal

import jax
import jax.numpy as jnp

from attn_research.ops import chunks
from attn_research.ops.delta.general import general, generalized_delta_step
from attn_research.ops.linearity import linear_in
from attn_research.ops.precision import wide


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
    gradients. `implementation` is "naive" (token by token, each transition a matrix),
    "recurrent" or "chunked" (linear in T, a state per chunk kept for the backward);
    None picks chunked. Raises ValueError for any other name, or for a chunk below 1.
    """
    # Padding may hold NaN, which products would let through to their gradients.
    k_BTHK, v_BTHE, beta_BTH = (
        chunks.real(x_BT, segments_BT) for x_BT in (k_BTHK, v_BTHE, beta_BTH)
    )
    k_BT1HK, v_BT1HE, erase_BT1HK = _arrays(k_BTHK, v_BTHE, beta_BTH)
    return general(
        q_BTHK,
        k_BT1HK,
        v_BT1HE,
        erase_BT1HK,
        None,
        None if log_decay_BTH is None else log_decay_BTH[..., None],
        segments_BT,
        chunk=chunk,
        implementation=implementation,
    ).astype(v_BTHE.dtype)


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
    k_B1HK, v_B1HE, erase_B1HK = _arrays(k_BHK, v_BHE, beta_BH)
    out_BHE, state_BHKE = generalized_delta_step(
        q_BHK,
        k_B1HK,
        v_B1HE,
        erase_B1HK,
        state_BHKE,
        log_decay_BHK=None if log_decay_BH is None else log_decay_BH[..., None],
    )
    return out_BHE.astype(v_BHE.dtype), state_BHKE


def _arrays(k, v, beta):
    """Keys, values and erasing keys of one update, in float32 at least."""
    work = wide(v.dtype)
    k, v, beta = k.astype(work), v.astype(work), beta.astype(work)[..., None]
    return tuple(x[..., None, :, :] for x in (k, beta * v, beta * k))
