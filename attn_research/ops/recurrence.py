"""The diagonal linear recurrence, real and complex."""

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
