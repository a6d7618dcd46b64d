"""Hardware that a program can be compiled for where there is none of it.

A TPU's compiler knows its topologies by name (libtpu, the extra `aot-tpu`). That for an
NVIDIA GPU (the extra `aot-cuda`) is told the limits of one, which are those of the
vendor's data sheets and of XLA's own target descriptions.
"""

import importlib.util
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from attn_research.options import BadInput, unknown


class Target(NamedTuple):
    """Hardware: the platform, its name there, and bytes of a device if it is a GPU."""

    platform: str
    topology: str
    bytes: int | None = None


def _tpu(topology: str) -> Target:
    return Target("tpu", topology)


TARGETS = {
    "v4-8": _tpu("v4:2x2x1"),
    "v5e-1": _tpu("v5e:1x1x1"),
    "v5e-4": _tpu("v5e:2x2"),
    "v5e-8": _tpu("v5e:2x4"),
    "v5e-16": _tpu("v5e:4x4"),
    "v5p-8": _tpu("v5p:2x2x1"),
    "v6e-1": _tpu("v6e:1x1x1"),
    "v6e-4": _tpu("v6e:2x2"),
    "v6e-16": _tpu("v6e:4x4"),
    "h100": Target("cuda", "h100", 84_942_979_072),
}
# What the compiler of each platform comes with: a module, and the extra that has it.
NEEDS = {"tpu": ("libtpu", "aot-tpu"), "cuda": ("jax_cuda12_plugin", "aot-cuda")}

# Of an NVIDIA H100 (SXM, 80 GB); times in Hz and GHz, sizes in bytes.
H100 = {
    "threads_per_block_limit": 1024,
    "threads_per_warp": 32,
    "shared_memory_per_block": 49_152,
    "shared_memory_per_core": 233_472,
    "shared_memory_per_block_optin": 232_448,
    "threads_per_core_limit": 2048,
    "core_count": 132,
    "fpus_per_core": 128,
    "block_dim_limit_x": 2**31 - 1,
    "block_dim_limit_y": 65_535,
    "block_dim_limit_z": 65_535,
    "thread_dim_limit_x": 1024,
    "thread_dim_limit_y": 1024,
    "thread_dim_limit_z": 64,
    "memory_bandwidth": 3_352_320_000_000,
    "l2_cache_size": 52_428_800,
    "clock_rate_ghz": 1.98,
    "device_memory_size": 84_942_979_072,
    "registers_per_core_limit": 65_536,
    "registers_per_block_limit": 65_536,
    "device_address_bits": 64,
}


def mesh(name: str) -> tuple[Target, Mesh]:
    """The target of a name, and its devices along the population axis P.

    Raises `BadInput` for an unknown name, or without the extra of its platform.
    """
    if name not in TARGETS:
        raise unknown("platform", name, TARGETS)
    target = TARGETS[name]
    module, extra = NEEDS[target.platform]
    if importlib.util.find_spec(module) is None:
        raise BadInput(
            f"The platform {name} needs {module}, which is not installed; the command "
            f"must be run in the environment of `scripts/aot.sh {target.platform}`, or "
            f"with the extra {extra}"
        )
    return target, Mesh(np.array(_topology(target).devices), ("P",))


def _topology(target: Target) -> Any:
    from jax.experimental import topologies

    match target.platform:
        case "cuda":
            jax.config.update("jax_platforms", "cpu")  # else the plugin wants a GPU
            options = {"target_config": _described(), "topology": "1x1x1"}
        case _:
            one = "1x1x1" in target.topology
            options = {"chips_per_host_bounds": [1, 1, 1]} if one else {}
    return topologies.get_topology_desc(target.topology, target.platform, **options)


def _described() -> str:
    """The H100 as the text of XLA's `GpuTargetConfigProto`."""
    info = [f"{name}: {value}" for name, value in H100.items()]
    info.append("cuda_compute_capability { major: 9 feature_extension: 1 }")
    info.append('device_vendor: "NVIDIA Corporation" name: "NVIDIA H100"')
    return "\n".join(
        [
            "gpu_device_info {",
            *info,
            "}",
            'platform_name: "CUDA"',
            "dnn_version_info { major: 9 minor: 10 patch: 0 }",
            'device_description_str: "NVIDIA H100"',
        ]
    )
