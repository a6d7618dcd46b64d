"""What the descendants of the delta rule cost beside `gated_delta`, in one process.

    python benchmarks/delta_family.py --out=benchmarks/results/delta_family_cpu.json

Forward and backward of whole mixers, batch 1, width 256, 4 heads, float32, one core.
The mixers take turns; a ratio is the median over the turns of the CPU seconds of a
mixer over those of `gated_delta` in the same turn. `share` of a mixer of J updates a
token is its ratio to one update, over J: an update costs no more than the first if it
is at most 1. For memory, the compiler's temporary bytes at each length.
"""

import dataclasses
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from absl import flags

from attn_research.flags import FLAGS, main

WIDTH, HEADS = 256, 4
FIRST = "gated_delta"
STEPS = {f"gated_delta(steps={steps})": steps for steps in (2, 3, 4)}
SPECS = (FIRST, *STEPS, "delta", "kda", "gdn2", "deltaproduct", "comba", "rwkv7")

flags.DEFINE_string("out", None, "JSON file to write.")
flags.DEFINE_list("lengths", ["1024"], "Tokens of the sequence.")
flags.DEFINE_integer("turns", 5, "Times that every mixer is measured, in turn.")


def compiled(spec: str, length: int) -> tuple[Any, tuple[Any, ...]]:
    """The compiled forward and backward of a mixer, and its arguments."""
    import jax
    import jax.numpy as jnp

    from attn_research.modules import MIXERS
    from attn_research.options.specs import choose
    from attn_research.pure import functional

    tables = {name: mixer.Options for name, mixer in MIXERS.items()}
    options = dataclasses.replace(choose(spec, tables, "mixer"), heads=HEADS)
    mixer: Any = MIXERS[spec.partition("(")[0]]
    model = functional(
        lambda rngs: mixer(options, width=WIDTH, causal=True, length=length, rngs=rngs)
    )
    params = jax.jit(model.init)(jax.random.key(0))
    x_BTD = jax.random.normal(jax.random.key(1), (1, length, WIDTH), jnp.float32)

    def both(params: Any, x_BTD: Any, ct_BTD: Any) -> Any:
        y_BTD, back = jax.vjp(model.apply, params, x_BTD)
        return y_BTD, back(ct_BTD)

    arguments = params, x_BTD, x_BTD
    return jax.jit(both).lower(*arguments).compile(), arguments


def seconds(call: Any, arguments: tuple[Any, ...]) -> float:
    """CPU seconds of a call."""
    import jax

    began = time.process_time()
    jax.block_until_ready(call(*arguments))
    return time.process_time() - began


def measure(length: int) -> dict[str, dict[str, float]]:
    """For each mixer microseconds per token, its ratio, and temporary bytes."""
    calls = {spec: compiled(spec, length) for spec in SPECS}
    turns = []
    for turn in range(FLAGS.turns + 1):
        times = {spec: seconds(*call) for spec, call in calls.items()}
        if turn:  # the first one warms up
            turns.append(times)
    rows = {}
    for spec, (call, _) in calls.items():
        ratio = statistics.median(times[spec] / times[FIRST] for times in turns)
        row = {
            "microseconds_per_token": min(t[spec] for t in turns) / length * 1e6,
            "ratio": ratio,
            "temporary_bytes": call.memory_analysis().temp_size_in_bytes,
        }
        if spec in STEPS:
            row["share"] = ratio / STEPS[spec]
        rows[spec] = row
        print(f"{length} {spec}: {row}", flush=True)
    return rows


def run() -> int:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    from attn_research.host import environment

    results: dict[str, Any] = {"environment": environment.facts(), "lengths": {}}
    for length in map(int, FLAGS.lengths):
        results["lengths"][length] = measure(length)
        if FLAGS.out:
            Path(FLAGS.out).write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    main(run, sys.modules["__main__"].__doc__)
