"""The nonlinear recurrences: cells, and the scan that runs one over time.

What the input contributes is computed by the caller for all times at once; a cell adds
what the step before contributes, U h, and is pointwise otherwise. So the scan holds one
small matrix product a step, and the gradient of U is one large product after it.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp

from attn_research.ops.implementations import check_implementation
from attn_research.ops.recurrence import begins

# The output h is the first leaf. A cell maps (state, z, r) to the next state, where
# z = W x + b and r = U h + c hold its gates side by side on the last axis.
State = tuple[jax.Array, ...]
Cell = Callable[[State, jax.Array, jax.Array], State]


def rnn_cell(state: State, z: jax.Array, r: jax.Array) -> State:
    """(h,), h' = tanh(z + r). Elman, 1990."""
    return (jnp.tanh(z + r),)


def lstm_cell(state: State, z: jax.Array, r: jax.Array) -> State:
    """(h, c) after one token; gates in the order i, f, g, o.

    c' = sigmoid(f) c + sigmoid(i) tanh(g), h' = sigmoid(o) tanh(c').
    Hochreiter and Schmidhuber, 1997; forget gate: Gers et al., 2000.
    """
    i, f, g, o = jnp.split(z + r, 4, axis=-1)
    c = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def gru_cell(state: State, z: jax.Array, r: jax.Array) -> State:
    """(h,) after one token; gates in the order reset, update u, candidate n.

    n' = tanh(z_n + reset r_n), h' = u h + (1 - u) n': the reset gate follows the matrix
    product, as in cuDNN, so that one product serves all gates.
    Cho et al., 2014, arXiv:1406.1078.
    """
    z_reset, z_update, z_new = jnp.split(z, 3, axis=-1)
    r_reset, r_update, r_new = jnp.split(r, 3, axis=-1)
    reset, u = jax.nn.sigmoid(z_reset + r_reset), jax.nn.sigmoid(z_update + r_update)
    return (u * state[0] + (1 - u) * jnp.tanh(z_new + reset * r_new),)


def slstm_cell(state: State, z: jax.Array, r: jax.Array) -> State:
    """(h, c, n, m) after one token; gates in the order i, f, g, o.

    c' = sigmoid(f) c + exp(i) tanh(g), n' = sigmoid(f) n + exp(i), h' = sigmoid(o) c'
    / n', with c and n held in units of exp(m), m' = max(log sigmoid(f) + m, i). Before
    the first token c = n = 0 and m = -inf, so that n is at least 1 ever after.
    Beck et al., 2024, arXiv:2405.04517.
    """
    _, c, n, m = state
    i, f, g, o = jnp.split(z + r, 4, axis=-1)
    log_keep = jax.nn.log_sigmoid(f)
    # The unit cancels from h, so no gradient passes through it.
    unit = jax.lax.stop_gradient(jnp.maximum(log_keep + m, i))
    keep = jnp.exp(log_keep + jax.lax.stop_gradient(m) - unit)
    write = jnp.exp(i - unit)
    c, n = keep * c + write * jnp.tanh(g), keep * n + write
    return jax.nn.sigmoid(o) * c / n, c, n, unit


def scan_cell(
    cell: Cell,
    z_BTZ: jax.Array,
    state: State,
    kernel: jax.Array,
    bias_Z: jax.Array | None = None,
    *,
    segments_BT: jax.Array | None = None,
    implementation: Literal["naive", "scan"] | None = None,
) -> jax.Array:
    """h_BTN of a cell run over time, restarting from `state` in every segment.

    The kernel is (N, Z), or (H, K, Z / H) for separate heads; then the gates in z and
    the bias are grouped by head. h is exactly zero at padding. Computes in
    the dtype of the state. `implementation` is "naive" (a Python loop, the twin) or
    "scan" (with a backward pass of its own, which keeps the states and recomputes the
    gates); None picks scan. Raises ValueError for any other name.
    """
    check_implementation(implementation, "naive", "scan")
    z_TBZ = jnp.swapaxes(z_BTZ, 0, 1).astype(state[0].dtype)
    kernel = kernel.astype(z_TBZ.dtype)
    bias_Z = None if bias_Z is None else bias_Z.astype(z_TBZ.dtype)
    fresh_TB = None if segments_BT is None else begins(segments_BT).T
    run = _naive if implementation == "naive" else _scan
    h_BTN = jnp.swapaxes(run(cell, z_TBZ, state, kernel, bias_Z, fresh_TB), 0, 1)
    if segments_BT is not None:
        h_BTN = jnp.where((segments_BT != 0)[..., None], h_BTN, 0)
    return h_BTN.astype(z_BTZ.dtype)


def step_cell(
    cell: Cell,
    z_BZ: jax.Array,
    state: State,
    kernel: jax.Array,
    bias_Z: jax.Array | None = None,
) -> State:
    """The state after one token, with the arguments of `scan_cell`."""
    dtype = state[0].dtype
    bias_Z = None if bias_Z is None else bias_Z.astype(dtype)
    r_BZ = _contributed(state[0], kernel.astype(dtype), bias_Z)
    return _pointwise(cell, kernel)(state, z_BZ.astype(dtype), r_BZ)


def _naive(cell, z_TBZ, start, kernel, bias_Z, fresh_TB):
    state, history = start, []
    for t in range(z_TBZ.shape[0]):
        state = _restarted(state, start, None if fresh_TB is None else fresh_TB[t])
        state = step_cell(cell, z_TBZ[t], state, kernel, bias_Z)
        history.append(state[0])
    return jnp.stack(history)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _scan(cell, z_TBZ, start, kernel, bias_Z, fresh_TB):
    return _states(cell, z_TBZ, start, kernel, bias_Z, fresh_TB)[0]


def _states(cell, z_TBZ, start, kernel, bias_Z, fresh_TB):
    def token(state, inputs):
        z_BZ, fresh_B = inputs
        state = _restarted(state, start, fresh_B)
        state = step_cell(cell, z_BZ, state, kernel, bias_Z)
        return state, state

    return jax.lax.scan(token, start, (z_TBZ, fresh_TB))[1]


def _forward(cell, z_TBZ, start, kernel, bias_Z, fresh_TB):
    states = _states(cell, z_TBZ, start, kernel, bias_Z, fresh_TB)
    return states[0], (z_TBZ, start, kernel, bias_Z, fresh_TB, states)


def _backward(cell, saved, ct_TBN):
    z_TBZ, start, kernel, bias_Z, fresh_TB, states = saved
    before = tuple(
        jnp.concatenate([first[None], leaf[:-1]])
        for first, leaf in zip(start, states, strict=True)
    )
    spread = tuple(leaf[None] for leaf in start)
    before = _restarted(before, spread, fresh_TB)
    r_TBZ = _contributed(before[0], kernel, bias_Z)
    pointwise = _pointwise(cell, kernel)

    def token(carry, inputs):
        d_state, d_start = carry
        ct_BN, before, z_BZ, r_BZ, fresh_B = inputs
        _, back = jax.vjp(pointwise, before, z_BZ, r_BZ)
        d_before, dz_BZ, dr_BZ = back((d_state[0] + ct_BN, *d_state[1:]))
        d_before = (d_before[0] + _returned(dr_BZ, kernel), *d_before[1:])
        if fresh_B is not None:
            ended = fresh_B[:, None]
            d_start = tuple(
                total + jnp.where(ended, d, 0)
                for total, d in zip(d_start, d_before, strict=True)
            )
            d_before = tuple(jnp.where(ended, 0, d) for d in d_before)
        return (d_before, d_start), (dz_BZ, dr_BZ)

    nothing = tuple(jnp.zeros_like(leaf) for leaf in start)
    (d_state, d_start), (dz_TBZ, dr_TBZ) = jax.lax.scan(
        token,
        (nothing, nothing),
        (ct_TBN, before, z_TBZ, r_TBZ, fresh_TB),
        reverse=True,
    )
    d_start = tuple(a + b for a, b in zip(d_start, d_state, strict=True))
    d_bias_Z = None if bias_Z is None else dr_TBZ.sum((0, 1))
    return dz_TBZ, d_start, _outer(before[0], dr_TBZ, kernel), d_bias_Z, None


_scan.defvjp(_forward, _backward)


def _restarted(state, start, fresh_B):
    if fresh_B is None:
        return state
    return tuple(
        jnp.where(fresh_B[..., None], first, now)
        for first, now in zip(start, state, strict=True)
    )


def _pointwise(cell, kernel):
    """The cell on flat leaves (..., N), whatever the number of heads."""
    if kernel.ndim == 2:
        return cell
    heads = kernel.shape[0]

    def apart(x):
        return x.reshape(*x.shape[:-1], heads, -1)

    def run(state, z, r):
        state = cell(tuple(map(apart, state)), apart(z), apart(r))
        return tuple(leaf.reshape(*leaf.shape[:-2], -1) for leaf in state)

    return run


def _contributed(h, kernel, bias_Z):
    """U h + c."""
    if kernel.ndim == 3:
        h_HK = h.reshape(*h.shape[:-1], kernel.shape[0], -1)
        r = jnp.einsum("...HK,HKZ->...HZ", h_HK, kernel)
        r = r.reshape(*h.shape[:-1], -1)
    else:
        r = h @ kernel
    if bias_Z is None:
        return r
    return r + jnp.expand_dims(bias_Z, tuple(range(r.ndim - 1)))


def _returned(dr_BZ, kernel):
    """The gradient of h from that of U h."""
    if kernel.ndim == 2:
        return dr_BZ @ kernel.T
    dr_BHZ = dr_BZ.reshape(dr_BZ.shape[0], kernel.shape[0], -1)
    return jnp.einsum("BHZ,HKZ->BHK", dr_BHZ, kernel).reshape(dr_BZ.shape[0], -1)


def _outer(h_TBN, dr_TBZ, kernel):
    """The gradient of U, over all tokens at once.

    Tokens and rows are not merged into one axis: a batch that is sharded stays so.
    """
    if kernel.ndim == 2:
        return jnp.einsum("TBK,TBZ->KZ", h_TBN, dr_TBZ)
    h_TBHK, dr_TBHZ = (
        x.reshape(*x.shape[:2], kernel.shape[0], -1) for x in (h_TBN, dr_TBZ)
    )
    return jnp.einsum("TBHK,TBHZ->HKZ", h_TBHK, dr_TBHZ)
