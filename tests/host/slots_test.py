"""The cores, devices and environment that each worker of a sweep gets."""

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from attn_research.host import slots
from attn_research.launch import cell
from attn_research.options import BadInput


@pytest.mark.parametrize("workers", [1, 2, 3, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 8])
def test_every_core_is_used_and_none_twice(workers, count):
    found = slots.divide(workers, list(range(count)), [])
    used = [core for slot in found for core in slot.cores]
    assert len(found) == workers and set(used) == set(range(count))
    if workers <= count:
        assert len(used) == count
        sizes = [len(slot.cores) for slot in found]
        assert max(sizes) - min(sizes) <= 1


def test_gpus_are_divided_and_never_shared():
    found = slots.divide(2, [0, 1], ["0", "1", "2"])
    assert [slot.gpus for slot in found] == [("0", "1"), ("2",)]
    with pytest.raises(BadInput, match="at most 3, one for each GPU"):
        slots.divide(4, [0, 1], ["0", "1", "2"])
    with pytest.raises(BadInput, match="at least 1"):
        slots.divide(0, [0], [])
    assert slots.gpus({"CUDA_VISIBLE_DEVICES": "3,5"}) == ["3", "5"]
    assert slots.gpus({"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "3"}) == []


def test_the_environment_of_a_cell():
    slot = slots.Slot((4, 5, 6), None)
    chosen = slots.environment(slot, 2, {"XLA_FLAGS": "--a=1"})
    assert chosen["NPROC"] == "3"
    assert chosen["XLA_FLAGS"] == f"--a=1 {slots.DEVICES}=2"  # no more than members
    kept = {"NPROC": "9", "XLA_FLAGS": f"{slots.DEVICES}=7"}
    again = slots.environment(slot, 2, kept)
    assert {name: again[name] for name in kept} == kept
    on_gpu = slots.environment(slots.Slot((0,), ("1", "2")), 2, {})
    assert on_gpu["CUDA_VISIBLE_DEVICES"] == "1,2" and "XLA_FLAGS" not in on_gpu
    package = Path(cell.__file__).parents[2]
    assert on_gpu["PYTHONPATH"].split(os.pathsep)[0] == str(package)


CLAIM = """
import os, sys, tempfile
from attn_research.host import slots

tempfile.tempdir = sys.argv[1]
os.sched_setaffinity(0, [int(core) for core in sys.argv[2].split(",")])
with slots.claimed(1):
    print(*slots.cores(), flush=True)
    sys.stdin.readline()
"""


@contextmanager
def claim(folder, cores):
    """The cores of a job that claims one; it ends without a word of its own."""
    with subprocess.Popen(
        [sys.executable, "-c", CLAIM, str(folder), ",".join(map(str, cores))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()
        process.kill()


@pytest.mark.skipif(len(slots.cores()) < 2, reason="one core cannot be divided")
def test_jobs_of_one_node_divide_its_cores_until_they_end(tmp_path):
    both = slots.cores()[:2]
    with claim(tmp_path, both) as other:
        with claim(tmp_path, both) as one:
            assert len(one) == len(other) == 1 and one != other
            with claim(tmp_path, both) as shared:
                assert len(shared) == 1, "a job without a free core shares one"
        with claim(tmp_path, both) as again:
            assert again == one, "what the dead one had is free"
        with claim(tmp_path, both[:1]) as bound:
            assert bound == [str(both[0])], "it is bound already"
        with claim("/dev/null", both) as shared:
            assert len(shared) == 1
