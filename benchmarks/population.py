"""Training a population: ours, our own naive form, and PyTorch, in one run.

    python benchmarks/population.py --out=benchmarks/results/population_cpu.json
    python benchmarks/population.py --command_steps=500     # also command to result

The 2-layer attention model of width 64 on published recall (vocabulary 8192, batch 64,
dropout 0.1 on the embedding), 16 members: 4 learning rates x 4 seeds. Every role runs
alone, in a process of its own, on one core, in turns; the figure is model steps per
second per core, the median of the turns. The roles:

    ours            populations as `train.run` compiles them
    naive           vmap over the members, the head everywhere, a dispatch per step
    torch           the same model in PyTorch, the head everywhere, a member at a time
    torch_labelled  the same, the head only at labelled positions
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from absl import flags

from attn_research.config import Config, Model, Population, Train
from attn_research.flags import FLAGS, main

ROLES = ("ours", "naive", "torch", "torch_labelled")
PAIRS = {64: 4, 256: 16}
MEMBERS = Population(seed=(0, 1, 2, 3), lr=(1e-4, 4.64e-4, 2.15e-3, 1e-2))
VOCABULARY, WIDTH, BATCH = 8192, 64, 64

flags.DEFINE_string("out", None, "File that the JSON is written to.")
flags.DEFINE_string("role", None, "Measures one role in this process (internal).")
flags.DEFINE_integer("length", 64, "Length of that role (internal).")
flags.DEFINE_float("seconds", 20.0, "Time measured of each role and turn.")
flags.DEFINE_integer("turns", 3, "Turns of every role.")
flags.DEFINE_integer(
    "command_steps", 0, "Also times command to result at this many steps on all cores."
)


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
    """Steps per second of the compiled population, and its compilation."""
    import jax
    import numpy as np

    from attn_research import hypers, population, program, train

    resolved = program.resolve(config(length))
    count = 16
    compiled = train.prepare(resolved, count, ())
    members_P = train._start(compiled, hypers.grid(MEMBERS), population.mesh())
    ahead, done, began = 1, 0, time.perf_counter()
    members_P = compiled.advance(members_P, ((), np.int32(1)))
    jax.block_until_ready(members_P.step)
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        members_P = compiled.advance(members_P, ((), np.int32(ahead)))
        jax.block_until_ready(members_P.step)
        done += ahead
        ahead = 4
    spent = time.perf_counter() - began
    return {
        "steps_per_second": done * count / spent,
        "compile_seconds": compiled.seconds,
        "peak_bytes": float(compiled.peak_bytes),
    }


def naive(length: int, seconds: float) -> dict[str, float]:
    """vmap over members, head at every position, one step in a dispatch."""
    import jax
    import jax.numpy as jnp
    import optax

    from attn_research import evaluate, hypers, program, tasks
    from attn_research.modules import models

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
            loss, _ = evaluate.losses(logits, batch.targets, "token")
            return evaluate.mean(loss, batch.weights)

        grads = jax.grad(loss_of)(params)
        transform = hypers.optimizer(one, resolved.train)
        updates, state = transform.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    members = jax.jit(jax.vmap(start))(hypers_P)
    advance = jax.jit(jax.vmap(step))
    began, done = time.perf_counter(), -1
    spent = 0.0
    while done < 0 or spent < seconds:
        keys = jax.random.split(jax.random.key(done + 1), 16)
        members = advance(*members, hypers_P, keys)
        jax.block_until_ready(members)
        done += 1
        if done == 0:  # the first step compiles
            compiling, began = time.perf_counter() - began, time.perf_counter()
        spent = time.perf_counter() - began
    return {"steps_per_second": done * 16 / spent, "compile_seconds": compiling}


def torch(length: int, seconds: float, labelled: bool, steps: int = 0):
    """The same model in PyTorch, one member after another."""
    import torch as th
    from torch.nn import functional as fn

    th.set_num_threads(len(os.sched_getaffinity(0)))
    pairs = PAIRS[length]

    class Attention(th.nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = th.nn.LayerNorm(WIDTH)
            self.inner = th.nn.Linear(WIDTH, 3 * WIDTH, bias=False)
            self.out = th.nn.Linear(WIDTH, WIDTH, bias=False)

        def forward(self, x):
            q, k, v = self.inner(self.norm(x))[:, None].chunk(3, dim=-1)
            y = fn.scaled_dot_product_attention(q, k, v, is_causal=True)
            return x + self.out(y[:, 0])

    class LM(th.nn.Module):
        def __init__(self):
            super().__init__()
            self.table = th.nn.Embedding(VOCABULARY, WIDTH)
            self.place = th.nn.Embedding(length, WIDTH)
            self.drop = th.nn.Dropout(0.1)
            self.layers = th.nn.Sequential(Attention(), Attention())
            self.norm = th.nn.LayerNorm(WIDTH)

        def forward(self, tokens, at=None):
            x = self.table(tokens) + self.place.weight
            x = self.norm(self.layers(self.drop(x)))
            if at is not None:
                x = x.gather(1, at[:, :, None].expand(-1, -1, WIDTH))
            return x @ self.table.weight.T

    def batch():
        half = VOCABULARY // 2
        keys = th.rand(BATCH, half - 1).topk(pairs).indices + 1
        values = th.rand(BATCH, half).topk(pairs).indices + half
        slots = th.arange(1, (length - 2 * pairs) // 2 + 1)
        law = slots ** (0.01 - 1.0)
        at = 2 * pairs + 2 * th.multinomial(law.expand(BATCH, -1), pairs)
        tokens = th.zeros(BATCH, length, dtype=th.long)
        tokens[:, 0 : 2 * pairs : 2], tokens[:, 1 : 2 * pairs : 2] = keys, values
        return tokens.scatter(1, at, keys), values, at

    done, began, losses = 0, time.perf_counter(), []
    for rate in MEMBERS.lr:
        for seed in MEMBERS.seed:
            th.manual_seed(seed)
            model = LM()
            adam = th.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.1)
            turn = time.perf_counter()
            member = 0
            while (
                member < steps if steps else time.perf_counter() - turn < seconds / 16
            ):
                tokens, values, at = batch()
                adam.zero_grad()
                if labelled:
                    loss = fn.cross_entropy(
                        model(tokens, at).flatten(0, 1), values.flatten()
                    )
                else:
                    targets = th.full((BATCH, length), -100).scatter(1, at, values)
                    loss = fn.cross_entropy(
                        model(tokens).flatten(0, 1),
                        targets.flatten(),
                        ignore_index=-100,
                    )
                loss.backward()
                th.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                adam.step()
                member += 1
            losses.append(float(loss))
            done += member
    return {"steps_per_second": done / (time.perf_counter() - began)}


def measure(role: str, length: int, seconds: float) -> dict[str, float]:
    """One role in this process."""
    if role == "ours":
        return ours(length, seconds)
    if role == "naive":
        return naive(length, seconds)
    return torch(length, seconds, role == "torch_labelled", FLAGS.command_steps)


def child(
    role: str,
    length: int,
    cores: list[int],
    steps: int = 0,
    seconds: float | None = None,
) -> dict[str, float]:
    """One role in a process of its own, on the given cores."""
    command = [
        sys.executable,
        __file__,
        f"--role={role}",
        f"--length={length}",
        f"--seconds={FLAGS.seconds if seconds is None else seconds}",
        f"--command_steps={steps}",
    ]
    environment = dict(os.environ, NPROC=str(len(cores)), JAX_PLATFORMS="cpu")
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    return json.loads(done.stdout.splitlines()[-1])


def command_to_result(steps: int, cores: list[int]) -> dict[str, float]:
    """Seconds from the command to the result of 16 members, on all cores."""
    import tempfile

    root = Path(__file__).resolve().parents[1]
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        c = config(64, steps)
        subprocess.run(
            [
                sys.executable,
                str(root / "scripts" / "train.py"),
                f"--out={folder}/run",
                f"--task={c.task}",
                f"--model.pattern={c.model.pattern}",
                "--model.positions=learned",
                "--model.embed_dropout=0.1",
                f"--train.steps={steps}",
                f"--train.eval_every={steps}",
                "--train.eval_batches=1",
                "--train.test_batches=1",
                "--lr=" + ",".join(map(str, MEMBERS.lr)),
                "--seed=" + ",".join(map(str, MEMBERS.seed)),
            ],
            check=True,
            capture_output=True,
            env=dict(os.environ, JAX_ENABLE_COMPILATION_CACHE="false"),
        )
        mine = time.perf_counter() - began
    began = time.perf_counter()
    child("torch", 64, cores, steps)
    peer = time.perf_counter() - began
    return {"steps": steps, "ours": mine, "torch": peer, "ratio": peer / mine}


def run() -> int:
    if FLAGS.role:
        print(json.dumps(measure(FLAGS.role, FLAGS.length, FLAGS.seconds)))
        return 0
    from attn_research import environment

    cores = sorted(os.sched_getaffinity(0))
    found: dict[str, Any] = {"lengths": {}}
    for length in PAIRS:
        turns: dict[str, list[dict[str, float]]] = {role: [] for role in ROLES}
        for _ in range(FLAGS.turns):
            for role in ROLES:
                turns[role].append(child(role, length, cores[:1]))
        speed = {
            role: statistics.median(one["steps_per_second"] for one in turns[role])
            for role in ROLES
        }
        found["lengths"][length] = {
            "steps_per_second_per_core": speed,
            "ours_over": {r: speed["ours"] / speed[r] for r in ROLES if r != "ours"},
            "turns": turns,
        }
        print(length, json.dumps(found["lengths"][length]["ours_over"]), speed)
    if FLAGS.command_steps:
        found["command_to_result"] = command_to_result(FLAGS.command_steps, cores)
        print(found["command_to_result"])
    found["environment"] = environment.facts()
    found["environment"]["torch"] = environment._version("torch")
    if FLAGS.out:
        Path(FLAGS.out).write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    main(run, sys.modules["__main__"].__doc__)
