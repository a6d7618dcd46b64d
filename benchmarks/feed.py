"""What sending the rows of a text costs beside holding it on the devices.

    python benchmarks/feed.py --out=benchmarks/results/feed_cpu.json

The same run (a tiny convolutional model of the standard library, 16 rows of 256 bytes)
with `--train.data=device` and `host`, by turns: seconds outside and inside the compiled
steps, of the fastest of each. And the sending alone, of 64 rows of 1,024 bytes:
processor and wall time of a step, of blocks that nothing else is computed beside. Takes
a minute of a core; the load of the machine is written down beside it.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

from absl import flags

from attn_research.config import Config, Model, Population, Train, edit
from attn_research.flags import FLAGS, main

flags.DEFINE_string("out", None, "JSON file to write.")
flags.DEFINE_integer("steps", 300, "Training steps of the member.")
flags.DEFINE_integer("turns", 3, "Runs of each way.")


def sending(config: Config) -> dict[str, float]:
    """Milliseconds of a step for rows that are sent and then used for nothing."""
    import jax

    from attn_research import tasks
    from attn_research.loop import feed
    from attn_research.training.population import mesh
    from attn_research.training.program import resolve

    config = resolve(edit(config, {"train.data": "host", "train.steps": 4_000}))
    fed = feed.opened(config, Population(), tasks.make(config.task))
    fed.place(mesh())
    jax.block_until_ready(fed.steps(0))
    each = fed.most(0)
    jax.block_until_ready(fed.steps(each))  # all that is compiled has run
    began, used = time.monotonic(), time.process_time()
    first, last = 2 * each, 2 * each + 4 * each
    for step in range(first, last, each):
        jax.block_until_ready(fed.steps(step))
    count = last - first
    return {
        "wall_ms": (time.monotonic() - began) / count * 1e3,
        "processor_ms": (time.process_time() - used) / count * 1e3,
        "steps_of_a_block": each,
    }


def run() -> int:
    from attn_research import loop
    from attn_research.host import environment, layout

    config = Config(
        task="text(length=256)",
        model=Model(pattern="conv", width=16, layers=1),
        train=Train(steps=FLAGS.steps, batch=16, eval_every=100),
    )
    ways: dict[str, list[dict[str, float]]] = {"device": [], "host": []}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(FLAGS.turns):
            for way, told in ways.items():
                where = Path(folder) / f"{way}{turn}" / "run"
                given = edit(config, {"train.data": way})
                assert loop.run(given, Population(), where) == 0
                result = layout.read_result(where)
                assert result is not None
                seconds, inside = result["seconds"], result["advance_seconds"]
                told.append(
                    {
                        "seconds": seconds,
                        "advance_seconds": inside,
                        "outside_seconds": seconds - inside,
                        "outside": 1 - inside / seconds,
                    }
                )
    results = {
        "steps": FLAGS.steps,
        "ways": ways,
        "fastest": {
            way: min(told, key=lambda one: one["seconds"]) for way, told in ways.items()
        },
        "sending": sending(
            edit(config, {"task": "text(length=1024)", "train.batch": 64})
        ),
        "load": os.getloadavg()[0],
        "environment": environment.facts(),
    }
    print(json.dumps({name: results[name] for name in ("fastest", "sending", "load")}))
    if FLAGS.out:
        Path(FLAGS.out).write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    main(run, sys.modules["__main__"].__doc__)
