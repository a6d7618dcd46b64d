"""Whether heads point from one place to another, such as a pronoun to its antecedent.

For each head and each sequence: the share of the readers' weight that falls on the read
positions, and the same for equal weights wherever the mixer can see (Clark et al.,
2019, arXiv:1906.04341, count how often the largest weight does). Matrices are read
column by column and never built, as in `heads`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.analysis.heads import columns, shares
from attn_research.analysis.layers import check_inputs, feed, open_model
from attn_research.analysis.receptive_field import admits
from attn_research.checkpoint import Restored
from attn_research.options import BadInput


class Pointing(NamedTuple):
    """A head, the name of its mixer, its share on each of B sequences, and chance.

    NaN for a sequence without readers, or whose readers have no weight.
    """

    layer: int
    place: int
    head: int
    name: str
    share_B: np.ndarray
    chance_B: np.ndarray


def head_pointing(
    restored: Restored, inputs: Any, reader_BT: Any, read_BT: Any
) -> list[Pointing]:
    """Every head's share of the readers' weight that falls on the read positions.

    Both are flags of the positions of each sequence, which has no padding before a
    reader. The memory is that of one sequence and one column of its matrices. Raises
    `BadInput` for a model with fewer positions than tokens.
    """
    model = open_model(restored)
    inputs = check_inputs(model, inputs)
    if strides := restored.config.model.strides:
        raise BadInput(
            f"The strides of the model are {strides}, so that it has fewer positions "
            "than tokens; it must be a model without strides"
        )
    flags = [np.asarray(flags_BT, bool) for flags_BT in (reader_BT, read_BT)]
    for flags_BT in flags:
        if flags_BT.shape != inputs.shape[:2]:
            raise BadInput(
                f"The flags have the shape {flags_BT.shape}; it must be "
                f"{inputs.shape[:2]}, one for each position"
            )

    @jax.jit
    def run(params: Any, inputs: Any, reader_BT: Any, read_BT: Any) -> Any:
        traced = open_model(restored._replace(params=params))

        def one(row: Any) -> list[list[jax.Array]]:
            inputs, reader_T, read_T = row
            by_layer = feed(traced.trunk, traced.stages, inputs[None])
            return [
                [
                    share(columns(named, x_1TD[0]), reader_T, read_T)
                    for named, x_1TD in zip(mixers, inputs, strict=True)
                ]
                for mixers, inputs in zip(traced.layers, by_layer, strict=True)
            ]

        return jax.lax.map(one, (inputs, reader_BT, read_BT))

    shares_of = run(restored.params, inputs, *flags)
    heads = []
    for layer, mixers in enumerate(model.layers):
        for place, named in enumerate(mixers):
            share_BH = np.asarray(shares_of[layer][place])
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
    """share_H of M_HTS from its columns s -> M_HT: `shares`, which may be traced."""

    def add(sums: Any, s: jax.Array) -> tuple[Any, None]:
        weight_HT = jnp.abs(column(s)).astype(jnp.float32)
        read_HT = jnp.where(read_T[s], weight_HT, 0)
        return jax.tree.map(jnp.add, sums, (weight_HT, read_HT)), None

    time_T = jnp.arange(len(read_T))
    nothing_HT = jnp.zeros(jax.eval_shape(column, time_T[0]).shape, jnp.float32)
    (total_HT, read_HT), _ = jax.lax.scan(add, (nothing_HT, nothing_HT), time_T)
    real_HT = (total_HT > 0) & reader_T[None]
    share_HT = read_HT / jnp.where(real_HT, total_HT, 1)
    return jnp.mean(share_HT, axis=1, where=real_HT)
