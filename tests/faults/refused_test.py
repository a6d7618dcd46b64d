"""The disk refuses: 74 and one sentence, and the same command goes on afterwards."""

import pytest

from tests.faults.refusals import built
from tests.faults.trial import drive


@pytest.mark.parametrize(
    "names, count, limit",
    [
        (["train"], 2, 300),
        pytest.param(["report", "prepare", "analyze"], 6, 0, marks=pytest.mark.slow),
        pytest.param(
            ["train", "sweep", "report", "analyze", "prepare"],
            100,
            0,
            marks=pytest.mark.faults,
        ),
    ],
)
def test_disk_errors_of_any_operation(names, count, limit, tmp_path, monkeypatch):
    shim, log = built(tmp_path), tmp_path / "log"
    if isinstance(shim, str):
        pytest.skip(shim)
    log.write_bytes(bytes(512))
    monkeypatch.setenv("LD_PRELOAD", str(shim))
    monkeypatch.setenv("REFUSE_LOG", str(log))
    monkeypatch.setenv("REFUSE_UNDER", str(tmp_path / "disk"))
    found = drive(
        "refusals",
        timeout=120 + 40 * count,
        folder=str(tmp_path),
        count=count,
        seed=11,
        names=names,
        log=str(log),
        limit=limit,
    )
    assert found["problems"] == []
    assert found["refused"] + len(found["harmless"]) > count // 2
    assert found["refused"] > count // 3
