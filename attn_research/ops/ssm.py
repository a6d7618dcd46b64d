"""A diagonal, time-invariant state space for each channel."""

from typing import Literal

import jax
import jax.numpy as jnp

from attn_research.ops import chunks
from attn_research.ops.fft import long_convolution
from attn_research.ops.implementations import check_implementation
from attn_research.ops.linearity import linear_in
from attn_research.ops.precision import wide
from attn_research.ops.recurrence import begins, diagonal_recurrence

CHUNK = 64


@linear_in("u_BTD")
def state_space(
    u_BTD: jax.Array,
    log_DN: jax.Array,
    read_DN: jax.Array,
    *,
    segments_BT: jax.Array | None = None,
    implementation: Literal["naive", "sequential", "convolution"] | None = None,
    chunk: int = CHUNK,
) -> jax.Array:
    """y_BTD, y_t = 2 Re sum_n read_n h_tn, h_t = exp(log) h_{t-1} + u_t, all complex.

    The states restart in every segment; y is exactly zero at padding. `implementation`
    is "naive" (a Python loop, the twin), "sequential" (a scan, its states recomputed
    `chunk` by chunk in the backward) or "convolution" with the `kernel`, by halving;
    None picks convolution. Raises ValueError for any other name.
    Gu et al., 2022, arXiv:2206.11893.
    """
    dtype, T = u_BTD.dtype, u_BTD.shape[1]
    u_BTD = u_BTD.astype(wide(dtype))
    if segments_BT is not None:
        u_BTD = jnp.where((segments_BT != 0)[..., None], u_BTD, 0)
    fresh_BT = None if segments_BT is None else begins(segments_BT)
    a_DN = jnp.exp(log_DN)
    first_BDN = jnp.zeros((u_BTD.shape[0], *a_DN.shape), a_DN.dtype)

    def token(h_BDN, inputs):
        u_BD, fresh_B = inputs
        if fresh_B is not None:
            h_BDN = jnp.where(fresh_B[:, None, None], 0, h_BDN)
        y_BD, h_BDN = _advance(u_BD, a_DN, read_DN, h_BDN)
        return h_BDN, y_BD

    check_implementation(implementation, "naive", "sequential", "convolution")
    match implementation:
        case "naive":
            h_BDN, history = first_BDN, []
            for t in range(T):
                fresh_B = None if fresh_BT is None else fresh_BT[:, t]
                h_BDN, y_BD = token(h_BDN, (u_BTD[:, t], fresh_B))
                history.append(y_BD)
            y_BTD = jnp.stack(history, axis=1)
        case "sequential":

            @jax.checkpoint
            def body(h_BDN, inputs):
                return _chunk(a_DN, read_DN, h_BDN, inputs)

            inputs = (u_BTD, fresh_BT)
            cut = jax.tree.map(lambda x: chunks.cut(x, min(chunk, T)), inputs)
            y_BTD = chunks.join(jax.lax.scan(body, first_BDN, cut)[1], T)
        case _:
            kernel_TD = kernel(log_DN, read_DN, T)
            y_BTD = long_convolution(u_BTD, kernel_TD, segments_BT=segments_BT)
    if segments_BT is not None:
        y_BTD = jnp.where((segments_BT != 0)[..., None], y_BTD, 0)
    return y_BTD.astype(dtype)


def state_space_step(
    u_BD: jax.Array, log_DN: jax.Array, read_DN: jax.Array, h_BDN: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """(y_BD, next state) of one token, at the precision of the state."""
    real = h_BDN.real.dtype
    return _advance(u_BD.astype(real), jnp.exp(log_DN), read_DN, h_BDN)


def kernel(log_DN: jax.Array, read_DN: jax.Array, length: int) -> jax.Array:
    """kernel_TD, kernel_t = 2 Re sum_n read_n exp(t log_n).

    t = i C + j: powers of both kinds and one product, sqrt(T) D N numbers in memory.
    """
    C = max(1, round(length**0.5))
    rows = -(-length // C)
    real = log_DN.real.dtype
    row_I, column_J = (jnp.arange(n, dtype=real) for n in (rows, C))
    start_DIN = read_DN[:, None] * _powers(log_DN, row_I * C)
    step_DJN = _powers(log_DN, column_J)
    # 2 Re(x y) of complex numbers is one product of real ones.
    start_DIN = jnp.concatenate([2 * start_DIN.real, -2 * start_DIN.imag], axis=-1)
    step_DJN = jnp.concatenate([step_DJN.real, step_DJN.imag], axis=-1)
    kernel_DIJ = jnp.einsum(
        "DIN,DJN->DIJ", start_DIN, step_DJN, precision=jax.lax.Precision.HIGHEST
    )
    return kernel_DIJ.reshape(log_DN.shape[0], rows * C)[:, :length].T


def _powers(log_DN, time_J):
    """exp(t log) as (D, J, N)."""
    return jnp.exp(log_DN[:, None] * time_J[None, :, None].astype(log_DN.dtype))


def _advance(u_BD, a_DN, read_DN, h_BDN):
    h_BDN = a_DN[None] * h_BDN + u_BD[..., None].astype(h_BDN.dtype)
    return 2 * (read_DN[None] * h_BDN).real.sum(-1), h_BDN


def _chunk(a_DN, read_DN, h_BDN, inputs):
    """The state after a chunk, and y_BCD; only the recurrence goes token by token."""
    u_BCD, fresh_BC = inputs
    shape = *u_BCD.shape, a_DN.shape[1]
    a_BCDN = jnp.broadcast_to(a_DN[None, None], shape)
    if fresh_BC is not None:
        a_BCDN = jnp.where(fresh_BC[..., None, None], 0, a_BCDN)
    added_BCDN = jnp.broadcast_to(u_BCD[..., None].astype(a_DN.dtype), shape)
    added_BCDN = added_BCDN.at[:, 0].add(a_BCDN[:, 0] * h_BDN)
    h_BCX = diagonal_recurrence(
        a_BCDN.reshape(*shape[:2], -1), added_BCDN.reshape(*shape[:2], -1)
    )
    h_BCDN = h_BCX.reshape(shape)
    return h_BCDN[:, -1], 2 * (read_DN[None, None] * h_BCDN).real.sum(-1)
