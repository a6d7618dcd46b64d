"""How strongly each input of a sequence moves each output, row by row."""

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

    Of the outputs at_N, None is all of them and -1 none; each in F pullbacks, so that
    F x S x D numbers are the most that there are at once. With `probes` it is estimated
    without bias by so many pullbacks of random signs instead, always the same ones
    (Hutchinson, 1989, doi:10.1080/03610918908812806); then an output may be a `span` of
    them from there on, whose energies are summed.
    """
    y_TF, back = jax.vjp(function, x_SD)
    T, F = y_TF.shape
    if span > 1 and not probes:
        raise ValueError("The energy of a span of outputs is estimated by probes only")
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
