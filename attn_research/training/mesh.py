"""One model over many devices: the rows of a batch, and the shards of its matrices.

With `train.mesh="data=2,fsdp=4"` each member has 2 x 4 devices. Both axes divide the
rows of a batch. The axis `fsdp` also divides the parameters and the optimizer's state
by one rule, `spec`, so that no module says how it is sharded. In a step each device
gathers the parameters, runs the program of one device on its own rows, and adds its
gradient to those of the others, of which it keeps its shard (Rajbhandari et al., 2019,
arXiv:1910.02054). Between gathering and adding no device waits for another: no mixer
can have a collective inside of a loop. The optimizer sees whole arrays, which the
compiler divides, so that clipping and moments are those of one device.

Members of a population are beside one another along the axis P, each on its own mesh.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import AbstractMesh, Mesh, NamedSharding
from jax.sharding import PartitionSpec as Along

from attn_research.config import Train
from attn_research.config import mesh as written
from attn_research.config.mesh import AXES
from attn_research.options import BadInput

P = "P"
T = TypeVar("T")


def over(devices: Sequence[Any], text: str | None = None, members: int = 1) -> Mesh:
    """The devices along P and, with a mesh of `train.mesh`, along its axes.

    Raises `BadInput` if the devices are no multiple of those of a mesh, or if members
    on a mesh each would leave devices without one.
    """
    grid_P = np.array(devices)
    if text is None:
        return Mesh(grid_P, (P,))
    sizes = written.axes(text)
    each = math.prod(sizes.values())
    if grid_P.size % each:
        raise BadInput(
            f"train.mesh is {text}, which is {each} devices, and there are "
            f"{grid_P.size}; their number must be a multiple of it (on a CPU it is "
            f"set by XLA_FLAGS=--xla_force_host_platform_device_count={each})"
        )
    if members < grid_P.size // each:
        raise BadInput(
            f"train.mesh is {text}, which is {each} of {grid_P.size} devices, and the "
            f"population has {members}; for no device to be idle it must have at least "
            f"{grid_P.size // each} members, or the mesh be larger"
        )
    return Mesh(grid_P.reshape(-1, *sizes.values()), (P, *AXES))


def check(train: Train) -> None:
    """Raises `BadInput` if the parts of a batch that a step asks for are not equal."""
    devices, parts = written.size(train.mesh), train.accumulate
    if train.batch % parts:
        raise BadInput(
            f"train.accumulate is {parts} and train.batch {train.batch}; a batch must "
            "divide into parts of equal size"
        )
    if train.batch % (devices * parts):
        parted = f"each of {parts} parts on " if parts > 1 else ""
        raise BadInput(
            f"train.mesh is {train.mesh} and train.batch {train.batch}; the batch must "
            f"be a multiple of {devices * parts}, an equal number of rows for {parted}"
            f"each of {devices} devices"
        )


def abstract(text: str) -> AbstractMesh:
    """A mesh of one member without devices, which has shapes but runs nothing."""
    return AbstractMesh((1, *written.axes(text).values()), (P, *AXES))


def divides(onto: Any) -> bool:
    """Whether a member has several devices: whether the mesh has axes beside P."""
    return onto.axis_names != (P,)


def shares(onto: Any) -> int:
    """The number of devices of a member, among which the rows of a batch are shared."""
    return onto.size // onto.shape[P]


def spec(shape: Sequence[int], onto: Any) -> Along:
    """Where an array of one member lies: its largest axis that divides, along `fsdp`.

    Arrays with less than two axes, and those that no axis divides, are on every device.
    """
    parts = onto.shape.get("fsdp", 1)
    even = [0 if size % parts else size for size in shape]
    if parts == 1 or len(shape) < 2 or not any(even):
        return Along()
    return Along(*(None,) * even.index(max(even)), "fsdp")


def sharding(leaf: Any, onto: Any) -> NamedSharding:
    """Where an array of a population lies: along P, then as `spec` says."""
    return NamedSharding(onto, Along(P, *spec(leaf.shape[1:], onto)))


def kept(tree: T, onto: Any) -> T:
    """Arrays of one member, traced inside of P, with the sharding that `spec` says."""
    if not divides(onto):
        return tree
    return jax.tree.map(
        lambda x: jax.lax.with_sharding_constraint(x, spec(x.shape, onto)), tree
    )


def index(onto: Any) -> jax.Array | int:
    """The place of this device among those of its member, inside of `by_rows`."""
    return jax.lax.axis_index(AXES) if divides(onto) else 0


def own(batch: T, onto: Any) -> T:
    """The rows of this device, inside of `by_rows`: an equal stretch of every array."""
    if not divides(onto):
        return batch

    def stretch(leaf: jax.Array) -> jax.Array:
        rows = leaf.shape[0] // shares(onto)
        return jax.lax.dynamic_slice_in_dim(leaf, index(onto) * rows, rows)

    return jax.tree.map(stretch, batch)


def by_rows(
    call: Callable[..., tuple[Any, Any]],
    onto: Any,
    params: Any,
    *given: Any,
    graded: bool = False,
) -> tuple[Any, Any]:
    """`call(params, *given)` on every device of a member, its two results added.

    `call` sees whole parameters and takes its rows by `own`. Its second result is a
    tree like the parameters if `graded`, which comes back divided as they are, else
    None.
    """
    if not divides(onto):
        return call(params, *given)
    specs = jax.tree.map(lambda leaf: spec(leaf.shape, onto), params)

    def local(params: Any, *given: Any) -> Any:
        whole = jax.tree.map(_gathered, params, specs)
        sums, grads = call(whole, *given)
        if graded:
            grads = jax.tree.map(_shard_of_sum, grads, specs)
        return jax.lax.psum(sums, AXES), grads

    return jax.shard_map(
        local,
        in_specs=(specs, *(Along() for _ in given)),
        out_specs=(Along(), specs if graded else Along()),
        axis_names=set(AXES),
        check_vma=False,
    )(params, *given)


def _gathered(shard: jax.Array, where: Along) -> jax.Array:
    """The whole of an array of which each device along `fsdp` has a shard."""
    if not len(where):
        return shard
    return jax.lax.all_gather(shard, "fsdp", axis=len(where) - 1, tiled=True)


def _shard_of_sum(leaf: jax.Array, where: Along) -> jax.Array:
    """The sum over all devices of a member: the shard of it that is this device's."""
    if not len(where):
        return jax.lax.psum(leaf, AXES)
    shard = jax.lax.psum_scatter(
        leaf, "fsdp", scatter_dimension=len(where) - 1, tiled=True
    )
    return jax.lax.psum(shard, "data")
