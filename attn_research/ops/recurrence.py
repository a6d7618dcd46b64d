"""The diagonal linear recurrence, real and complex."""

from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp

from attn_research.ops import chunks
from attn_research.ops.implementations import check_implementation
from attn_research.ops.linearity import linear_in
from attn_research.ops.platform import accelerated
from attn_research.ops.precision import wide

CHUNK = 256


@linear_in("b_BTN")
def diagonal_recurrence(
    a_BTN: jax.Array,
    b_BTN: jax.Array,
    *,
    segments_BT: jax.Array | None = None,
    implementation: Literal["naive", "sequential", "associative", "chunked"]
    | None = None,
    chunk: int = CHUNK,
) -> jax.Array:
    """h_BTN of h_t = a_t h_{t-1} + b_t with h_{-1} = 0, in the dtype of b.

    The state is float32 at least (complex stays complex). It restarts in every
    segment and is exactly zero at padding (segment 0). `implementation` is "naive" (a
    Python loop, the twin), "sequential" (a scan), "associative" (log2 T sweeps over the
    whole array) or "chunked" (such sweeps over `chunk` tokens at a time, recomputed in
    the backward: less memory); None picks sequential on CPU, where it is several times
    faster, and associative on accelerators. Raises ValueError for any other name.
    """
    dtype = b_BTN.dtype
    work = wide(dtype)
    a_BTN, b_BTN = a_BTN.astype(work), b_BTN.astype(work)
    if segments_BT is not None:
        real_BT1 = (segments_BT != 0)[..., None]
        kept_BT1 = ~begins(segments_BT)[..., None] & real_BT1
        a_BTN, b_BTN = jnp.where(kept_BT1, a_BTN, 0), jnp.where(real_BT1, b_BTN, 0)
    if implementation is None:
        implementation = "associative" if accelerated() else "sequential"
    check_implementation(
        implementation, "naive", "sequential", "associative", "chunked"
    )
    match implementation:
        case "naive":
            h_BTN = _naive(a_BTN, b_BTN)
        case "sequential":
            inputs = a_BTN.swapaxes(0, 1), b_BTN.swapaxes(0, 1)
            h_TBN: jax.Array = _sequential(*inputs, False)
            h_BTN = h_TBN.swapaxes(0, 1)
        case "associative":
            _, h_BTN = jax.lax.associative_scan(_compose, (a_BTN, b_BTN), axis=1)
        case _:
            h_BTN = _chunked(a_BTN, b_BTN, chunk)
    return h_BTN.astype(dtype)


def begins(segments_BT: jax.Array) -> jax.Array:
    """True at the first position of each segment, as bool (B, T)."""
    changed_BT = segments_BT[:, 1:] != segments_BT[:, :-1]
    return jnp.pad(changed_BT, ((0, 0), (1, 0)), constant_values=True)


def _naive(a_BTN, b_BTN):
    h_BN, history = jnp.zeros_like(b_BTN[:, 0]), []
    for t in range(b_BTN.shape[1]):
        h_BN = a_BTN[:, t] * h_BN + b_BTN[:, t]
        history.append(h_BN)
    return jnp.stack(history, axis=1)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _sequential(a_TBN, b_TBN, reverse):
    def token(h_BN, inputs):
        a_BN, b_BN = inputs
        h_BN = a_BN * h_BN + b_BN
        return h_BN, h_BN

    first_BN = jnp.zeros_like(b_TBN[0])
    return jax.lax.scan(token, first_BN, (a_TBN, b_TBN), reverse=reverse)[1]


def _forward(a_TBN, b_TBN, reverse):
    h_TBN = _sequential(a_TBN, b_TBN, reverse)
    return h_TBN, (a_TBN, h_TBN)


def _backward(reverse, saved, ct_TBN):
    # The gradient of b is the same recurrence from the other end; it takes three
    # quarters of the memory and time of autodiff.
    a_TBN, h_TBN = saved
    d_b_TBN: jax.Array = _sequential(_moved(a_TBN, not reverse), ct_TBN, not reverse)
    return d_b_TBN * _moved(h_TBN, reverse), d_b_TBN


def _moved(x_TBN, earlier):
    """x of the token before (or, if `earlier`, of the one after), zeros at the end."""
    nothing_1BN = jnp.zeros_like(x_TBN[:1])
    if earlier:
        return jnp.concatenate([x_TBN[1:], nothing_1BN])
    return jnp.concatenate([nothing_1BN, x_TBN[:-1]])


_sequential.defvjp(_forward, _backward)


def _chunked(a_BTN, b_BTN, chunk):
    @jax.checkpoint
    def body(h_BN, inputs):
        through_BCN, h_BCN = jax.lax.associative_scan(_compose, inputs, axis=1)
        h_BCN = h_BCN + through_BCN * h_BN[:, None]
        return h_BCN[:, -1], h_BCN

    T = b_BTN.shape[1]
    inputs = tuple(chunks.cut(x_BTN, min(chunk, T)) for x_BTN in (a_BTN, b_BTN))
    _, h_NBCN = jax.lax.scan(body, jnp.zeros_like(b_BTN[:, 0]), inputs)
    return chunks.join(h_NBCN, T)


def _compose(first, then):
    """The map h -> a h + b of two stretches, one after the other."""
    (a, b), (a_then, b_then) = first, then
    return a * a_then, a_then * b + b_then
