"""The roles of `population.py` in JAX: the compiled population, and a naive one."""

import time

from attn_research.config import Config, Model, Population, Train

PAIRS = {64: 4, 256: 16}
MEMBERS = Population(seed=(0, 1, 2, 3), lr=(1e-4, 4.64e-4, 2.15e-3, 1e-2))
VOCABULARY, WIDTH, BATCH = 8192, 64, 64


def config(length: int, steps: int = 10**6) -> Config:
    """The model and task of every role."""
    return Config(
        task=f"mqar(length={length},pairs={PAIRS[length]},vocabulary={VOCABULARY})",
        model=Model(
            pattern="dense(heads=1)",
            width=WIDTH,
            positions="learned",
            embed_dropout=0.1,
        ),
        train=Train(steps=steps, batch=BATCH, eval_every=steps, eval_batches=1),
    )


def ours(length: int, seconds: float) -> dict[str, float]:
    """The speed of the compiled population, its compile time and peak memory."""
    import jax
    import numpy as np

    from attn_research import hypers
    from attn_research.training import placed, population, program

    resolved = program.resolve(config(length))
    count = 16
    made = placed.prepare(resolved, count, ())
    members_P = placed.initial(made, hypers.grid(MEMBERS), population.mesh())
    members_P = made.advance(members_P, ((), np.int32(1)))
    jax.block_until_ready(members_P.step)
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        members_P = made.advance(members_P, ((), np.int32(4)))
        jax.block_until_ready(members_P.step)
        done += 4
    spent = time.perf_counter() - began
    return {
        "steps_per_second": done * count / spent,
        "compile_seconds": made.seconds,
        "peak_bytes": float(made.peak_bytes),
    }


def naive(length: int, seconds: float) -> dict[str, float]:
    """The speed of a vmap over members, head at every position, a step per dispatch."""
    import jax
    import jax.numpy as jnp
    import optax

    from attn_research import hypers, tasks
    from attn_research.losses import losses
    from attn_research.modules import models
    from attn_research.training import metrics, program

    resolved = program.resolve(config(length))
    task = tasks.make(resolved.task)
    model = models.build(resolved.model, program.sizes(task))
    hypers_P = jax.tree.map(jnp.asarray, hypers.grid(MEMBERS))

    def start(one):
        params = model.init(jax.random.key(one.seed))
        return params, hypers.optimizer(one, resolved.train).init(params)

    def step(params, state, one, key):
        batch = task.batch(key, "train", BATCH)

        def loss_of(params):
            logits = model.apply(params, batch.inputs, batch.segments, key)
            loss, _ = losses(logits, batch.targets, "token")
            return metrics.mean(loss, batch.weights)

        grads = jax.grad(loss_of)(params)
        transform = hypers.optimizer(one, resolved.train)
        updates, state = transform.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    members = jax.jit(jax.vmap(start))(hypers_P)
    advance = jax.jit(jax.vmap(step))
    began, done = time.perf_counter(), -1
    spent = compiling = 0.0
    while done < 0 or spent < seconds:
        keys = jax.random.split(jax.random.key(done + 1), 16)
        members = advance(*members, hypers_P, keys)
        jax.block_until_ready(members)
        done += 1
        if done == 0:  # the first step compiles
            compiling, began = time.perf_counter() - began, time.perf_counter()
        spent = time.perf_counter() - began
    return {"steps_per_second": done * 16 / spent, "compile_seconds": compiling}
