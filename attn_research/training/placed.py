"""A population compiled for its size and devices, and its state between dispatches.

`prepare` compiles without allocating a member. The other functions move a population
between host and devices: before its first step, around an evaluation, in a checkpoint.
"""

import math
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attn_research import hypers
from attn_research.config import Config
from attn_research.host import memory
from attn_research.ops.platform import accelerated
from attn_research.training import population, program
from attn_research.training.mesh import abstract, sharding, shares
from attn_research.training.population import FILLER, RUNNING
from attn_research.training.program import Member

PROGRESS = ("step", "status", "loss_sum")


class Compiled(NamedTuple):
    """The functions of a population, compiled for its size and devices.

    `members` has the shapes of its state, including idle copies.
    """

    program: program.Program
    init: Any
    advance: Any
    evaluate: Any
    members: Member
    peak_bytes: int
    seconds: float


def prepare(config: Config, count: int, arrays: Any) -> Compiled:
    """A resolved config compiled for `count` members; allocates none of them.

    Raises `MemoryRefused` before it compiles if the members alone, or the embedding of
    one batch, are more than there is: compilers end the process on such sizes.
    """
    began = time.monotonic()
    devices = population.mesh(config.train.mesh, count)
    made = program.make(config, devices)
    members_P = shapes(made, population.padded(count, devices))
    shape = jax.ShapeDtypeStruct
    data = jax.tree.map(lambda leaf: shape(leaf.shape, leaf.dtype), arrays)
    free = memory.available(jax.local_devices()[0])
    needed = least(made, members_P)
    memory.require(needed, free, "The run", "at least")
    lie = jax.tree.map(lambda leaf: leaf.sharding, members_P)
    advance = jax.jit(made.advance, donate_argnums=0, out_shardings=lie)
    advance = advance.lower(members_P, (data, shape((), jnp.int32))).compile()
    testing = shape((), jnp.bool_)
    measure = jax.jit(made.evaluate).lower(members_P, (data, testing)).compile()
    peak = max(memory.predict(advance), memory.predict(measure))
    if not accelerated():  # the devices share one memory
        peak *= devices.size
    seconds = time.monotonic() - began
    init = jax.jit(made.init, out_shardings=lie)
    return Compiled(made, init, advance, measure, members_P, peak, seconds)


def shapes(made: program.Program, total: int) -> Member:
    """The shapes of a population of this many members, and how each is sharded."""
    shape = jax.ShapeDtypeStruct
    hypers_P = hypers.Hypers(
        shape((total,), jnp.int32), *(shape((total,), jnp.float32),) * 2
    )
    members_P = jax.eval_shape(made.init, hypers_P, {})
    return jax.tree.map(
        lambda x: shape(x.shape, x.dtype, sharding=sharding(x, made.onto)), members_P
    )


def at_least(config: Config, count: int) -> int:
    """Bytes that a resolved config of `count` members needs; compiles nothing.

    The devices of a mesh need not be here.
    """
    text = config.train.mesh
    devices = population.mesh() if text is None else abstract(text)
    made = program.make(config, devices)
    members_P = shapes(made, population.padded(count, devices))
    return least(made, members_P)


def least(made: program.Program, members_P: Member) -> int:
    """Bytes of one memory that a population needs in any case.

    They are its state, and one batch embedded. An accelerator has its own memory; the
    devices of a CPU share one.
    """
    held = sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(members_P)
        if jnp.issubdtype(leaf.dtype, jnp.number)
    )
    config = made.config
    itemsize = jnp.dtype(config.model.dtype).itemsize
    shortened = math.prod(config.model.strides or (1,))
    positions = config.train.batch * -(-made.spec.length // shortened)
    embedded = positions * config.model.width * itemsize
    if accelerated():
        return held + embedded // shares(made.onto)
    return held * made.onto.size + embedded


def initial(
    compiled: Compiled, hypers_P: hypers.Hypers, devices: Any, trunk: Any = None
) -> Member:
    """The population before its first step, with idle copies that even out the devices.

    If `trunk` (see `transfer`) is given, every member starts from it.
    """
    count, (total,) = len(hypers_P.seed), compiled.members.status.shape
    filled = population.place(population.fill(hypers_P, total), devices)
    trunk = population.place(trunk or {}, devices, shared=True)
    status_P = np.where(np.arange(total) < count, RUNNING, FILLER)
    return marked(compiled.init(filled, trunk), status_P, devices)


def marked(members_P: Member, status_P: np.ndarray, devices: Any) -> Member:
    """The population with these statuses and a running loss of 0."""
    fresh = population.place(
        (status_P.astype(np.int32), np.zeros(status_P.shape, np.float32)), devices
    )
    return members_P._replace(status=fresh[0], loss_sum=fresh[1])


def count(members_P: Member) -> int:
    """Number of members, without the idle copies that fill the devices."""
    return int(np.sum(np.asarray(members_P.status) != FILLER))


def items(members_P: Member) -> dict[str, Any]:
    """The items of a checkpoint, on the host, without idle copies.

    An array that is divided over devices is gathered, so that what is saved, and its
    digests, say nothing of the mesh: the host must have room for the whole state.
    """
    real = count(members_P)
    return _items(jax.tree.map(lambda leaf: np.asarray(leaf)[:real], members_P))


def targets(compiled: Compiled, count: int) -> dict[str, Any]:
    """The shapes of the items of a checkpoint."""

    def target(leaf: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((count, *leaf.shape[1:]), leaf.dtype)

    return _items(jax.tree.map(target, compiled.members))


def _items(members_P: Member) -> dict[str, Any]:
    progress = {name: getattr(members_P, name) for name in PROGRESS}
    return {
        "params": members_P.params,
        "optimizer": members_P.optimizer,
        "progress": progress,
    }


def resumed(
    compiled: Compiled, hypers_P: hypers.Hypers, items_P: dict[str, Any], devices: Any
) -> Member:
    """The population of a checkpoint, placed on the devices of this process."""
    count, (total,) = len(hypers_P.seed), compiled.members.status.shape
    saved = Member(
        params=items_P["params"],
        optimizer=items_P["optimizer"],
        hypers=hypers_P,
        **items_P["progress"],
    )
    full = population.fill(saved, total)
    status_P = np.asarray(full.status).copy()
    status_P[count:] = FILLER
    return population.place(full._replace(status=status_P), devices)
