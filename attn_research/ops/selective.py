"""The selective scan: a diagonal state per channel, steps and directions per token."""

from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp

from attn_research.ops import chunks
from attn_research.ops.implementations import check_implementation
from attn_research.ops.linearity import linear_in
from attn_research.ops.platform import accelerated
from attn_research.ops.precision import wide
from attn_research.ops.recurrence import begins, diagonal_recurrence

CHUNKS = {"sequential": 16, "associative": 64}  # measured best


@linear_in("u_BTD")
def selective_scan(
    u_BTD: jax.Array,
    step_BTD: jax.Array,
    rate_DN: jax.Array,
    write_BTN: jax.Array,
    read_BTN: jax.Array,
    *,
    segments_BT: jax.Array | None = None,
    implementation: Literal["naive", "sequential", "associative"] | None = None,
    chunk: int | None = None,
) -> jax.Array:
    """y_BTD, y_t = h_t read_t, h_t = exp(-step_t rate) h_{t-1} + step_t u_t write_t.

    The state h (B, N, D) is float32 at least, restarts in every segment, and is stored
    at the start of each chunk only: the rest is recomputed in the backward, so that
    memory is T (D + N) + T D N / chunk. y is exactly zero at padding. `implementation`
    is "naive" (a Python loop, the twin), "sequential" (a scan over tokens within a scan
    over chunks) or "associative" (log2 chunk sweeps within it); None picks sequential
    on CPU and associative on accelerators, and a `chunk` of None the best for each.
    Raises ValueError for any other name. Gu and Dao, 2023, arXiv:2312.00752.
    """
    dtype, T = u_BTD.dtype, u_BTD.shape[1]
    work = wide(dtype)
    inputs = (u_BTD, step_BTD, write_BTN, read_BTN)
    u_BTD, step_BTD, write_BTN, read_BTN = (x.astype(work) for x in inputs)
    rate_ND = rate_DN.astype(work).T
    kept_BT = None
    if segments_BT is not None:
        kept_BT, real_BT1 = ~begins(segments_BT), (segments_BT != 0)[..., None]
        inputs = (u_BTD, step_BTD, write_BTN, read_BTN)
        u_BTD, step_BTD, write_BTN, read_BTN = (
            jnp.where(real_BT1, x, 0) for x in inputs
        )
    u_BTD = u_BTD * step_BTD
    first_BND = jnp.zeros((u_BTD.shape[0], *rate_ND.shape), work)
    inputs = u_BTD, step_BTD, write_BTN, read_BTN, kept_BT
    if implementation is None:
        implementation = "associative" if accelerated() else "sequential"
    check_implementation(implementation, "naive", "sequential", "associative")
    match implementation:
        case "naive":
            h_BND, history = first_BND, []
            for t in range(T):
                now = jax.tree.map(lambda x, t=t: x[:, t], inputs)
                h_BND, y_BD = _token(rate_ND, h_BND, now)
                history.append(y_BD)
            y_BTD = jnp.stack(history, axis=1)
        case "sequential" | "associative":

            def body(h_BND: jax.Array, inputs: Any) -> Any:
                return _chunk(implementation, rate_ND, h_BND, inputs)

            size = min(chunk or chunks.tokens(CHUNKS[implementation]), T)
            cut = jax.tree.map(lambda x: chunks.cut(x, size), inputs)
            y_BTD = chunks.join(jax.lax.scan(body, first_BND, cut)[1], T)
    if segments_BT is not None:
        y_BTD = jnp.where((segments_BT != 0)[..., None], y_BTD, 0)
    return y_BTD.astype(dtype)


def selective_step(
    u_BD: jax.Array,
    step_BD: jax.Array,
    rate_DN: jax.Array,
    write_BN: jax.Array,
    read_BN: jax.Array,
    h_BND: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """(y_BD, next state) of one token, in the dtype of the state."""
    inputs = (u_BD, step_BD, write_BN, read_BN)
    u_BD, step_BD, write_BN, read_BN = (x.astype(h_BND.dtype) for x in inputs)
    now = u_BD * step_BD, step_BD, write_BN, read_BN, None
    h_BND, y_BD = _token(rate_DN.astype(h_BND.dtype).T, h_BND, now)
    return y_BD, h_BND


def _token(rate_ND, h_BND, inputs):
    u_BD, step_BD, write_BN, read_BN, kept_B = inputs
    if kept_B is not None:
        h_BND = jnp.where(kept_B[:, None, None], h_BND, 0)
    decay_BND = jnp.exp(-step_BD[:, None] * rate_ND[None])
    h_BND = decay_BND * h_BND + u_BD[:, None] * write_BN[..., None]
    return h_BND, (h_BND * read_BN[..., None]).sum(1)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _chunk(form, rate_ND, h_BND, inputs):
    """The state after a chunk, and y_BCD: all states run at once, in a `form`."""
    h_BCND = _states(form, rate_ND, h_BND, inputs)[-1]
    return h_BCND[:, -1], _over_states(h_BCND, inputs[3])


def _states(form, rate_ND, h_BND, inputs):
    """The decay of every state at each token, the recurrence, its inputs, and h."""
    u_BCD, step_BCD, write_BCN, _, kept_BC = inputs
    decay_BCND = jnp.exp(-step_BCD[:, :, None] * rate_ND[None, None])
    if kept_BC is not None:
        decay_BCND = jnp.where(kept_BC[..., None, None], decay_BCND, 0)
    # Without it the exponentials are recomputed one by one wherever they are read.
    decay_BCND = jax.lax.optimization_barrier(decay_BCND)
    added_BCND = u_BCD[:, :, None] * write_BCN[..., None]
    added_BCND = added_BCND.at[:, 0].add(decay_BCND[:, 0] * h_BND)

    def run(decay_BCND, added_BCND):
        flat_BCX = (x.reshape(*x.shape[:2], -1) for x in (decay_BCND, added_BCND))
        h_BCX = diagonal_recurrence(*flat_BCX, implementation=form)
        return h_BCX.reshape(added_BCND.shape)

    return decay_BCND, run, added_BCND, run(decay_BCND, added_BCND)


def _over_states(x_BCND, weight_BCN):
    """x_BCD, weighed over the states: as a product, which is several times as fast."""
    return jnp.einsum("BCND,BCN->BCD", x_BCND, weight_BCN)


def _chunk_forward(form, rate_ND, h_BND, inputs):
    return _chunk(form, rate_ND, h_BND, inputs), (rate_ND, h_BND, inputs)


def _chunk_backward(form, saved, cotangents):
    rate_ND, h_BND, inputs = saved
    u_BCD, step_BCD, write_BCN, read_BCN, _ = inputs
    d_last_BND, d_y_BCD = cotangents
    decay_BCND, run, added_BCND, h_BCND = _states(form, rate_ND, h_BND, inputs)
    d_h_BCND = d_y_BCD[:, :, None] * read_BCN[..., None]
    d_h_BCND = d_h_BCND.at[:, -1].add(d_last_BND)
    d_decay_BCND, d_added_BCND = jax.vjp(run, decay_BCND, added_BCND)[1](d_h_BCND)
    first_BND = d_added_BCND[:, 0]
    d_log_BCND = d_decay_BCND.at[:, 0].add(first_BND * h_BND) * decay_BCND
    d_log_BCND, d_added_BCND = jax.lax.optimization_barrier((d_log_BCND, d_added_BCND))
    one_BCN = jnp.ones_like(write_BCN)
    d_step_BCD = -_over_states(d_log_BCND * rate_ND[None, None], one_BCN)
    d_rate_ND = -jnp.einsum("BCND,BCD->ND", d_log_BCND, step_BCD)
    d_inputs = (
        _over_states(d_added_BCND, write_BCN),
        d_step_BCD,
        jnp.einsum("BCND,BCD->BCN", d_added_BCND, u_BCD),
        jnp.einsum("BCND,BCD->BCN", h_BCND, d_y_BCD),
        None,
    )
    return d_rate_ND, decay_BCND[:, 0] * first_BND, d_inputs


_chunk.defvjp(_chunk_forward, _chunk_backward)
