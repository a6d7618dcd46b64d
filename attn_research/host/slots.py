"""Cores and devices divided among the processes that run in parallel."""

import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from attn_research.host.environment import processor
from attn_research.options import BadInput

DEVICES = "--xla_force_host_platform_device_count"
_NVIDIA = Path("/proc/driver/nvidia/gpus")


class Slot(NamedTuple):
    """What one process may use; `gpus` is None if the machine has none."""

    cores: tuple[int, ...]
    gpus: tuple[str, ...] | None


def cores() -> list[int]:
    """The cores this process may use, [] if the system does not say."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return []


def gpus(environment: Mapping[str, str]) -> list[str]:
    """The GPUs this process may use, without starting any."""
    if environment.get("JAX_PLATFORMS", "").startswith("cpu"):
        return []
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name]
    found = len(list(_NVIDIA.iterdir())) if _NVIDIA.is_dir() else 0
    return [str(index) for index in range(found)]


def divide(workers: int, cores: list[int], gpus: list[str]) -> list[Slot]:
    """`workers` slots with equal shares; too few cores are shared."""
    if workers < 1:
        raise BadInput(f"--workers is {workers}; it must be at least 1")
    if gpus and workers > len(gpus):
        raise BadInput(
            f"--workers is {workers}; it must be at most {len(gpus)}, one for each GPU"
        )
    return [
        Slot(
            tuple(_share(cores, workers, index)),
            tuple(_share(gpus, workers, index)) if gpus else None,
        )
        for index in range(workers)
    ]


def _share(things: list, workers: int, index: int) -> list:
    if workers > len(things):
        return things[index % len(things) :][:1] if things else []
    each, more = divmod(len(things), workers)
    start = index * each + min(index, more)
    return things[start : start + each + (index < more)]


def compilations(given: Mapping[str, str]) -> Path:
    """The directory of compiled programs, one for every instruction set."""
    home = given.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "attn_research" / "xla" / processor()


@contextmanager
def confined(slot: Slot) -> Iterator[None]:
    """Processes that are started while it is entered inherit the slot's cores."""
    if not slot.cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, slot.cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def claimed(count: int) -> Iterator[None]:
    """While it is entered this process has `count` cores, which no other claims.

    A cluster that does not bind its jobs to cores shows all of a node's to each of
    them. A claim is a file lock of this user and this machine, so that the kernel
    releases it with its process. Cores that are bound already stay as they are, and if
    too few are free they are shared.
    """
    bound = cores()
    if not bound or len(bound) <= count:
        yield
        return
    held: dict[int, int] = {}
    try:
        _claim(bound, count, held)
        shared = [core for core in bound if core not in held]
        with confined(Slot(tuple([*held, *shared][:count]), None)):
            yield
    finally:
        for handle in held.values():
            os.close(handle)


def _claim(bound: list[int], count: int, held: dict[int, int]) -> None:
    """Adds the handles of up to `count` free cores to `held`; none if /tmp refuses."""
    folder = Path(tempfile.gettempdir()) / f"attn_research-cores-{os.getuid()}"
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        for core in bound:
            handle = os.open(folder / str(core), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
                continue
            held[core] = handle
            if len(held) == count:
                return


def environment(
    slot: Slot,
    members: int,
    given: Mapping[str, str],
    *,
    one_device: bool = False,
    mesh: int = 1,
) -> dict[str, str]:
    """The environment of a process in `slot` that trains `members` members.

    NPROC fixes the threads and with them the bits. On a CPU the members are spread over
    one XLA device per core, or over one device with `one_device`; a member on a `mesh`
    has as many as that, even beyond the cores. Variables that the user has set stay as
    they are.
    """
    chosen = dict(given)
    count = len(slot.cores) or os.cpu_count() or 1
    chosen.setdefault("NPROC", str(count))
    chosen.setdefault("JAX_COMPILATION_CACHE_DIR", str(compilations(given)))
    if slot.gpus is not None:
        chosen["CUDA_VISIBLE_DEVICES"] = ",".join(slot.gpus)
    elif DEVICES not in chosen.get("XLA_FLAGS", "") and (mesh > 1 or not one_device):
        beside = 1 if one_device else max(1, min(count // mesh, members))
        flag = f"{DEVICES}={mesh * beside}"
        chosen["XLA_FLAGS"] = f"{chosen.get('XLA_FLAGS', '')} {flag}".strip()
    package = str(Path(__file__).parents[2])
    paths = [package, *chosen.get("PYTHONPATH", "").split(os.pathsep)]
    chosen["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(filter(None, paths)))
    return chosen
