"""One member's function run for a whole population, in one compiled program.

`map` runs members one after another: on a CPU this is faster than `vmap`, whose batched
small matrix products are slow there, and each member is bit-identical to training it
alone. `vmap` runs them at once and fills an accelerator. Either way the population axis
is sharded over the local devices, each of which may be several (see `mesh`).
"""

from collections.abc import Callable
from typing import Any, Literal

import jax
import numpy as np
from jax.sharding import AbstractMesh, Mesh, NamedSharding
from jax.sharding import PartitionSpec as Along

from attn_research.ops.platform import accelerated, on
from attn_research.training.mesh import P, over, sharding

Execution = Literal["map", "vmap"]
RUNNING, SOLVED, DIVERGED, FILLER = range(4)  # fillers even out the devices


def default_execution() -> Execution:
    """`map` on CPU, `vmap` on an accelerator."""
    return "vmap" if accelerated() else "map"


def mesh(text: str | None = None, members: int = 1) -> Mesh:
    """The local devices along the population axis P, and along those of `train.mesh`.

    Raises `BadInput` as `mesh.over` does.
    """
    return over(jax.local_devices(), text, members)


def padded(count: int, onto: Any) -> int:
    """The number of members after filling up the devices along P evenly."""
    return -(-count // onto.shape[P]) * onto.shape[P]


def place(tree: Any, onto: Mesh, *, shared: bool = False) -> Any:
    """Arrays on the devices: split as `mesh.sharding` says, or a copy on each."""
    copied = NamedSharding(onto, Along())
    return jax.tree.map(
        lambda leaf: jax.device_put(leaf, copied if shared else sharding(leaf, onto)),
        tree,
    )


def over_members(
    one: Callable[..., Any],
    execution: Execution,
    onto: Mesh | AbstractMesh,
    platform: str | None = None,
) -> Callable[..., Any]:
    """`one(member, shared)` as `all(members_P, shared)`, sharded over the devices.

    Within a member the axes of its mesh are the compiler's, and `mesh.by_rows`'s. It is
    traced for the `platform`; None: for this machine.
    """

    def local(members_P: Any, shared: Any) -> Any:
        with on(platform):
            if execution == "vmap":
                return jax.vmap(one, in_axes=(0, None))(members_P, shared)
            return jax.lax.map(lambda member: one(member, shared), members_P)

    return jax.shard_map(
        local,
        mesh=onto,
        in_specs=(Along(P), Along()),
        out_specs=Along(P),
        axis_names={P},
        check_vma=False,
    )


def fill(tree: Any, count: int) -> Any:
    """A population on the host, grown to `count` members by repeating its first."""

    def grow(leaf: Any) -> np.ndarray:
        # On the host: a model over many devices may be too large for one of them.
        leaf = np.asarray(leaf)
        more = np.repeat(leaf[:1], count - leaf.shape[0], axis=0)
        return np.concatenate([leaf, more]) if len(more) else leaf

    return jax.tree.map(grow, tree)
