"""One member's function run for a whole population, in one compiled program.

`map` runs members one after another: on a CPU this is faster than `vmap`, whose batched
small matrix products are slow there, and each member is bit-identical to training it
alone. `vmap` runs them at once and fills an accelerator. Either way the population axis
is sharded over the local devices.
"""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as Along

from attn_research.ops.platform import accelerated, on

Execution = Literal["map", "vmap"]
RUNNING, SOLVED, DIVERGED, FILLER = range(4)  # fillers even out the devices


def default_execution() -> Execution:
    """`map` on CPU, `vmap` on an accelerator."""
    return "vmap" if accelerated() else "map"


def mesh() -> Mesh:
    """The local devices along the population axis P."""
    return Mesh(np.array(jax.local_devices()), ("P",))


def padded(count: int, devices: int) -> int:
    """The number of members after filling up the devices evenly."""
    return -(-count // devices) * devices


def place(tree: Any, onto: Mesh, *, shared: bool = False) -> Any:
    """Arrays on the devices: split along P, or a copy on each."""
    sharding = NamedSharding(onto, Along() if shared else Along("P"))
    return jax.tree.map(lambda leaf: jax.device_put(leaf, sharding), tree)


def over_members(
    one: Callable[..., Any],
    execution: Execution,
    onto: Mesh,
    platform: str | None = None,
) -> Callable[..., Any]:
    """`one(member, shared)` as `all(members_P, shared)`, sharded over the devices.

    It is traced for the `platform`; None: for this machine.
    """

    def local(members_P: Any, shared: Any) -> Any:
        with on(platform):
            if execution == "vmap":
                return jax.vmap(one, in_axes=(0, None))(members_P, shared)
            return jax.lax.map(lambda member: one(member, shared), members_P)

    return jax.shard_map(
        local,
        mesh=onto,
        in_specs=(Along("P"), Along()),
        out_specs=Along("P"),
        check_vma=False,
    )


def fill(tree: Any, count: int) -> Any:
    """A population grown to `count` members by repeating its first."""

    def grow(leaf: Any) -> Any:
        leaf = jnp.asarray(leaf)
        more = jnp.repeat(leaf[:1], count - leaf.shape[0], axis=0)
        return jnp.concatenate([leaf, more])

    return jax.tree.map(grow, tree)
