"""Kills, power cuts, full disks: no acknowledged step or record is ever lost."""

import pytest

from tests.faults.trial import can_mount, drive


@pytest.mark.parametrize("count", [30, pytest.param(500, marks=pytest.mark.faults)])
def test_kill_while_saving_and_deleting(tmp_path, count):
    found = drive(
        "kills", timeout=60 + 3 * count, directory=str(tmp_path), count=count, seed=1
    )
    assert found["problems"] == []
    assert found["landed"] == count
    assert found["inside"] > count // 6, "too few kills landed inside a save"
    assert found["acknowledged"] > count // 2


@pytest.mark.parametrize("count", [2, pytest.param(50, marks=pytest.mark.faults)])
def test_power_cut(tmp_path, count):
    reason = can_mount(tmp_path, "ext4")
    if reason:
        pytest.skip(reason)
    found = drive(
        "cuts", timeout=60 + 6 * count, folder=str(tmp_path), count=count, seed=2
    )
    assert found["problems"] == []
    assert found["landed"] == count
    assert found["lost"] >= count // 4, "too few cuts lost what was not synced"
    assert found["acknowledged"] > 0 and found["records"] > 0


@pytest.mark.parametrize("count", [3, pytest.param(50, marks=pytest.mark.faults)])
def test_disk_full(tmp_path, count):
    reason = can_mount(tmp_path, "tmpfs")
    if reason:
        pytest.skip(reason)
    found = drive(
        "full", timeout=60 + 6 * count, folder=str(tmp_path), count=count, seed=3
    )
    assert found["problems"] == []
    assert len(found["landed"]) == count
    assert all("No space left" in sentence for sentence in found["landed"])
