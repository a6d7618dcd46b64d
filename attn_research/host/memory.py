"""How much memory a compiled program needs, and whether it is available.

The compiler's own analysis predicts without allocating; measured processes needed up to
1.3 times that and 50 MB more, so that `require` keeps a margin above it.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

from attn_research.options import BadInput

FACTOR, MARGIN = 1.35, 300 * 10**6
_CGROUPS = Path("/sys/fs/cgroup")


class MemoryRefused(BadInput):
    """The program was predicted not to fit, and was not started."""


def predict(compiled: Any) -> int:
    """Bytes of a `jax.stages.Compiled`: temporaries, arguments and outputs."""
    found = compiled.memory_analysis()
    return (
        found.temp_size_in_bytes
        + found.argument_size_in_bytes
        + found.output_size_in_bytes
        - found.alias_size_in_bytes
    )


def available(device: Any = None) -> int | None:
    """Bytes that can be allocated now on `device`, or in this process on a CPU.

    On a CPU the smallest of what the machine and the control groups around the process
    leave; None if none of them is known.
    """
    if device is not None and device.platform != "cpu":
        stats = device.memory_stats() or {}
        limit = stats.get("bytes_limit")
        return None if limit is None else limit - stats.get("bytes_in_use", 0)
    known = [_machine(), *_groups()]
    return min((size for size in known if size is not None), default=None)


def with_margin(needed: int) -> float:
    """The bytes that a process of a program which needs `needed` may take."""
    return FACTOR * needed + MARGIN


def require(
    needed: int, free: int | None, what: str = "The program", about: str = "about"
) -> None:
    """Raises `MemoryRefused` if `needed` bytes, with the margin, exceed `free`."""
    wanted = with_margin(needed)
    if free is not None and wanted > free:
        raise MemoryRefused(
            f"{what} needs {about} {wanted / 1e9:.2f} GB and {free / 1e9:.2f} GB are "
            "free; make the batch, the model or the population smaller, or pass "
            "--train.execution=map or --model.remat"
        )


def _machine() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def oom_kills(
    root: Path = _CGROUPS,
    own: Path = Path("/proc/self/cgroup"),
    whole: Path = Path("/proc/vmstat"),
) -> int | None:
    """Number of processes the kernel killed for want of memory, None if unknown.

    Those of the control group around this process if it counts them, else of the
    machine.
    """
    places = [whole]
    with suppress(OSError):
        for line in own.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            inside = path.lstrip("/")
            if controllers == "":
                places.insert(0, root / inside / "memory.events")
            elif "memory" in controllers.split(","):
                control = root / "memory"
                places.insert(0, control / inside / "memory.oom_control")
                places.insert(1, control / "memory.oom_control")
    for place in places:
        with suppress(OSError, ValueError):
            facts = dict(line.split() for line in place.read_text().splitlines())
            if "oom_kill" in facts:
                return int(facts["oom_kill"])
    return None


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # no such file, or "max"
        return None


def _reclaimable(group: Path) -> int:
    """The page cache that the kernel drops before it refuses memory."""
    try:
        lines = (group / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    found = dict(line.split() for line in lines if len(line.split()) == 2)
    return int(found.get("total_inactive_file", found.get("inactive_file", 0)))


def _groups(root: Path = _CGROUPS, own: Path = Path("/proc/self/cgroup")) -> list[int]:
    """What each control group around this process leaves (versions 1 and 2)."""
    try:
        entries = [line.split(":", 2) for line in own.read_text().splitlines()]
    except OSError:
        return []
    left = []
    for _, controllers, path in (e for e in entries if len(e) == 3):
        if controllers == "":
            base, limit_name, used_name = root, "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            base = root / "memory"
            limit_name, used_name = "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        group = base / path.lstrip("/")
        for place in [group, *group.parents]:
            if not place.is_relative_to(base):
                break
            limit, used = _number(place / limit_name), _number(place / used_name)
            if limit is not None and used is not None:
                left.append(limit - used + _reclaimable(place))
    return left
