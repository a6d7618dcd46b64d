"""The feature map of a linear mixer, with its parameters if it is learned."""

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
# The same features by their logarithms.
LOGARITHMS = {"elu": ops.log_elu_plus_one, "relu2": ops.log_squared_relu}
# Their weights have either sign, so that a sum may be zero.
SIGNED = ("identity", "silu")


class FeatureMap(nnx.Module):
    """phi(q), phi(k) of (..., H, K) each, with `features` features.

    Where all of them are positive and weights are to be normalised, they come as
    `logarithms`, which no magnitude makes underflow.

    Queries and keys share the random directions of a seed, a constant of the program;
    learned maps are separate and start as the identity. Raises BadInput for `normalize`
    with weights of either sign, and for a number of features if the map fixes it.
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
                f"linear has feature={kind} and normalize=true; its weights have "
                "either sign, so normalize must be false"
            )
        if features and kind != "random":
            raise BadInput(
                f"linear has features={features} and feature={kind}, which fixes "
                "their number; features must be 0, or feature must be random"
            )
        self.kind, self.seed, self.size = kind, seed, size
        self.features = {
            "taylor": 1 + size + size * (size + 1) // 2,
            "random": features or 2 * size,
            "hedgehog": 2 * size,
        }.get(kind, size)
        positive = kind in LOGARITHMS or kind in ("random", "hedgehog")
        self.logarithms = normalize and positive
        learned = kind == "hedgehog"
        eye_HKK = jnp.tile(jnp.eye(size, dtype=jnp.float32)[None], (heads, 1, 1))
        self.query = nnx.Param(eye_HKK) if learned else None
        self.key = nnx.Param(eye_HKK) if learned else None

    def __call__(self, q: jax.Array, k: jax.Array) -> tuple[jax.Array, jax.Array]:
        if self.kind in PLAIN:
            phi = (LOGARITHMS if self.logarithms else PLAIN)[self.kind]
            return phi(q), phi(k)
        if self.query is not None and self.key is not None:
            query_HKM = self.query.get_value().astype(q.dtype)
            key_HKM = self.key.get_value().astype(k.dtype)
            phi = ops.log_hedgehog if self.logarithms else ops.hedgehog
            return phi(q, query_HKM), phi(k, key_HKM)
        directions_MK = self.directions()
        phi = ops.log_random_positive if self.logarithms else ops.random_positive
        return phi(q, directions_MK, query=True), phi(k, directions_MK, query=False)

    def products(self) -> int:
        """Multiply-adds for the queries and keys of one token and head."""
        if self.kind in ("random", "hedgehog"):
            learned = 2 if self.kind == "hedgehog" else 1
            return 2 * self.size * self.features // learned
        return 2 * self.features

    def directions(self) -> np.ndarray:
        """w_MK, the directions of the random features."""
        return ops.orthogonal_directions(self.seed, self.features, self.size)
