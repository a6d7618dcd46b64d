"""How strongly each input of a sequence moves each output, row by row."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

Sequence = Callable[[jax.Array], jax.Array]


def energy(function: Sequence, x_SD: jax.Array, probes: int = 0) -> jax.Array:
    """energy_TS: the sum over features of (d y_t / d x_s)^2 for y_TF = function(x_SD).

    One output position at a time, in F pullbacks, so that F x S x D numbers are the
    most that there are at once. With `probes` it is estimated without bias by so many
    pullbacks of random signs instead, always the same ones (Hutchinson, 1989,
    doi:10.1080/03610918908812806).
    """
    y_TF, back = jax.vjp(function, x_SD)
    T, F = y_TF.shape
    if probes:
        sign_NF = jax.random.rademacher(jax.random.key(0), (probes, F), y_TF.dtype)
        row_NF = sign_NF * jnp.asarray(probes**-0.5, y_TF.dtype)
    else:
        row_NF = jnp.eye(F, dtype=y_TF.dtype)

    def one(t: jax.Array) -> jax.Array:
        cotangent_NTF = jnp.zeros((len(row_NF), T, F), y_TF.dtype)
        cotangent_NTF = cotangent_NTF.at[:, t].set(row_NF)
        (moved_NSD,) = jax.vmap(back)(cotangent_NTF)
        moved_NSD = moved_NSD.astype(jnp.float32)
        return jnp.sum(moved_NSD * moved_NSD, axis=(0, 2))

    return jax.lax.map(one, jnp.arange(T))
