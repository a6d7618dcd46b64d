"""A population compiled for its size and its devices, and its state between dispatches.

`prepare` compiles without allocating a member. The rest moves a population between the
host and the devices: before its first step, around an evaluation, in a checkpoint.
"""

import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attn_research import hypers, memory, population, program
from attn_research.config import Config
from attn_research.population import FILLER, RUNNING
from attn_research.program import Member

PROGRESS = ("step", "status", "loss_sum")


class Compiled(NamedTuple):
    """The functions of a population, compiled for its size and its devices.

    `members` has the shapes of its state, idle copies included.
    """

    program: program.Program
    init: Any
    advance: Any
    evaluate: Any
    members: Member
    peak_bytes: int
    seconds: float


def prepare(config: Config, count: int, arrays: Any) -> Compiled:
    """Compiles a resolved config for `count` members; allocates none of them."""
    began = time.monotonic()
    devices = population.mesh()
    made = program.make(config, devices)
    total = population.padded(count, devices.size)
    shape = jax.ShapeDtypeStruct
    hypers_P = hypers.Hypers(
        shape((total,), jnp.int32), *(shape((total,), jnp.float32),) * 2
    )
    data = jax.tree.map(lambda leaf: shape(leaf.shape, leaf.dtype), arrays)
    members_P = jax.eval_shape(made.init, hypers_P, {})
    advance = jax.jit(made.advance, donate_argnums=0)
    advance = advance.lower(members_P, (data, shape((), jnp.int32))).compile()
    testing = shape((), jnp.bool_)
    measure = jax.jit(made.evaluate).lower(members_P, (data, testing)).compile()
    peak = max(memory.predict(advance), memory.predict(measure))
    if jax.default_backend() == "cpu":  # the devices share one memory
        peak *= devices.size
    seconds = time.monotonic() - began
    init = jax.jit(made.init)
    return Compiled(made, init, advance, measure, members_P, peak, seconds)


def start(
    compiled: Compiled, hypers_P: hypers.Hypers, devices: Any, trunk: Any = None
) -> Member:
    """The population before its first step; the devices are filled with idle copies.

    Every member starts from `trunk` (of `source`), where there is one.
    """
    count, (total,) = len(hypers_P.seed), compiled.members.status.shape
    filled = population.place(population.fill(hypers_P, total), devices)
    trunk = population.place(trunk or {}, devices, shared=True)
    status_P = np.where(np.arange(total) < count, RUNNING, FILLER)
    return marked(compiled.init(filled, trunk), status_P, devices)


def marked(members_P: Member, status_P: np.ndarray, devices: Any) -> Member:
    """The population with these statuses, its running loss begun anew."""
    fresh = population.place(
        (status_P.astype(np.int32), np.zeros(status_P.shape, np.float32)), devices
    )
    return members_P._replace(status=fresh[0], loss_sum=fresh[1])


def items(members_P: Member, count: int) -> dict[str, Any]:
    """What a checkpoint keeps, on the host, without the idle copies."""
    return _items(jax.tree.map(lambda leaf: np.asarray(leaf)[:count], members_P))


def targets(compiled: Compiled, count: int) -> dict[str, Any]:
    """The shapes of what a checkpoint keeps."""

    def kept(leaf: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((count, *leaf.shape[1:]), leaf.dtype)

    return _items(jax.tree.map(kept, compiled.members))


def _items(members_P: Member) -> dict[str, Any]:
    progress = {name: getattr(members_P, name) for name in PROGRESS}
    return {
        "params": members_P.params,
        "optimizer": members_P.optimizer,
        "progress": progress,
    }


def resumed(
    compiled: Compiled, hypers_P: hypers.Hypers, kept_P: dict[str, Any], devices: Any
) -> Member:
    """The population as a checkpoint has it, placed on the devices that there are."""
    count, (total,) = len(hypers_P.seed), compiled.members.status.shape
    kept = Member(
        params=kept_P["params"],
        optimizer=kept_P["optimizer"],
        hypers=hypers_P,
        **kept_P["progress"],
    )
    full = population.fill(kept, total)
    status_P = np.asarray(full.status).copy()
    status_P[count:] = FILLER
    return population.place(full._replace(status=status_P), devices)
