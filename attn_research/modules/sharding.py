"""Mixers on a mesh whose axes have explicit types: each device computes its own rows.

A mixer does not mix rows, so that under a batch that is sharded each device can run it
on the rows that it holds, without a word to the others. If the axes of the mesh are
`AxisType.Explicit`, the type of the input says how it is sharded, and `by_rows` does
that. If they are `AxisType.Auto`, nothing here knows it and the compiler decides: it
leaves every mixer sharded, forward and backward, as loops over rows take those of every
device side by side (`ops.apart`).
"""

from collections.abc import Callable
from typing import Any

import jax
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec, reshard

from attn_research.options import BadInput

Call = Callable[[Any, jax.Array, jax.Array | None], jax.Array]


def batch_axes(x_BTD: Any) -> tuple[str, ...]:
    """The explicit axes of a mesh along which the batch is sharded, () for none.

    Raises `BadInput` if time or width are sharded: a mixer needs them whole.
    """
    sharding = getattr(jax.typeof(x_BTD), "sharding", None)
    if not isinstance(sharding, NamedSharding):
        return ()
    batch, *others = (*sharding.spec, None)
    if any(other is not None for other in others):
        raise BadInput(
            f"The input is sharded as {sharding.spec}; it must be sharded along the "
            "batch alone"
        )
    if batch is None:
        return ()
    return batch if isinstance(batch, tuple) else (batch,)


def by_rows(
    call: Call,
    mixer: Any,
    x_BTD: jax.Array,
    segments_BT: jax.Array | None,
    axes: tuple[str, ...],
) -> jax.Array:
    """`call(mixer, x, segments)` on the rows of each device.

    The output is sharded as the input is. Parameters are gathered if they are sharded.
    """
    graph, state = nnx.split(mixer)
    mesh = jax.typeof(x_BTD).sharding.mesh
    rows, whole = PartitionSpec(axes), PartitionSpec()
    state = jax.tree.map(lambda leaf: reshard(leaf, NamedSharding(mesh, whole)), state)
    ids = () if segments_BT is None else (segments_BT,)
    ids = tuple(reshard(one, NamedSharding(mesh, rows)) for one in ids)

    def local(state: Any, x_BTD: jax.Array, *ids: jax.Array) -> jax.Array:
        return call(nnx.merge(graph, state), x_BTD, ids[0] if ids else None)

    return jax.shard_map(
        local,
        mesh=mesh,
        in_specs=(whole, rows, *(rows for _ in ids)),
        out_specs=rows,
        axis_names=set(axes),
        check_vma=False,
    )(state, x_BTD, *ids)
