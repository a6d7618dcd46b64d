"""The cost of every mixer against length, next to its peers.

    python benchmarks/mixers.py --out=benchmarks/results/mixers_cpu.json
    python benchmarks/mixers.py --quick

Batch 1, 4 heads of 64, causal (linformer and nystrom have no causal form), one core and
one thread each. Measured are the CPU time of a forward, and of a forward with the
backward of a random cotangent; and peak memory, as predicted by the compiler and as
reached by the process. Inputs are float32 or, with `--dtypes=bfloat16`, bfloat16.

Every subject runs in a process of its own, from the shortest length up, until a length
exceeds `--longest`. Ours and the peers use huge pages, without which every new array of
16 MB is 4,096 page faults. Exponents are fitted from 1,024 tokens on. Without PyTorch
its peers are left out. Subjects that are not measured again keep their entries in an
existing file, each with the commit at which it was measured. On a shared machine,
`--rounds=3` measures all subjects three times in turn and keeps the shortest times.
"""

import importlib.util
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from absl import flags

from attn_research.flags import FLAGS, main

LENGTHS = (256, 1024, 4096, 16384)
QUICK = {
    "ops": ("dense chunked", "jax.nn.dot_product_attention", "linear chunked"),
    "mixers": ("window", "lstm"),
    "peers": ("torch SDPA", "torch linear chunked"),
}
KINDS = tuple(QUICK)
PAGES = "glibc.malloc.hugetlb=1"
FAMILIES = {
    "dense attention": (
        "dense chunked",
        "jax.nn.dot_product_attention",
        "torch SDPA",
    ),
    "sparse, low rank": (
        "mla",
        "differential",
        "window",
        "bigbird",
        "longformer",
        "sparse_transformer",
        "topk",
        "moba",
        "reformer",
        "linformer",
        "nystrom",
        "window 256",
    ),
    "linear, fast weights": (
        "linear",
        "performer",
        "based",
        "retnet",
        "gla",
        "hgrn2",
        "mamba2",
        "delta",
        "gated_delta",
        "kda",
        "gdn2",
        "deltaproduct",
        "gated_deltaproduct",
        "comba",
        "rwkv6",
        "rwkv7",
        "mlstm",
        "linear chunked",
        "torch linear chunked",
    ),
    "recurrent": ("rnn", "lstm", "gru", "slstm", "torch LSTM", "torch GRU"),
    "diagonal, state-space": (
        "diagonal",
        "rglru",
        "mingru",
        "minlstm",
        "rwkv4",
        "lru",
        "s4d",
        "s5",
        "mamba",
        "diagonal recurrence",
        "torch recurrence loop",
        "selective scan",
        "torch selective loop",
    ),
    "convolutional": ("conv", "dilated", "baseconv", "hyena"),
}

flags.DEFINE_string("out", None, "JSON file to write, with a figure next to it.")
flags.DEFINE_bool("quick", False, "A few subjects, two lengths: under two minutes.")
flags.DEFINE_list("only", None, "Subjects to measure; by default all.")
flags.DEFINE_list("dtypes", ["float32"], "float32, bfloat16.")
flags.DEFINE_list("lengths", None, "Lengths; by default 256 to 16384.")
flags.DEFINE_float(
    "longest", 30.0, "Stop a subject once 8x the CPU seconds of a call exceed this."
)
flags.DEFINE_float("seconds", 5.0, "CPU seconds for which a call is repeated.")
flags.DEFINE_integer("rounds", 1, "Times that every subject is measured, in turn.")
flags.DEFINE_string("subject", None, "kind/name to measure in this process (internal).")


def makers(kind: str) -> dict[str, Any]:
    """The subjects of a kind."""
    import subjects

    if kind == "peers":
        import torch_subjects

        return torch_subjects.peers()
    return subjects.ops() if kind == "ops" else subjects.mixers()


def timed(call: Any) -> float:
    """CPU seconds of a call, the minimum of up to five after a warm-up."""
    call()
    best, began = float("inf"), time.process_time()
    for _ in range(5):
        start = time.process_time()
        call()
        best = min(best, time.process_time() - start)
        if time.process_time() - began > FLAGS.seconds:
            break
    return best


def measure(kind: str, name: str, lengths: list[int], dtype: str) -> list[dict]:
    """One row per length, until one takes too long."""
    make, rows = makers(kind)[name], []
    for length in lengths:
        subject = make(length, dtype)
        row: dict[str, Any] = {"length": length, "forward": timed(subject.forward)}
        row["both"] = timed(subject.both) if subject.both else None
        row["forward_bytes"] = subject.forward_bytes
        row["both_bytes"] = subject.both_bytes
        row["both_temporary_bytes"] = subject.both_temporary_bytes
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        row["process_peak_bytes"] = used * 1024
        rows.append(row)
        # Cubic at worst: four times the length is at most 64 times the time.
        if max(row["forward"], row["both"] or 0) * 8 > FLAGS.longest:
            break
    return rows


def child(kind: str, name: str, lengths: list[int], dtype: str) -> list[dict]:
    """The rows of one subject, measured on one core in a process of its own."""
    done = subprocess.run(
        [
            sys.executable,
            __file__,
            f"--subject={kind}/{name}",
            f"--lengths={','.join(map(str, lengths))}",
            f"--dtypes={dtype}",
            f"--longest={FLAGS.longest}",
            f"--seconds={FLAGS.seconds}",
        ],
        capture_output=True,
        text=True,
        env=dict(os.environ, NPROC="1", JAX_PLATFORMS="cpu", GLIBC_TUNABLES=PAGES),
    )
    if done.returncode:
        print(f"{name} failed: {done.stderr.strip().splitlines()[-1:]}", flush=True)
        return []
    return json.loads(done.stdout.splitlines()[-1])


def exponents(rows: list[dict]) -> dict[str, float]:
    """The slope of each cost on a log-log scale, from 1,024 tokens on."""
    from attn_research.analysis.statistics import exponent

    results = {}
    long = [row for row in rows if row["length"] >= 1024]
    for cost in ("forward", "both", "forward_bytes", "both_bytes"):
        values = [row[cost] for row in long]
        if len(values) > 1 and all(values):
            lengths = [float(row["length"]) for row in long]
            results[cost] = exponent(lengths, [float(v) for v in values]).mean
    return results


def keep(results: dict[str, Any], subject: dict[str, Any], *, again: bool) -> None:
    """Adds a subject to the results, in place of an earlier measurement of it.

    If it is measured `again` in one run, the shorter time at each length stays.
    """

    def same(other: dict[str, Any]) -> bool:
        return all(other[part] == subject[part] for part in ("kind", "name", "dtype"))

    others = [other for other in results["subjects"] if not same(other)]
    for before in filter(same, results["subjects"] if again else ()):
        for row, old in zip(subject["rows"], before["rows"], strict=False):
            for time_of in ("forward", "both"):
                if old[time_of]:
                    row[time_of] = min(row[time_of], old[time_of])
    subject["exponents"] = exponents(subject["rows"])
    results["subjects"] = [*others, subject]


def draw(results: dict[str, Any], path: Path) -> None:
    """Draws time and memory of forward and backward by length, a column per family.

    The grey line in each is dense attention.
    """
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    from attn_research.report.styles import styles

    single = {
        s["name"]: s["rows"] for s in results["subjects"] if s["dtype"] == "float32"
    }
    figure, axes = pyplot.subplots(
        2, len(FAMILIES), figsize=(19, 9.5), sharex=True, sharey="row",
        layout="constrained",
    )  # fmt: skip
    for column, (family, names) in zip(axes.T, FAMILIES.items(), strict=True):
        names = [name for name in names if name in single]
        looks = styles(names)
        for axis, cost, scale in zip(
            column, ("both", "both_bytes"), (1e3, 1), strict=True
        ):
            for name in ("dense", *names):
                rows = single.get(name, [])
                points = [(r["length"], r[cost] * scale) for r in rows if r[cost]]
                if name in looks and points:
                    color, marker, dash = looks[name]
                    axis.plot(*zip(*points, strict=True), color=color, marker=marker,
                              linestyle=dash, label=name, markersize=5)  # fmt: skip
                elif points:
                    axis.plot(*zip(*points, strict=True), color="#b0b0b0", linewidth=4,
                              label=name, zorder=0)  # fmt: skip
            axis.set(xscale="log", yscale="log")
            axis.set_xticks(LENGTHS, [str(length) for length in LENGTHS])
            axis.minorticks_off()
            axis.grid(True, color="#e3e3e3", linewidth=0.6)
        column[0].set_title(family, fontsize=11)
        column[1].set_xlabel("length (tokens)")
        column[1].legend(
            *column[0].get_legend_handles_labels(), fontsize=8, frameon=False,
            loc="upper center", bbox_to_anchor=(0.5, -0.18),
        )  # fmt: skip
    axes[0, 0].set_ylabel("forward + backward (CPU ms)")
    axes[1, 0].set_ylabel("predicted peak memory (bytes)")
    figure.savefig(path, metadata={"Date": None})


def run() -> int:
    lengths = [int(n) for n in FLAGS.lengths or LENGTHS]
    if FLAGS.subject:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
        kind, _, name = FLAGS.subject.partition("/")
        print(json.dumps(measure(kind, name, lengths, FLAGS.dtypes[0])))
        return 0
    from attn_research.host import environment

    if FLAGS.quick:
        lengths = [1024, 4096]
        FLAGS.seconds = 0.5
    path = Path(FLAGS.out) if FLAGS.out else None
    results: dict[str, Any] = {"subjects": []}
    if path and path.exists():
        results = json.loads(path.read_text())
    facts = environment.facts()
    kinds = KINDS if importlib.util.find_spec("torch") else KINDS[:2]
    subjects = [
        (kind, name, dtype)
        for kind in kinds
        for name in (QUICK[kind] if FLAGS.quick else makers(kind))
        if not FLAGS.only or name in FLAGS.only
        for dtype in FLAGS.dtypes
    ]
    results["environment"] = facts
    for at in range(FLAGS.rounds):
        for kind, name, dtype in subjects:
            own: dict[str, Any] = {"kind": kind, "name": name, "dtype": dtype}
            own |= {"commit": facts["commit"]}
            own["rows"] = rows = child(kind, name, lengths, dtype)
            keep(results, own, again=at > 0)
            if path:
                path.write_text(json.dumps(results, indent=1) + "\n")
            shown = [
                f"{r['length']}: {r['forward'] * 1e3:.1f} / "
                + (f"{r['both'] * 1e3:.1f}" if r["both"] else "-")
                for r in rows
            ]
            print(f"{name} {dtype} (ms)  " + "  ".join(shown), flush=True)
    if path:
        draw(results, path.with_suffix(".svg"))
    return 0


if __name__ == "__main__":
    main(run, sys.modules["__main__"].__doc__)
