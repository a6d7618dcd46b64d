"""Which blocks of keys each block of queries visits under a mask.

A band needs no list: the blocks it reaches lie side by side. Any other mask gets the
list of the blocks that it may admit, known before the program runs if there are no
segments; packed sequences start anywhere, so that their list is data.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.ops.masks import Area, Band, Mask, areas
from attn_research.ops.positions import restart


class Tiles(NamedTuple):
    """The first `count_BI` entries of visit_BIN are visited; positions of the tokens.

    B is 1 if all rows are alike.
    """

    visit_BIN: Any
    count_BI: Any
    query_BIC: Any
    key_BJS: Any


def tiles(
    mask: Mask,
    segment_BIC: jax.Array,
    source_BJS: jax.Array,
    segmented: bool,
) -> Tiles | None:
    """The visits of blocks of queries and keys; None for a band, which needs no list.

    If `segmented`, the segments are those of self-attention.
    """
    if isinstance(mask, Band):
        return None
    B, _, C = segment_BIC.shape
    S = source_BJS.shape[2]
    queries, keys = segment_BIC[0].size, source_BJS[0].size
    if not segmented:
        area = areas(queries, keys, C, S)
        may_BIJ = mask.may(area)[None]
        count_BI = may_BIJ.sum(axis=2).astype(np.int32)
        visit_BIJ = np.argsort(~may_BIJ, axis=2, kind="stable").astype(np.int32)
        return Tiles(
            jnp.asarray(visit_BIJ[..., : int(count_BI.max())]),
            jnp.asarray(count_BI),
            jnp.arange(queries, dtype=jnp.int32).reshape(1, -1, C),
            jnp.arange(keys, dtype=jnp.int32).reshape(1, -1, S),
        )
    query_BIC = restart(segment_BIC.reshape(B, -1)).reshape(segment_BIC.shape)
    key_BJS = restart(source_BJS.reshape(B, -1)).reshape(source_BJS.shape)
    length = max(queries, keys)
    of_queries = _ends(segment_BIC, query_BIC, length)
    of_keys = _ends(source_BJS, key_BJS, length)
    first, last, one, many = (end_BI[:, :, None] for end_BI in of_queries)
    low, high, least, most = (end_BJ[:, None] for end_BJ in of_keys)
    may_BIJ = mask.may(Area(first, last, low, high, length))
    may_BIJ = may_BIJ & (one <= most) & (least <= many)
    visit_BIJ = jnp.argsort(~may_BIJ, axis=2, stable=True).astype(jnp.int32)
    return Tiles(visit_BIJ, may_BIJ.sum(axis=2, dtype=jnp.int32), query_BIC, key_BJS)


def _ends(ids: jax.Array, places: jax.Array, length: int) -> tuple[jax.Array, ...]:
    """The first and last position and the least and largest segment of each block."""
    real = ids != 0
    return (
        jnp.where(real, places, length).min(axis=2),
        jnp.where(real, places, -1).max(axis=2),
        jnp.where(real, ids, jnp.iinfo(ids.dtype).max).min(axis=2),
        ids.max(axis=2),
    )
