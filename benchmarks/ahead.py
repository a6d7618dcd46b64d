"""What a training step of each mixer takes on hardware that is not here.

    scripts/aot.sh tpu benchmarks/ahead.py --platform=v5e-1 \\
        --out=benchmarks/results/ahead_v5e-1.json
    scripts/aot.sh cuda benchmarks/ahead.py --platform=h100 \\
        --out=benchmarks/results/ahead_h100.json

One layer of width 256 in bfloat16 on recall of 1,024 tokens, batch 16, a population of
two. The bytes and the kernels are the compiler's; the FLOPs (of all but kernels) and
the steps one after another are counted in the traced program. Nothing is run, and no
time is claimed.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from absl import flags

from attn_research.flags import FLAGS, main

MIXERS = "dense,window,linear,gated_delta,lstm,diagonal"
flags.DEFINE_string("platform", "v5e-1", "Hardware, as `attn-research compile` has it.")
flags.DEFINE_list("mixers", MIXERS.split(","), "Mixers, with commas.")
flags.DEFINE_string("out", None, "JSON file to write; what it holds is kept.")
ROOT = Path(__file__).parent.parent
WIDTH, BATCH, LENGTH, MEMBERS = 256, 16, 1024, 2
SHOWN = ("fits", "refused", "temporary_bytes", "argument_bytes", "total_bytes")
SHOWN += ("flops", "sequential_steps", "kernels", "seconds")


def measured(mixer: str, platform: str) -> dict[str, Any]:
    """The figures of one mixer, by the command that users have."""
    seeds = ",".join(map(str, range(MEMBERS)))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "one.json"
        command = [sys.executable, ROOT / "scripts/compile.py", f"--out={out}"]
        command += [f"--platform={platform}", f"--model.pattern={mixer}"]
        command += [f"--task=recall(length={LENGTH},pairs=16)", f"--seed={seeds}"]
        command += [f"--model.width={WIDTH}", "--model.layers=1", "--model.mlp=gelu"]
        command += ["--model.dtype=bfloat16", f"--train.batch={BATCH}"]
        subprocess.run([*command, "--train.steps=100"], check=False)
        (found,) = json.loads(out.read_text())["cells"]
    return {name: found[name] for name in SHOWN}


def run() -> int:
    from attn_research.host import environment

    out = Path(FLAGS.out) if FLAGS.out else None
    known = json.loads(out.read_text()) if out and out.exists() else {"mixers": {}}
    sizes = {"width": WIDTH, "batch": BATCH, "length": LENGTH, "members": MEMBERS}
    result = {"platform": FLAGS.platform, **sizes, "mixers": dict(known["mixers"])}
    for mixer in FLAGS.mixers:
        result["mixers"][mixer] = found = measured(mixer, FLAGS.platform)
        print(json.dumps({"mixer": mixer, **found}), flush=True)
        if out:
            result["environment"] = environment.software()
            out.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    main(run, __doc__)
