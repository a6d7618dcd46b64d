"""A population's training step, compiled for hardware that is not here.

What is compiled is `program.make(...).advance` of the target's platform on a mesh of
its devices: nothing is allocated, and no device of the kind is needed.
"""

import re
import time
from collections import Counter
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as Along

from attn_research.config import Config
from attn_research.host import memory
from attn_research.training import placed, population, program, targets
from attn_research.training.mesh import over

CALL = re.compile(r'custom_call_target="([^"]+)"')
# Calls of kernels, among those of the compiler's own marks and routines.
KERNEL = re.compile(r"tpu_custom_call|cudnn|cublas|triton|mosaic")
GB = 1e9


class Compiled(NamedTuple):
    """What the compiler of a target says of a program.

    Bytes are those of one device; `refused` are the compiler's own words if it does not
    compile, or why it does not fit; kernels count the calls that are not XLA's code.
    """

    devices: int
    refused: str
    argument_bytes: int
    temporary_bytes: int
    total_bytes: int
    kernels: dict[str, int]
    seconds: float

    @property
    def fits(self) -> bool:
        """Whether the program compiles and its bytes are there."""
        return not self.refused


def traced(config: Config, members: int, platform: str) -> tuple[Any, int]:
    """The program of a resolved config for a target, traced, and its devices.

    Raises `BadInput` as `targets.mesh` and `mesh.over`, and if the task's data are not
    there.
    """
    target, devices = targets.mesh(platform)
    onto = over(list(devices.devices.flat), config.train.mesh, members)
    made = program.make(config, onto, platform=target.platform)
    arrays = made.task.arrays()
    members_P = placed.shapes(made, population.padded(members, onto))
    data = jax.tree.map(lambda x: _shape(x, onto), arrays)
    count = _shape(jax.ShapeDtypeStruct((), jnp.int32), onto)
    lie = jax.tree.map(lambda leaf: leaf.sharding, members_P)
    advance = jax.jit(made.advance, donate_argnums=0, out_shardings=lie)
    return advance.trace(members_P, (data, count)), onto.size


def _shape(x: Any, onto: Any) -> jax.ShapeDtypeStruct:
    """The shape of an array that every device of the target has.

    Without a place it would be on this machine.
    """
    whole = NamedSharding(onto, Along())
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=whole)


def compiled(trace: Any, devices: int, platform: str) -> Compiled:
    """What the compiler says of a traced program; a refusal is an answer too."""
    began = time.monotonic()
    try:
        made = trace.lower().compile()
    except (jax.errors.JaxRuntimeError, ValueError, NotImplementedError) as error:
        seconds = time.monotonic() - began
        return Compiled(devices, _first(error), 0, 0, 0, {}, seconds)
    seconds = time.monotonic() - began
    found, total = made.memory_analysis(), memory.predict(made)
    room = targets.TARGETS[platform].bytes
    refused = ""
    if room is not None and total > room:
        refused = (
            f"The program needs {total / GB:.2f} GB and {platform} has {room / GB:.2f}"
        )
    calls = Counter(CALL.findall(made.as_text()))
    return Compiled(
        devices,
        refused,
        found.argument_size_in_bytes,
        found.temp_size_in_bytes,
        total,
        {name: n for name, n in sorted(calls.items()) if KERNEL.search(name)},
        seconds,
    )


def _first(error: Exception) -> str:
    """The first paragraph of a compiler's message, in one line."""
    return " ".join(str(error).split("\n\n")[0].split())
