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


class Compiled(NamedTuple):
    """The functions of a population, compiled for its size and its devices."""

    program: program.Program
    init: Any
    advance: Any
    evaluate: Any
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
    members_P = jax.eval_shape(made.init, hypers_P, ())
    advance = jax.jit(made.advance, donate_argnums=0)
    advance = advance.lower(members_P, (data, shape((), jnp.int32))).compile()
    testing = shape((), jnp.bool_)
    measure = jax.jit(made.evaluate).lower(members_P, (data, testing)).compile()
    peak = max(memory.predict(advance), memory.predict(measure))
    if jax.default_backend() == "cpu":  # the devices share one memory
        peak *= devices.size
    seconds = time.monotonic() - began
    return Compiled(made, jax.jit(made.init), advance, measure, peak, seconds)


def start(compiled: Compiled, hypers_P: hypers.Hypers, devices: Any) -> Member:
    """The population before its first step; the devices are filled with idle copies."""
    count = len(hypers_P.seed)
    total = population.padded(count, devices.size)
    members_P = compiled.init(
        population.place(population.fill(hypers_P, total), devices), ()
    )
    status_P = np.where(np.arange(total) < count, RUNNING, FILLER)
    return marked(members_P, status_P, devices)


def marked(members_P: Member, status_P: np.ndarray, devices: Any) -> Member:
    """The population with these statuses, its running loss begun anew."""
    fresh = population.place(
        (status_P.astype(np.int32), np.zeros(status_P.shape, np.float32)), devices
    )
    return members_P._replace(status=fresh[0], loss_sum=fresh[1])


def items(members_P: Member, count: int) -> dict[str, Any]:
    """What a checkpoint keeps, on the host, without the idle copies."""
    kept = jax.tree.map(lambda leaf: np.asarray(leaf)[:count], members_P)
    progress = {"step": kept.step, "status": kept.status, "loss_sum": kept.loss_sum}
    return {"params": kept.params, "optimizer": kept.optimizer, "progress": progress}


def shapes(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), tree)


def resumed(members_P: Member, kept_P: dict[str, Any], devices: Any) -> Member:
    """The population as a checkpoint has it, placed on the devices that there are."""
    total = members_P.status.shape[0]
    kept = members_P._replace(
        params=kept_P["params"], optimizer=kept_P["optimizer"], **kept_P["progress"]
    )
    count = kept.status.shape[0]
    full = population.fill(kept._replace(hypers=()), total)
    status_P = np.asarray(full.status).copy()
    status_P[count:] = FILLER
    full = full._replace(status=status_P)
    return population.place(full, devices)._replace(hypers=members_P.hypers)
