"""The feature map of a linear mixer, with the parameters that some maps have."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from attn_research.ops import features as ops
from attn_research.options import BadInput

Kind = Literal["elu", "identity", "silu", "relu2", "taylor", "random", "hedgehog"]
PLAIN = {
    "elu": ops.elu_plus_one,
    "identity": ops.identity,
    "silu": jax.nn.silu,
    "relu2": ops.squared_relu,
    "taylor": ops.taylor,
}
# Weights of either sign, which have no sum to be divided by.
SIGNED = ("identity", "silu")


class FeatureMap(nnx.Module):
    """phi(q), phi(k) of (..., H, K) each, with `features` features.

    Queries and keys share the random directions of a seed, which are a constant and no
    parameter; learned maps they have each for themselves, and these start as identity.
    Raises BadInput where `normalize` is asked of weights of either sign, or a number of
    features of a map that fixes it.
    """

    def __init__(
        self,
        kind: Kind,
        *,
        heads: int,
        size: int,
        features: int,
        seed: int,
        normalize: bool,
    ):
        if normalize and kind in SIGNED:
            raise BadInput(
                f"linear has feature={kind} and normalize=true; weights of either "
                "sign cannot be normalised, so normalize=false is allowed"
            )
        if features and kind != "random":
            raise BadInput(
                f"linear has features={features} and feature={kind}, whose number of "
                "features is fixed; 0 is allowed, or feature=random"
            )
        self.kind, self.seed, self.size = kind, seed, size
        self.features = {
            "taylor": 1 + size + size * (size + 1) // 2,
            "random": features or 2 * size,
            "hedgehog": 2 * size,
        }.get(kind, size)
        learned = kind == "hedgehog"
        eye_HKK = jnp.tile(jnp.eye(size, dtype=jnp.float32)[None], (heads, 1, 1))
        self.query = nnx.Param(eye_HKK) if learned else None
        self.key = nnx.Param(eye_HKK) if learned else None

    def __call__(self, q: jax.Array, k: jax.Array) -> tuple[jax.Array, jax.Array]:
        if self.kind in PLAIN:
            return PLAIN[self.kind](q), PLAIN[self.kind](k)
        if self.query is not None and self.key is not None:
            query_HKM = self.query.get_value().astype(q.dtype)
            key_HKM = self.key.get_value().astype(k.dtype)
            return ops.hedgehog(q, query_HKM), ops.hedgehog(k, key_HKM)
        directions_MK = self.directions()
        return (
            ops.random_positive(q, directions_MK, query=True),
            ops.random_positive(k, directions_MK, query=False),
        )

    def products(self) -> int:
        """Multiply-adds for the queries and keys of one token and head."""
        if self.kind in ("random", "hedgehog"):
            learned = 2 if self.kind == "hedgehog" else 1
            return 2 * self.size * self.features // learned
        return 2 * self.features

    def directions(self) -> np.ndarray:
        """The directions of random features, w_MK."""
        return ops.orthogonal_directions(self.seed, self.features, self.size)
