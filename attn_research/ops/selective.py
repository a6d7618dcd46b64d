"""The selective scan: a diagonal state per channel, steps and directions per token."""

import jax
import jax.numpy as jnp

from attn_research.ops import chunks
from attn_research.ops.linearity import linear_in
from attn_research.ops.precision import wide
from attn_research.ops.recurrence import begins

CHUNK = 64


@linear_in("u_BTD")
def selective_scan(
    u_BTD: jax.Array,
    step_BTD: jax.Array,
    rate_DN: jax.Array,
    write_BTN: jax.Array,
    read_BTN: jax.Array,
    *,
    segments_BT: jax.Array | None = None,
    implementation: str | None = None,
    chunk: int = CHUNK,
) -> jax.Array:
    """y_BTD, y_t = h_t read_t, h_t = exp(-step_t rate) h_{t-1} + step_t u_t write_t.

    The state h (B, N, D) is float32 at least, restarts in every segment, and is kept
    only where a chunk begins: within it is recomputed in the backward, so that memory
    is T (D + N) + T D N / chunk. y is exactly zero at padding. `implementation` is
    "naive" (a Python loop, the twin), "sequential" (a scan over tokens within a scan
    over chunks) or "associative" (log2 chunk sweeps within it); None picks sequential
    on CPU and associative on accelerators. Raises ValueError for any other name.
    Gu and Dao, 2023, arXiv:2312.00752.
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
        on_cpu = jax.default_backend() == "cpu"
        implementation = "sequential" if on_cpu else "associative"
    match implementation:
        case "naive":
            h_BND, history = first_BND, []
            for t in range(T):
                now = jax.tree.map(lambda x, t=t: x[:, t], inputs)
                h_BND, y_BD = _token(rate_ND, h_BND, now)
                history.append(y_BD)
            y_BTD = jnp.stack(history, axis=1)
        case "sequential" | "associative":
            within = _tokens if implementation == "sequential" else _sweeps

            @jax.checkpoint
            def body(h_BND, inputs):
                return within(rate_ND, h_BND, inputs)

            cut = jax.tree.map(lambda x: chunks.cut(x, min(chunk, T)), inputs)
            y_BTD = chunks.join(jax.lax.scan(body, first_BND, cut)[1], T)
        case _:
            raise ValueError(
                f"implementation is {implementation!r}; "
                "naive, sequential, associative or None is allowed"
            )
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


def _tokens(rate_ND, h_BND, inputs):
    """A chunk token by token."""
    inputs = jax.tree.map(lambda x: x.swapaxes(0, 1), inputs)
    h_BND, y_CBD = jax.lax.scan(lambda h, now: _token(rate_ND, h, now), h_BND, inputs)
    return h_BND, y_CBD.swapaxes(0, 1)


def _sweeps(rate_ND, h_BND, inputs):
    """A chunk at once."""
    u_BCD, step_BCD, write_BCN, read_BCN, kept_BC = inputs
    decay_BCND = jnp.exp(-step_BCD[:, :, None] * rate_ND[None, None])
    if kept_BC is not None:
        decay_BCND = jnp.where(kept_BC[..., None, None], decay_BCND, 0)
    added_BCND = u_BCD[:, :, None] * write_BCN[..., None]

    def compose(first, then):
        return first[0] * then[0], then[0] * first[1] + then[1]

    through_BCND, h_BCND = jax.lax.associative_scan(
        compose, (decay_BCND, added_BCND), axis=1
    )
    h_BCND = h_BCND + through_BCND * h_BND[:, None]
    return h_BCND[:, -1], (h_BCND * read_BCN[..., None]).sum(2)
