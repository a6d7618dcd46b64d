"""The decay of a linear mixer's state, in both directions."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from attn_research.modules.contract import Projection, dynamics
from attn_research.ops.precision import wide

Kind = Literal["none", "fixed", "scalar", "input", "channel"]


class Forgetting(nnx.Module):
    """The log decay of the past and, with two `directions`, that of the future.

    "fixed": 1 - 1/32 to 1 - 1/512 over the heads, as in RetNet; "scalar": learned from
    there; "input": sigmoid(x W + b)^(1 / share) for each token and head, b such that it
    starts there; "channel": the same for each feature, with W of low rank, as in GLA.
    """

    def __init__(
        self,
        kind: Kind,
        *,
        width: int,
        heads: int,
        features: int,
        directions: int,
        share: float,
        rank: int,
        rngs: nnx.Rngs,
    ):
        self.kind, self.heads, self.directions = kind, heads, directions
        self.share = share
        low, size = kind == "channel", directions * heads
        self.low = Projection(width, rank, rngs=rngs) if low else None
        if kind in ("input", "channel"):
            size_in, size_out = (rank, size * features) if low else (width, size)
            self.gate = Projection(size_in, size_out, rngs=rngs, bias=low)
        else:
            self.gate = None
        if kind in ("scalar", "input"):
            odds = kept_odds(heads, directions, share if kind == "input" else 1.0)
            self.odds = dynamics(jnp.asarray(odds))
        else:
            self.odds = None

    def __call__(self, x: jax.Array) -> list[jax.Array | None]:
        """One for each direction: None, (H,), (..., H) or (..., H, M), at most 0."""
        work = wide(x.dtype)
        if self.kind == "none":
            return [None]
        if self.kind == "fixed":
            odds_H = jnp.asarray(kept_odds(self.heads, 1)[0], work)
            return [jax.nn.log_sigmoid(odds_H)] * self.directions
        odds = None if self.odds is None else self.odds.get_value().astype(work)
        if self.gate is None:
            return [] if odds is None else list(jax.nn.log_sigmoid(odds))
        # Logarithms are summed over many tokens: bfloat16 has too few digits for them.
        x = x.astype(work)
        z = self.gate(x if self.low is None else self.low(x))
        z = z.reshape(*x.shape[:-1], self.directions, self.heads, -1)
        if odds is not None:
            lead = tuple(range(x.ndim - 1))
            z = z + jnp.expand_dims(odds[..., None], lead)
        log_decay = jax.nn.log_sigmoid(z) / self.share
        if self.kind == "input":
            log_decay = log_decay[..., 0]
        return [
            jax.lax.index_in_dim(log_decay, n, x.ndim - 1, keepdims=False)
            for n in range(self.directions)
        ]

    def projections(self) -> list[Projection | None]:
        """The projections of each token."""
        return [self.low, self.gate]


def kept_odds(heads: int, directions: int, share: float = 1.0) -> np.ndarray:
    """Log-odds whose sigmoid^(1 / share) is 1 - 1/32 to 1 - 1/512 over the heads.

    Evenly spaced in the log, as float32 (directions, H).
    """
    forgotten_H = np.exp(np.linspace(np.log(1 / 32), np.log(1 / 512), heads))
    log_kept_H = share * np.log1p(-forgotten_H)
    odds_H = log_kept_H - np.log(-np.expm1(log_kept_H))
    return np.tile(odds_H.astype(np.float32), (directions, 1))
