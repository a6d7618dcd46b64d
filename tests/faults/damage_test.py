"""Damage to any file of a checkpoint: an older step or a refusal, no wrong number."""

import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from attn_research.checkpoint import Writer, read, steps
from attn_research.host.durable import Damaged
from attn_research.options import BadInput
from tests.faults.trial import right, target, tree


def _flip(file: Path, draw: random.Random) -> None:
    data = bytearray(file.read_bytes())
    data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    file.write_bytes(data)


def _truncate(file: Path, draw: random.Random) -> None:
    file.write_bytes(file.read_bytes()[: draw.randrange(file.stat().st_size)])


def _empty(file: Path, draw: random.Random) -> None:
    file.write_bytes(b"")


def _delete(file: Path, draw: random.Random) -> None:
    file.unlink()


def _zeros(file: Path, draw: random.Random) -> None:
    """A block that the disk lost; random bytes where it was zeros already."""
    data = bytearray(file.read_bytes())
    start = draw.randrange(len(data))
    size = min(512, len(data) - start)
    lost = bytes(size) if any(data[start : start + size]) else draw.randbytes(size)
    data[start : start + size] = lost
    file.write_bytes(data)


def _garbage(file: Path, draw: random.Random) -> None:
    file.write_bytes(draw.randbytes(file.stat().st_size))


def _append(file: Path, draw: random.Random) -> None:
    file.write_bytes(file.read_bytes() + draw.randbytes(100))


def _older(file: Path, draw: random.Random) -> None:
    """The file of the step before, or another of it where that is the same."""
    step = next(parent for parent in file.parents if parent.name == "00000002")
    before = step.with_name("00000001")
    same = before / file.relative_to(step)
    old = file.read_bytes()
    found = [p for p in before.rglob("*") if p.is_file() and p.read_bytes() != old]
    shutil.copy(same if same in found else draw.choice(sorted(found)), file)


def _directory(file: Path, draw: random.Random) -> None:
    file.unlink()
    file.mkdir()


def _link(file: Path, draw: random.Random) -> None:
    file.unlink()
    file.symlink_to("/dev/null")


KINDS = (
    _flip, _truncate, _empty, _delete, _zeros, _garbage, _append, _older, _directory,
    _link,
)  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A directory with the steps 1 and 2."""
    directory = tmp_path_factory.mktemp("whole")
    with Writer(directory) as writer:
        for step in (1, 2):
            writer.save(step, {"params": tree(step)}, {"step": step})
    return directory


def content(directory: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(directory)): p.read_bytes() if p.is_file() else b"directory"
        for p in directory.rglob("*")
    }


@pytest.mark.parametrize("count", [60, pytest.param(2000, marks=pytest.mark.faults)])
def test_no_damage_is_ever_loaded(whole, tmp_path, count):
    draw = random.Random(4)
    files = sorted(
        p.relative_to(whole) for p in (whole / "00000002").rglob("*") if p.is_file()
    )
    set_aside = landed = 0
    for trial in range(count):
        copy = tmp_path / str(trial)
        shutil.copytree(whole, copy)
        before = content(copy)
        file, kind = draw.choice(files), KINDS[trial % len(KINDS)]
        kind(copy / file, draw)
        landed += content(copy) != before
        told: list[str] = []
        try:
            step, items, facts = read(copy, ["params"])
            assert right(items["params"], step) and facts["step"] == step == 2
        except Damaged as error:
            assert "\n" not in str(error) and "step 1" in str(error), kind
        with Writer(copy, report=told.append) as writer:
            found = writer.restore({"params": target()})
        assert found is not None, (kind, file)
        assert right(found[1]["params"], found[0]), (kind, file)
        assert found[2]["step"] == found[0]
        set_aside += found[0] == 1
        assert len(told) == (found[0] == 1), (kind, file, told)
        assert (copy / "_bad" / "00000002").exists() == (found[0] == 1)
        shutil.rmtree(copy)
    assert landed == count
    assert set_aside > 0.9 * count


@pytest.mark.parametrize("count", [4, pytest.param(20, marks=pytest.mark.faults)])
def test_when_every_step_is_destroyed_the_run_starts_anew_and_says_so(
    whole, tmp_path, count
):
    draw = random.Random(5)
    for trial in range(count):
        copy = tmp_path / str(trial)
        shutil.copytree(whole, copy)
        for step in ("00000001", "00000002"):
            file = draw.choice([p for p in (copy / step).rglob("*") if p.is_file()])
            draw.choice((_flip, _truncate, _delete))(file, draw)
        with pytest.raises(Damaged, match="no good one is left"):
            read(copy, ["params"])
        told: list[str] = []
        with Writer(copy, report=told.append) as writer:
            assert writer.restore({"params": target()}) is None
            writer.save(1, {"params": tree(1)}, {})
        assert len(told) == 2 and steps(copy) == [1]
        assert len(list((copy / "_bad").iterdir())) == 2


def test_a_step_under_another_number_is_damage(whole, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(whole, copy)
    (copy / "00000002").rename(copy / "00000009")
    with pytest.raises(Damaged, match="it holds step 2"):
        read(copy, ["params"])


def test_whole_steps_of_another_run_do_not_fit(whole, tmp_path):
    with Writer(tmp_path) as writer:
        writer.save(3, {"params": {"w": np.zeros(3)}}, {})
        with pytest.raises(BadInput, match="another model or optimizer"):
            writer.restore({"params": target()})
    assert steps(tmp_path) == [3]
