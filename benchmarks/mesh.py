"""What a large hybrid needs of a chip, on meshes of hardware that is not here.

    scripts/aot.sh tpu benchmarks/mesh.py --out=benchmarks/results/mesh.json
    scripts/aot.sh cuda benchmarks/mesh.py --cases=h100: \\
        --out=benchmarks/results/mesh.json

A model of 350 million parameters, in bfloat16 with layers that are recomputed: 24 of
them, three of the gated delta rule for each of attention, with an MLP, on rows of 8,192
bytes of text, one for each chip of a target. Under `data` alone each chip has the whole
state of AdamW. A case without a mesh (`v5e-4:`) trains a member on each chip, with all
the rows. The bytes are the compiler's; nothing is run, and no time is claimed.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from absl import flags

from attn_research.flags import FLAGS, main

CASES = ["v5e-4:data=4", "v5e-4:fsdp=4", "v5e-16:fsdp=16"]
flags.DEFINE_list("cases", CASES, "Hardware and its mesh, as v5e-4:fsdp=4.")
flags.DEFINE_string("out", None, "JSON file to write; what it holds is kept.")
ROOT = Path(__file__).parent.parent
DELTA = "gated_delta(heads=8)"
MODEL = {
    "task": "text(length=8192)",
    "model.pattern": f"{DELTA},{DELTA},{DELTA},dense(heads=16)",
    "model.layers": 24,
    "model.width": 1024,
    "model.mlp": "swiglu",
    "model.mlp_ratio": 3.0,
    "model.norm": "rms",
    "model.dtype": "bfloat16",
    "model.scan": "true",
    "model.remat": "true",
}
SHOWN = ("devices", "fits", "refused", "argument_bytes", "temporary_bytes")
SHOWN += ("total_bytes", "flops", "kernels", "seconds")


def measured(platform: str, mesh: str) -> dict[str, Any]:
    """The figures of one case, by the command that users have."""
    rows = int(platform.rpartition("-")[2]) if "-" in platform else 1
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "one.json"
        command = [sys.executable, ROOT / "scripts/compile.py", f"--out={out}"]
        command += [f"--{name}={value}" for name, value in MODEL.items()]
        command += [f"--platform={platform}", f"--train.batch={rows}"]
        command += [f"--train.mesh={mesh}"] if mesh else []
        subprocess.run([*command, "--train.steps=100"], check=False)
        (found,) = json.loads(out.read_text())["cells"]
    return {"batch": rows, **{name: found[name] for name in SHOWN}}


def run() -> int:
    from attn_research.config import Config, edit
    from attn_research.host import environment
    from attn_research.training import program

    out = Path(FLAGS.out) if FLAGS.out else None
    known = json.loads(out.read_text()) if out and out.exists() else {"cases": {}}
    params = program.cost(program.resolve(edit(Config(), MODEL))).params
    result = {"model": MODEL, "parameters": params, "cases": dict(known["cases"])}
    for case in FLAGS.cases:
        platform, _, mesh = case.partition(":")
        result["cases"][case] = found = measured(platform, mesh)
        print(json.dumps({"case": case, **found}), flush=True)
        if out:
            result["environment"] = environment.software()
            out.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    main(run, __doc__)
