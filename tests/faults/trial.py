"""Trials in a clean process: a fault is done to a child, and what is left is judged.

A trial forks after the imports and before any array is made, so that it costs a tenth
of a second instead of ten; for that, trials run in a process of their own, started by
`drive`. A child tells what was acknowledged through a pipe, which no fault can undo.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ROOT = Path(__file__).parents[2]
Tell = Callable[[Any], object]


def drive(name: str, timeout: float = 300.0, **options: Any) -> dict[str, Any]:
    """What the trials of the module `name` in this folder say, as JSON."""
    # One device, as a run has; else compiled as the tests are.
    flags = os.environ["XLA_FLAGS"].split()
    kept = " ".join(flag for flag in flags if "device_count" not in flag)
    done = subprocess.run(
        [sys.executable, "-m", f"tests.faults.{name}", json.dumps(options)],
        cwd=ROOT,
        env={**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": kept},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def main(trials: Callable[..., dict[str, Any]]) -> None:
    """Runs the trials with the options given by `drive`."""
    print(json.dumps(trials(**json.loads(sys.argv[1]))))


class Child(NamedTuple):
    """A forked child and the pipe on which it tells."""

    pid: int
    pipe: Any

    def next(self) -> Any:
        """Waits for the next thing it tells."""
        return json.loads(self.pipe.readline())

    def end(self) -> tuple[int, list[Any]]:
        """(how it ended, everything else it told); negative is a signal."""
        status = os.waitpid(self.pid, 0)[1]
        lines = [line for line in self.pipe.read().split("\n") if line]
        self.pipe.close()
        return os.waitstatus_to_exitcode(status), [json.loads(line) for line in lines]


def fork(body: Callable[[Tell], None]) -> Child:
    """Runs `body(tell)` in a child."""
    read, write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write)
        return Child(pid, os.fdopen(read, "r"))
    code = 1
    try:
        os.close(read)
        body(lambda value: os.write(write, json.dumps(value).encode() + b"\n"))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def kill_after(child: Child, seconds: float) -> None:
    time.sleep(seconds)
    os.kill(child.pid, signal.SIGKILL)


# --- what the children write: a tree that its step decides ---------------------------


def tree(step: int, size: int = 2000) -> dict[str, Any]:
    """Arrays of a step, big enough that a save takes a while."""
    draw = np.random.default_rng(step)
    leaves = {str(i): {"w": draw.normal(size=(size,))} for i in range(12)}
    return {"layers": leaves, "step": np.int64(step)}


def target(size: int = 2000) -> dict[str, Any]:
    import jax

    def shape(leaf: Any) -> Any:
        return jax.ShapeDtypeStruct(np.shape(leaf), np.asarray(leaf).dtype)

    return jax.tree.map(shape, tree(0, size))


def right(found: dict[str, Any], step: int) -> bool:
    """Whether restored items are those of a step, bit for bit."""
    import jax

    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(tree(step)), strict=True)
    return all(np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in pairs)


def resume_and_save(directory: Path, tell: Tell, pause: float = 0.0) -> None:
    """Tells what was resumed from, then saves steps until it is killed."""
    from attn_research.checkpoint import Writer

    told: list[str] = []
    with Writer(directory, report=told.append) as writer:
        found = writer.restore({"params": target()})
        step = found[0] if found else 0
        good = not found or right(found[1]["params"], step)
        tell({"resumed": step, "right": good, "told": told})
        while True:
            step += 1
            writer.save(step, {"params": tree(step)}, {"step": step})
            tell({"acknowledged": writer.wait()})
            time.sleep(pause)


def judge(
    start: dict[str, Any], acknowledged: int, problems: list[str], trial: int
) -> None:
    """Notes what a resume after a fault did not keep."""
    if start["resumed"] < acknowledged:
        problems.append(f"{trial}: resumed {start['resumed']}, had {acknowledged}")
    if not start["right"]:
        problems.append(f"{trial}: step {start['resumed']} holds other numbers")
    if start["told"]:
        problems.append(f"{trial}: {start['told']}")


@contextmanager
def mounted(image: Path, at: Path, *, kind: str, megabytes: int) -> Iterator[Path]:
    """A small file system of its own at `at`; only root can."""
    at.mkdir(exist_ok=True)
    if kind == "tmpfs":
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs"]
    else:
        with open(image, "wb") as file:
            file.truncate(megabytes << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
        command = ["mount", "-o", "loop", str(image)]
    subprocess.run([*command, str(at)], check=True, capture_output=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=False, capture_output=True)


def can_mount(folder: Path, kind: str) -> str | None:
    """None where a file system can be mounted, else the reason why not."""
    if os.geteuid() != 0:
        return "only root can mount"
    try:
        with mounted(folder / "try.img", folder / "try", kind=kind, megabytes=4):
            return None
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", b"") or b""
        return f"cannot mount {kind} here: {said.decode().strip() or error}"


def delays(seed: int, longest: float) -> Iterator[float]:
    draw = random.Random(seed)
    while True:
        yield draw.uniform(0.0, longest)
