"""Too big is said before anything is allocated."""

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from attn_research.host import memory
from attn_research.host.memory import MemoryRefused, available, predict, require

MACHINE = 10**18


def compiled(size: int):
    shape = jax.ShapeDtypeStruct((size, size), jnp.float32)
    return jax.jit(lambda x: (x @ x) @ x).lower(shape).compile()


def test_prediction_counts_arguments_outputs_and_temporaries():
    one = 4 * 512 * 512
    assert 2 * one <= predict(compiled(512)) <= 5 * one
    assert predict(compiled(20_000)) > 2 * 4 * 20_000**2  # 3 GB, never allocated


def test_a_donated_argument_is_counted_once():
    shape = jax.ShapeDtypeStruct((512, 512), jnp.float32)
    kept = jax.jit(lambda x: x + 1).lower(shape).compile()
    donated = jax.jit(lambda x: x + 1, donate_argnums=0).lower(shape).compile()
    assert predict(kept) - predict(donated) == 4 * 512 * 512


def test_this_machine_says_what_is_free():
    free = available(jax.devices()[0])
    assert free is not None and 10**7 < free < 10**14


def test_refusal_names_both_numbers():
    require(10**9, None)
    require(10**9, 1_650_000_001)
    with pytest.raises(MemoryRefused, match="1.65 GB and 1.00 GB are free") as error:
        require(10**9, 10**9, "The run")
    assert str(error.value).startswith("The run needs") and "\n" not in str(error.value)


def group(folder: Path, **files) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (folder / name.replace("__", ".")).write_text(f"{value}\n")


def test_the_smallest_control_group_counts_version_2(tmp_path):
    own = tmp_path / "own"
    own.write_text("0::/outer/inner\n")
    root = tmp_path / "root"
    group(root / "outer", memory__max=1000, memory__current=700,
          memory__stat="anon 1\ninactive_file 150")  # fmt: skip
    group(root / "outer" / "inner", memory__max="max", memory__current=600)
    assert memory._groups(root, own) == [450]


def test_the_smallest_control_group_counts_version_1(tmp_path):
    own = tmp_path / "own"
    own.write_text("5:cpu:/x\n4:memory:/job\n")
    root = tmp_path / "root"
    group(root / "memory", memory__limit_in_bytes=MACHINE, memory__usage_in_bytes=5)
    group(root / "memory" / "job", memory__limit_in_bytes=100,
          memory__usage_in_bytes=80, memory__stat="total_inactive_file 30")  # fmt: skip
    assert memory._groups(root, own) == [50, MACHINE - 5]


def test_no_control_group_limits_nothing(tmp_path):
    assert memory._groups(tmp_path, tmp_path / "none") == []
    (tmp_path / "own").write_text("0::/\nnonsense\n")
    assert memory._groups(tmp_path, tmp_path / "own") == []


HUNGRY = """
import resource, sys
from pathlib import Path
from attn_research.launch.cell import guard
import numpy
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[3]), int(sys.argv[3])))
def run():
    numpy.ones(int(sys.argv[2]) // 8)
    return 0
sys.exit(guard(Path(sys.argv[1]), run))
"""


def test_a_cell_out_of_memory_is_told_apart(tmp_path):
    """The limit is really met: a smaller cell runs under it."""
    limit = 4 * 10**9
    for size, code in ((2 * limit, 70), (8000, 0)):
        told = [str(tmp_path), str(size), str(limit)]
        done = subprocess.run(
            [sys.executable, "-c", HUNGRY, *told], capture_output=True, text=True
        )
        assert done.returncode == code, done.stderr
    assert '"oom"' in (tmp_path / "error.json").read_text()
