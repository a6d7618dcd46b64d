"""How compile time grows with depth: a hybrid of 4 and 24 layers, unrolled and looped.

    python benchmarks/compile.py --out=benchmarks/results/compile_cpu.json

The pattern is conv, dense; the program is the loss and its gradients. Every
compilation is a new one, in this process, without a cache.
"""

import json
import sys
import time
from pathlib import Path

from absl import flags

from attn_research.flags import FLAGS, main

flags.DEFINE_string("out", None, "JSON file to write.")
DEPTHS = (4, 24)


def compiling(layers: int, scan: bool) -> float:
    """Seconds to trace and compile the loss and gradients of a model."""
    import jax
    import jax.numpy as jnp

    from attn_research.config import Model
    from attn_research.modules.models import Sizes, build

    model = build(
        Model(pattern="conv,dense", layers=layers, scan=scan, mlp="gelu"),
        Sizes("tokens", 256, 256, 256, causal=True),
    )
    params = jax.eval_shape(model.init, jax.random.key(0))
    tokens_BT = jax.ShapeDtypeStruct((8, 256), jnp.int32)

    def loss(params, tokens_BT):
        return jnp.mean(model.apply(params, tokens_BT) ** 2)

    began = time.perf_counter()
    jax.jit(jax.value_and_grad(loss)).lower(params, tokens_BT).compile()
    return time.perf_counter() - began


def run() -> int:
    from attn_research.host import environment

    compiling(2, False)  # the first compilation of a process costs more
    seconds = {
        kind: {layers: compiling(layers, kind == "scan") for layers in DEPTHS}
        for kind in ("unrolled", "scan")
    }
    result = {
        "seconds": seconds,
        "24_over_4": {kind: by[24] / by[4] for kind, by in seconds.items()},
    }
    print(json.dumps(result))
    if FLAGS.out:
        result["environment"] = environment.facts()
        Path(FLAGS.out).write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    main(run, sys.modules["__main__"].__doc__)
