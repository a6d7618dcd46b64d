"""A model over eight devices, in a process of its own, whose answers are JSON.

python -m tests.training.devices agree '{"patterns": ["linear"], "mesh": "fsdp=4"}'
"""

import functools
import json
import os
import sys
import tempfile
from typing import Any

if __name__ == "__main__":
    os.environ["XLA_FLAGS"] = (
        os.environ["XLA_FLAGS"] + " --xla_force_host_platform_device_count=8"
    )

import jax
import jax.numpy as jnp
import numpy as np

from attn_research import hypers
from attn_research.checkpoint import Writer
from attn_research.config import Config, Model, Population, Train
from attn_research.config.mesh import size as size_of
from attn_research.modules import MIXERS
from attn_research.modules.contract import both_ways_only
from attn_research.options.specs import split
from attn_research.testing.laws.steps import sequential
from attn_research.training import gradients, mesh, placed, population, program
from attn_research.trees import paths
from tests.training.collectives import MOVES, in_loops, text_of

# Rows of different numbers of labels, so that a mean of means is another mean.
CAUSAL = "dyck(length=32)"
# A finite set of examples, the last batch of which is filled up.
BOTH = "listops(length=32,shortest=8,depth=4,arguments=4,examples=64,held_out=24)"


@functools.cache
def made(
    pattern: str,
    text: str | None,
    devices: int | None = None,
    members: int = 1,
    task: str | None = None,
    model: str = "{}",
    **train,
) -> program.Program:
    """A small program on the devices of a mesh, or on this many of them."""
    if task is None:
        kind = MIXERS.get(pattern)
        task = BOTH if kind is not None and both_ways_only(kind) else CAUSAL
    small = {"pattern": pattern, "width": 16, "layers": len(split(pattern))}
    small |= json.loads(model)
    settings = {"steps": 40, "batch": 16, "warmup": 0.0, "schedule": "constant"}
    settings |= {"optimizer": "sgd", "clip": 0.0, "execution": "map"}
    config = Config(task, Model(**small), Train(**{**settings, "mesh": text, **train}))
    config = program.resolve(config)
    if devices is None:
        devices = size_of(config.train.mesh)
    onto = mesh.over(jax.devices()[:devices], config.train.mesh, members)
    return program.make(config, onto)


def begun(one: program.Program, lr: tuple[float, ...] = (1e-2,)) -> program.Member:
    """The population before its first step."""
    given = hypers.grid(Population(seed=(0,), lr=lr))
    given = population.fill(given, population.padded(len(lr), one.onto))
    lie = jax.tree.map(lambda leaf: leaf.sharding, placed.shapes(one, len(given.seed)))
    init = jax.jit(one.init, out_shardings=lie)
    return init(population.place(given, one.onto), {})


def trained(steps: int, members_P: program.Member, one: program.Program):
    """The population after some steps, on its devices."""
    return jax.jit(one.advance)(members_P, (one.task.arrays(), np.int32(steps)))


def size(tree) -> float:
    return float(
        np.sqrt(sum(np.sum(np.float64(x) ** 2) for x in jax.tree.leaves(tree)))
    )


def apart(first, second) -> float:
    """The norm of a difference over the norm of the first."""
    first, second = jax.device_get((first, second))
    less = jax.tree.map(lambda x, y: np.float64(x) - np.float64(y), first, second)
    return size(less) / size(first)


def farthest(first, second) -> float:
    """The largest of `apart` of any leaf that is no rounding of the whole."""
    first, second = map(paths, jax.device_get((first, second)))
    seen = [name for name in first if size(first[name]) > 1e-4 * size(first)]
    return max(apart(first[name], second[name]) for name in seen)


def agree(patterns: list[str], text: str, steps: int = 3, **train) -> dict:
    """How far training on a mesh is from that on one device, from one beginning."""
    found = {}
    for pattern in patterns:
        alone, spread = made(pattern, None, 1, **train), made(pattern, text, **train)
        first_P = begun(alone)
        there_P = population.place(jax.device_get(first_P), spread.onto)
        one_P, many_P = trained(steps, first_P, alone), trained(steps, there_P, spread)
        asked = alone.task.arrays(), np.bool_(False)
        found[pattern] = {
            "begun": apart(first_P.params, begun(spread).params),
            "steps": np.asarray(many_P.step).tolist(),
            "loss": apart(one_P.loss_sum, many_P.loss_sum),
            "grads": apart(one_P.optimizer, many_P.optimizer),
            "leaf": farthest(one_P.optimizer, many_P.optimizer),
            "params": apart(one_P.params, many_P.params),
            "moved": apart(first_P.params, one_P.params),
            "sums": apart(
                jax.jit(alone.evaluate)(one_P, asked),
                jax.jit(spread.evaluate)(there_P._replace(params=many_P.params), asked),
            ),
        }
    return found


def broken(how: str, **given) -> dict:
    """`agree`, of a mesh on which each device forgets something."""
    match how:
        case "others":  # the gradients of the devices along `data`
            whole = mesh._shard_of_sum

            def shard(leaf, where):
                index = jax.lax.axis_index("data").astype(leaf.dtype)
                return whole(leaf * (1 - index), where)

            mesh._shard_of_sum = shard
        case "rows":  # that its own are not the first
            mesh.index = lambda onto: 0
        case "labels":  # how many of them its rows have: a mean of means
            whole_sum = gradients._added

            def mean(*given):
                (loss, weight), grads = whole_sum(*given)
                scaled = jax.tree.map(lambda leaf: leaf / weight, (loss, grads))
                return (scaled[0], jnp.ones_like(weight)), scaled[1]

            gradients._added = mean
    return agree(**given)


def gradient_of(one: program.Program):
    """The gradient of a program's first batch, without the loops around a step."""
    lesson = gradients.Lesson(one.spec, one.model, one.model.traits)
    train = one.config.train

    def draw(arrays):
        key = jax.random.key(0)
        return one.task.batch(key, "train", train.batch, arrays), None

    def of(params, arrays):
        parts = train.accumulate
        return gradients.gradient(lesson, draw, params, (arrays,), one.onto, parts)

    all_P = population.over_members(of, "vmap", one.onto)
    params_P = placed.shapes(one, one.onto.shape["P"]).params
    return jax.jit(all_P), params_P, one.task.arrays()


def loops(patterns: list[str], text: str, batch: int = 16, **train) -> dict:
    """Steps one after another on each device, and what moves within a loop."""
    found = {}
    for pattern in patterns:
        spread = made(pattern, text, batch=batch, **train)
        rows = batch // mesh.shares(spread.onto)
        alone = made(pattern, None, 1, batch=rows, **train)
        traced = [of.trace(*given) for of, *given in map(gradient_of, (spread, alone))]
        compiled = text_of(traced[0].lower())
        found[pattern] = {
            "steps": [sequential(one.jaxpr.jaxpr) for one in traced],
            "moves": MOVES.findall(compiled),
            "in_loops": in_loops(compiled),
        }
    return found


def planted() -> dict:
    """A loop with a sum over devices in it, which `in_loops` must see."""
    onto = mesh.over(jax.devices()[:4], "fsdp=4")

    def summed(carry, x):
        return jax.lax.psum(jnp.tanh(carry + x), "fsdp"), None

    def local(x_TD):
        return jax.lax.scan(summed, jnp.zeros(x_TD.shape[1]), x_TD)[0]

    whole = jax.P()
    program = jax.shard_map(
        local, mesh=onto, in_specs=whole, out_specs=whole, check_vma=False
    )
    text = text_of(jax.jit(program).lower(jnp.ones((5, 8))))
    return {"moves": MOVES.findall(text), "in_loops": in_loops(text)}


def bytes_of(pattern: str, texts: list[str | None], **options) -> dict:
    """Bytes of the arguments of a training step on one device, and of its state."""
    found = {}
    for text in texts:
        one = made(pattern, text, None, **options)
        members_P = placed.shapes(one, 1)
        args = members_P, (one.task.arrays(), np.int32(1))
        compiled: Any = jax.jit(one.advance, donate_argnums=0).lower(*args).compile()
        analysis = compiled.memory_analysis()
        leaves = [[x.size * x.dtype.itemsize, *x.shape] for x in jax.tree.leaves(args)]
        found[text or "none"] = {
            "argument": analysis.argument_size_in_bytes,
            "temporary": analysis.temp_size_in_bytes,
            "leaves": leaves,
        }
    return found


def moved_between(pattern: str, texts: list[str | None]) -> dict:
    """Checkpoints saved on each mesh and restored on every other one."""
    ones = {text: made(pattern, text, optimizer="adamw") for text in texts}
    found, after = {}, {}
    for text, one in ones.items():
        members_P = trained(2, begun(one), one)
        kept = placed.items(members_P)
        with tempfile.TemporaryDirectory() as folder:
            with Writer(folder) as writer:
                writer.save(2, kept, {})
            for other, there in ones.items():
                state = placed.shapes(there, 1)
                held = placed.Compiled(there, None, None, None, state, 0, 0.0)
                with Writer(folder) as writer:
                    restored = writer.restore(placed.targets(held, 1))
                assert restored is not None
                given = hypers.grid(Population(seed=(0,), lr=(1e-2,)))
                back_P = placed.resumed(held, given, restored[1], there.onto)
                same = jax.tree.map(
                    lambda x, y: np.array_equal(np.asarray(x), np.asarray(y)),
                    (members_P.params, members_P.optimizer, members_P.step),
                    (back_P.params, back_P.optimizer, back_P.step),
                )
                lies = jax.tree.map(
                    lambda x, want: x.sharding.is_equivalent_to(want.sharding, x.ndim),
                    back_P,
                    state,
                )
                went_on = trained(1, back_P, there)
                first = after.setdefault(text, went_on)
                found[f"{text} -> {other}"] = {
                    "same": all(jax.tree.leaves(same)),
                    "lies": all(jax.tree.leaves(lies)),
                    "step": int(went_on.step[0]),
                    "params": apart(first.params, went_on.params),
                }
    return found


def beside(text: str, lr: list[float], pattern: str = "gru", **train) -> dict:
    """Members on meshes beside one another, each against itself alone on a mesh."""
    together = made(pattern, text, 8, len(lr), **train)
    many_P = trained(3, begun(together, tuple(lr)), together)
    alone = made(pattern, text, **train)
    ones = [trained(3, begun(alone, (rate,)), alone) for rate in lr]
    return {
        "status": np.asarray(many_P.status).tolist(),
        "step": np.asarray(many_P.step).tolist(),
        "params": [
            apart(one.params, jax.tree.map(lambda x, i=i: x[i : i + 1], many_P.params))
            for i, one in enumerate(ones)
        ],
    }


if __name__ == "__main__":
    jax.config.update("jax_numpy_rank_promotion", "raise")
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    name, given = sys.argv[1:]
    options = json.loads(given)
    if "model" in options:
        options["model"] = json.dumps(options["model"])
    print(json.dumps(globals()[name](**options)))
