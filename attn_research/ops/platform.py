"""Where a program will run: the only place that asks, so that any target can be named.

    with on("tpu"):
        traced = jax.jit(program).trace(*shapes)

An op chooses among its forms by `platform()` while it is traced. Without `on` this is
jax's own backend; within it, whatever program is traced is the one for that platform,
on any machine. The choice is part of the key of jax's caches.
"""

import importlib.util
from typing import Any, Literal, get_args

import jax

Platform = Literal["cpu", "cuda", "rocm", "tpu"]
PLATFORMS: tuple[str, ...] = get_args(Platform)
PLUGINS = "jax_cuda12_plugin", "jax_cuda13_plugin"

_named = jax.make_user_context(None)


def platform() -> str:
    """The platform that programs are traced for: one of `PLATFORMS`, or jax's name."""
    if _named.value is not None:
        return _named.value
    backend = jax.default_backend()
    if backend != "gpu":
        return backend
    version = jax.devices()[0].client.platform_version.lower()
    return "rocm" if "rocm" in version else "cuda"


def on(name: str | None) -> Any:
    """A context in which programs are traced for the platform; None: for this machine.

    Raises ValueError for a name that is not one of `PLATFORMS`.
    """
    if name is not None and name not in PLATFORMS:
        raise ValueError(
            f"The platform is {name}; it must be one of {', '.join(PLATFORMS)}"
        )
    return _named(name)


def cudnn() -> bool:
    """Whether programs for the platform may call cuDNN.

    To trace one, jax asks the CUDA plugin for its version, on whatever machine.
    """
    return platform() == "cuda" and any(map(importlib.util.find_spec, PLUGINS))


def accelerated() -> bool:
    """Whether many small steps one after another are slow there: not on a CPU."""
    return platform() != "cpu"
