"""How strongly each input of a sequence moves each output, one output at a time."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Sequence = Callable[[jax.Array], jax.Array]
TOGETHER = 32  # pullbacks at once


def energy(
    function: Sequence,
    x_SD: jax.Array,
    probes: int = 0,
    at_N: Any = None,
    span: int = 1,
) -> jax.Array:
    """energy_NS: the sum over features of (d y_t / d x_s)^2 for y_TF = function(x_SD).

    `at_N` are the outputs (None: all, -1: skip). Each costs F pullbacks, and at most
    max(F, 32) x S x D numbers exist at once. With `probes` it is an unbiased estimate
    from this number of pullbacks of random signs, always the same ones (Hutchinson,
    1989, doi:10.1080/03610918908812806). Then an output may be a `span` of outputs that
    begins there, whose energies are summed. A span without probes raises ValueError.
    """
    y_TF, back = jax.vjp(function, x_SD)
    T, F = y_TF.shape
    if span > 1 and not probes:
        raise ValueError(f"The span is {span}; without probes it must be 1")
    if probes:
        sign_PTF = jax.random.rademacher(jax.random.key(0), (probes, T, F), y_TF.dtype)
        row_PTF = sign_PTF * jnp.asarray(probes**-0.5, y_TF.dtype)
    else:
        row_PTF = jnp.eye(F, dtype=y_TF.dtype)[:, None]
    time_T = jnp.arange(T)

    def one(at: jax.Array) -> jax.Array:
        asked_T = (time_T >= at) & (time_T < at + span) & (at >= 0)
        zero = jnp.zeros((), y_TF.dtype)
        (moved_PSD,) = jax.vmap(back)(jnp.where(asked_T[None, :, None], row_PTF, zero))
        moved_PSD = moved_PSD.astype(jnp.float32)
        return jnp.sum(moved_PSD * moved_PSD, axis=(0, 2))

    at_N = time_T if at_N is None else at_N
    return jax.lax.map(one, at_N, batch_size=max(1, TOGETHER // len(row_PTF)))
