"""Recurrences: a diagonal linear one, and the LSTM and GRU scanned over time.

Every function restarts its state where a segment begins. What the input contributes
(projections, gates) is computed by the caller for all times at once; the scan holds
only what truly depends on the step before.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from attn_research.ops.precision import wide


def diagonal_recurrence(
    a_BTN: jax.Array,
    b_BTN: jax.Array,
    *,
    segments_BT: jax.Array | None = None,
    implementation: str | None = None,
) -> jax.Array:
    """h_BTN of h_t = a_t h_{t-1} + b_t with h_{-1} = 0, in the dtype of b.

    The state is float32 at least (complex stays complex). It restarts in every
    segment and is exactly zero at padding (segment 0). `implementation` is "naive" (a
    Python loop, the twin), "sequential" (a scan) or "associative" (log2 T sweeps over
    the whole array); None picks sequential on CPU, where it is several times faster,
    and associative on accelerators. Raises ValueError for any other name.
    """
    dtype = b_BTN.dtype
    work = wide(dtype)
    a_BTN, b_BTN = a_BTN.astype(work), b_BTN.astype(work)
    if segments_BT is not None:
        real_BT1 = (segments_BT != 0)[..., None]
        kept_BT1 = ~begins(segments_BT)[..., None] & real_BT1
        a_BTN, b_BTN = jnp.where(kept_BT1, a_BTN, 0), jnp.where(real_BT1, b_BTN, 0)
    if implementation is None:
        on_cpu = jax.default_backend() == "cpu"
        implementation = "sequential" if on_cpu else "associative"
    match implementation:
        case "naive":
            h_BTN = _naive(a_BTN, b_BTN)
        case "sequential":
            h_BTN = _sequential(a_BTN, b_BTN)
        case "associative":
            _, h_BTN = jax.lax.associative_scan(_compose, (a_BTN, b_BTN), axis=1)
        case _:
            raise ValueError(
                f"implementation is {implementation!r}; "
                "naive, sequential, associative or None is allowed"
            )
    return h_BTN.astype(dtype)


def begins(segments_BT: jax.Array) -> jax.Array:
    """True where a position has another segment than the one before, as bool (B, T)."""
    changed_BT = segments_BT[:, 1:] != segments_BT[:, :-1]
    return jnp.pad(changed_BT, ((0, 0), (1, 0)), constant_values=True)


def _naive(a_BTN, b_BTN):
    h_BN, history = jnp.zeros_like(b_BTN[:, 0]), []
    for t in range(b_BTN.shape[1]):
        h_BN = a_BTN[:, t] * h_BN + b_BTN[:, t]
        history.append(h_BN)
    return jnp.stack(history, axis=1)


def _sequential(a_BTN, b_BTN):
    def token(h_BN, inputs):
        a_BN, b_BN = inputs
        h_BN = a_BN * h_BN + b_BN
        return h_BN, h_BN

    inputs = jnp.swapaxes(a_BTN, 0, 1), jnp.swapaxes(b_BTN, 0, 1)
    _, h_TBN = jax.lax.scan(token, jnp.zeros_like(b_BTN[:, 0]), inputs)
    return jnp.swapaxes(h_TBN, 0, 1)


def _compose(first, then):
    """The map h -> a h + b of two stretches, one after the other."""
    (a, b), (a_then, b_then) = first, then
    return a * a_then, a_then * b + b_then


# --- gated cells ---------------------------------------------------------------------

# (state, projected input (B, gates N), kernel (N, gates N), bias of the recurrence)
# -> state; the output is the first leaf of the state.
State = tuple[jax.Array, ...]


def lstm_cell(state: State, z_BZ: jax.Array, kernel_NZ: jax.Array) -> State:
    """(h_BN, c_BN) after one token; z is W x + b, gates in the order i, f, g, o.

    c' = sigmoid(f) c + sigmoid(i) tanh(g), h' = sigmoid(o) tanh(c').
    Hochreiter and Schmidhuber, 1997; forget gate: Gers et al., 2000.
    """
    h_BN, c_BN = state
    i_BN, f_BN, g_BN, o_BN = jnp.split(z_BZ + h_BN @ kernel_NZ, 4, axis=-1)
    c_BN = jax.nn.sigmoid(f_BN) * c_BN + jax.nn.sigmoid(i_BN) * jnp.tanh(g_BN)
    return jax.nn.sigmoid(o_BN) * jnp.tanh(c_BN), c_BN


def gru_cell(
    state: State, z_BZ: jax.Array, kernel_NZ: jax.Array, bias_N: jax.Array
) -> State:
    """(h_BN,) after one token; z is W x + b, gates in the order r, u, n.

    n' = tanh(n + r (U h + bias)), h' = u h + (1 - u) n': the reset gate follows the
    matrix product, as in cuDNN, so that one product serves all gates.
    Cho et al., 2014, arXiv:1406.1078.
    """
    (h_BN,) = state
    r_BN, u_BN, n_BN = jnp.split(z_BZ, 3, axis=-1)
    hr_BN, hu_BN, hn_BN = jnp.split(h_BN @ kernel_NZ, 3, axis=-1)
    r_BN, u_BN = jax.nn.sigmoid(r_BN + hr_BN), jax.nn.sigmoid(u_BN + hu_BN)
    n_BN = jnp.tanh(n_BN + r_BN * (hn_BN + bias_N[None]))
    return (u_BN * h_BN + (1 - u_BN) * n_BN,)


def scan_cell(
    cell: Callable[..., State],
    z_BTZ: jax.Array,
    state: State,
    *weights: jax.Array,
    segments_BT: jax.Array | None = None,
    implementation: str | None = None,
) -> jax.Array:
    """h_BTN of a cell run over time from `state`, which every segment restarts from.

    h is exactly zero at padding. Computes in the dtype of the state. `implementation`
    is "naive" (a Python loop, the twin) or "scan"; None picks scan. Raises ValueError
    for any other name.
    """
    if implementation not in (None, "naive", "scan"):
        raise ValueError(
            f"implementation is {implementation!r}; naive, scan or None is allowed"
        )
    z_TBZ = jnp.swapaxes(z_BTZ, 0, 1).astype(state[0].dtype)
    fresh_TB1 = None
    if segments_BT is not None:
        fresh_TB1 = begins(segments_BT).T[..., None]
    weights = tuple(weight.astype(z_TBZ.dtype) for weight in weights)
    start = state

    def token(state, inputs):
        z_BZ, fresh_B1 = inputs
        if fresh_B1 is not None:
            state = tuple(
                jnp.where(fresh_B1, first, now)
                for first, now in zip(start, state, strict=True)
            )
        state = cell(state, z_BZ, *weights)
        return state, state[0]

    if implementation == "naive":
        history = []
        for t in range(z_TBZ.shape[0]):
            inputs = jax.tree.map(lambda x, t=t: x[t], (z_TBZ, fresh_TB1))
            state, h_BN = token(state, inputs)
            history.append(h_BN)
        h_TBN = jnp.stack(history)
    else:
        _, h_TBN = jax.lax.scan(token, state, (z_TBZ, fresh_TB1))
    h_BTN = jnp.swapaxes(h_TBN, 0, 1)
    if segments_BT is not None:
        h_BTN = jnp.where((segments_BT != 0)[..., None], h_BTN, 0)
    return h_BTN.astype(z_BTZ.dtype)
