"""Feature maps: the phi of linear attention, q . k -> phi(q) . phi(k)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def elu_plus_one(x: jax.Array) -> jax.Array:
    """elu(x) + 1, positive everywhere.

    Written as x + 1 above zero and exp(x) below: expm1(x) + 1 would lose the digits of
    a small weight. Katharopoulos et al., 2020, arXiv:2006.16236.
    """
    # The inner choice keeps exp, and so its gradient, finite where it is not taken.
    return jnp.where(x > 0, x + 1, jnp.exp(jnp.where(x > 0, 0, x)))


def identity(x: jax.Array) -> jax.Array:
    """x itself; weights of either sign, so no normaliser fits."""
    return x


FEATURES: dict[str, Callable[[jax.Array], jax.Array]] = {
    "elu": elu_plus_one,
    "identity": identity,
}
