"""Whether heads point from one place to another: a pronoun to the one it means, say.

The share of the weight of the positions that read which lies on those that are meant,
of each head and each sequence, beside that of weights which are equal wherever the
mixer can see (Clark et al., 2019, arXiv:1906.04341, count how often the largest weight
does). Matrices are seen column by column and never built, as in `heads`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.analysis.heads import columns, shares
from attn_research.analysis.opened import checked, fed, opened
from attn_research.analysis.receptive_field import admits
from attn_research.checkpoint import Restored
from attn_research.options import BadInput


class Pointing(NamedTuple):
    """A head, the name of its mixer, and its share on each of B sequences, and chance.

    NaN where nothing reads, or what reads has no weight.
    """

    layer: int
    place: int
    head: int
    name: str
    share_B: np.ndarray
    chance_B: np.ndarray


def pointed(
    restored: Restored, inputs: Any, reader_BT: Any, read_BT: Any
) -> list[Pointing]:
    """Every head's share of the weight of the readers on what is read.

    Both are flags of the positions of each sequence, which has no padding before a
    reader. The memory is that of one sequence and one column of its matrices. Raises
    `BadInput` for a model with fewer positions than tokens.
    """
    of = opened(restored)
    inputs = checked(of, inputs)
    if restored.config.model.strides:
        raise BadInput(
            "The layers of a model with strides have fewer positions than there are "
            "tokens; one without strides is allowed"
        )
    flags = [np.asarray(flags_BT, bool) for flags_BT in (reader_BT, read_BT)]
    for flags_BT in flags:
        if flags_BT.shape != inputs.shape[:2]:
            raise BadInput(
                f"The flags have the shape {flags_BT.shape}; one for each position, "
                f"{inputs.shape[:2]}, is allowed"
            )

    @jax.jit
    def run(params: Any, inputs: Any, reader_BT: Any, read_BT: Any) -> Any:
        traced = opened(restored._replace(params=params))

        def one(row: Any) -> list[list[jax.Array]]:
            given, reader_T, read_T = row
            seen = fed(traced.trunk, traced.stages, given[None])
            return [
                [
                    share(columns(named, x_1TD[0]), reader_T, read_T)
                    for named, x_1TD in zip(mixers, inputs, strict=True)
                ]
                for mixers, inputs in zip(traced.layers, seen, strict=True)
            ]

        return jax.lax.map(one, (inputs, reader_BT, read_BT))

    found = run(restored.params, inputs, *flags)
    heads = []
    for layer, mixers in enumerate(of.layers):
        for place, named in enumerate(mixers):
            share_BH = np.asarray(found[layer][place])
            admit_1TS = admits([named], inputs.shape[1]).astype(float)[None]
            fair_B = np.array(
                [shares(admit_1TS, *row)[0] for row in zip(*flags, strict=True)]
            )
            for h, share_B in enumerate(share_BH.T):
                heads.append(Pointing(layer, place, h, named.name, share_B, fair_B))
    return heads


def share(
    column: Callable[[jax.Array], jax.Array], reader_T: jax.Array, read_T: jax.Array
) -> jax.Array:
    """share_H of M_HTS by its columns s -> M_HT: `shares`, that may be traced."""

    def add(sums: Any, s: jax.Array) -> tuple[Any, None]:
        weight_HT = jnp.abs(column(s)).astype(jnp.float32)
        own_HT = jnp.where(read_T[s], weight_HT, 0)
        return jax.tree.map(jnp.add, sums, (weight_HT, own_HT)), None

    time_T = jnp.arange(len(read_T))
    nothing_HT = jnp.zeros(jax.eval_shape(column, time_T[0]).shape, jnp.float32)
    (total_HT, read_HT), _ = jax.lax.scan(add, (nothing_HT, nothing_HT), time_T)
    real_HT = (total_HT > 0) & reader_T[None]
    share_HT = read_HT / jnp.where(real_HT, total_HT, 1)
    return jnp.mean(share_HT, axis=1, where=real_HT)
