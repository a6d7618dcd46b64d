"""How compile time grows with depth: a hybrid of 4 and 24 layers, unrolled and looped.

    python benchmarks/compile.py --out=benchmarks/results/compile_cpu.json

The pattern is conv, dense; what is compiled is the loss and its gradients. Every
compilation is a new one, in this process, without a cache.
"""

import json
import sys
import time
from pathlib import Path

from absl import flags

from attn_research.flags import FLAGS, main

flags.DEFINE_string("out", None, "File that the JSON is written to.")
DEPTHS = (4, 24)


def compiling(layers: int, scan: bool) -> float:
    """Seconds to trace and compile a step of the model."""
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
    from attn_research import environment

    compiling(2, False)  # what the first compilation of a process pays is no depth's
    seconds = {
        kind: {layers: compiling(layers, kind == "scan") for layers in DEPTHS}
        for kind in ("unrolled", "scan")
    }
    found = {
        "seconds": seconds,
        "24_over_4": {kind: own[24] / own[4] for kind, own in seconds.items()},
    }
    print(json.dumps(found))
    if FLAGS.out:
        found["environment"] = environment.facts()
        Path(FLAGS.out).write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    main(run, sys.modules["__main__"].__doc__)
