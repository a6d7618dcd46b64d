"""What the bits of a run depend on beside its configuration, by an allow-list.

XLA repeats its bits for one version, program, instruction set, thread count and set of
flags. These facts are stored with every checkpoint; if one of them differs, a resume is
not exact and is refused. Nothing else of the environment is read or stored.
"""

import functools
import hashlib
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attn_research.options import BadInput

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
VARIABLES = ("NPROC", "XLA_FLAGS", "JAX_ENABLE_X64", "JAX_DEFAULT_MATMUL_PRECISION")
INFORMATION = ("commit", "version")  # of the code; only its digest is compared
ROOT = Path(__file__).parents[1]  # of the package
# Code that no training step runs through.
ASIDE = (
    "analysis",
    "report",
    "launch",
    "studies",
    "commands",
    "testing",
    "door",
)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def processor() -> str:
    """A digest of the instruction set, which decides the code that XLA generates."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    kinds = ("flags", "features", "model name")
    shown = sorted({line for line in lines if line.lower().startswith(kinds)})
    return hashlib.blake2b("\n".join(shown).encode(), digest_size=8).hexdigest()


@functools.cache
def code() -> dict[str, str]:
    """The version of this package: number, git commit, digest of its source."""
    return {
        "version": _version("attn_research"),
        "commit": _commit(ROOT),
        "code": _digest(ASIDE),
    }


@functools.cache
def whole() -> str:
    """The digest of all source of this package and of the packages it computes with."""
    versions = "".join(f"{package} {_version(package)}\0" for package in PACKAGES)
    text = f"{_digest(())}\0{versions}".encode()
    return hashlib.blake2b(text, digest_size=8).hexdigest()


def _digest(left_out: Sequence[str]) -> str:
    """The digest of the source of this package without these parts."""
    root, digest = ROOT, hashlib.blake2b(digest_size=8)
    for file in sorted(root.rglob("*.py")):
        name = file.relative_to(root)
        if name.parts[0] not in left_out:
            digest.update(f"{name}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


def remember() -> None:
    """Turns on the cache of compiled programs, one for each kind of processor.

    It lies in ~/.cache/attn_research/compiled, or in JAX_COMPILATION_CACHE_DIR.
    """
    import jax

    if not jax.config.jax_compilation_cache_dir:  # type: ignore
        place = Path("~/.cache/attn_research/compiled", processor()).expanduser()
        jax.config.update("jax_compilation_cache_dir", str(place))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


def _commit(root: Path) -> str:
    if not (root.parent / ".git").exists():
        return "none"
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "none"
    return done.stdout.strip() if done.returncode == 0 else "none"


def cores() -> int:
    """Number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def software() -> dict[str, str]:
    """The part of the environment that is known without asking a device."""
    return {
        **code(),
        "python": platform.python_version(),
        **{package: _version(package) for package in PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
    }


def facts() -> dict[str, Any]:
    """The environment of this process; starts the jax backend."""
    import jax

    devices = jax.devices()
    threads = os.environ.get("NPROC") or str(cores())
    return {
        **software(),
        "platform": devices[0].platform,
        "device": devices[0].device_kind,
        "devices": len(devices),
        **{name: os.environ.get(name, "") for name in VARIABLES},
        "NPROC": threads,
    }


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between two environments, `jax was 0.10.2 and is 0.10.3`."""
    names = [name for name in {**old, **new} if name not in INFORMATION]
    return [
        f"{name} was {old.get(name, 'unknown')!r} and is {new.get(name, 'unknown')!r}"
        for name in names
        if old.get(name) != new.get(name)
    ]


def require_same(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Raises `BadInput` if a resume from `old` would not repeat its bits."""
    changed = difference(old, new)
    if changed:
        raise BadInput(
            f"The run was started in another environment ({'; '.join(changed)}); "
            "it must be resumed there, or with --allow_inexact_resume"
        )
