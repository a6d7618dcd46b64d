"""Rows of a batch in as many parts as there are devices, so that a loop stays local.

A loop over the rows of a batch visits them one after another, wherever they lie: if the
batch is sharded, the compiler brings all of them to every device. A loop over the rows
of each part, with the parts side by side as one more batch axis, does not: each device
has its own part.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import jax

from attn_research.ops.platform import accelerated

T = TypeVar("T")


def by_parts(call: Callable[..., T], *arrays: Any) -> T:
    """`call(*arrays)`, the first axis of every array and of the result being the batch.

    `call` must treat rows independently. With one device, a batch that the devices do
    not divide, rows that are local already (inside `shard_map`), or on an accelerator,
    where rows are side by side, it is called once.
    """
    batch = jax.tree.leaves(arrays)[0].shape[0]
    if accelerated():  # rows are side by side: there is no loop over them
        return call(*arrays)
    parts = jax.device_count()
    local = bool(jax.sharding.get_abstract_mesh().manual_axes)
    if parts == 1 or batch % parts or local:
        return call(*arrays)
    each = batch // parts
    split = jax.tree.map(lambda x: x.reshape(parts, each, *x.shape[1:]), arrays)
    made = jax.vmap(call)(*split)
    return jax.tree.map(lambda y: y.reshape(batch, *y.shape[2:]), made)
