"""Sweeps on SLURM, played by a stand-in: what is queued, run, and queued again."""

import json
import signal
import time

import pytest

from attn_research.host import layout, slots
from attn_research.launch import slurm
from attn_research.options import BadInput
from attn_research.studies import selection, store
from tests.command import assert_one_sentence, command
from tests.launch.standin import Cluster

STUDY = """
from attn_research.config import Config, Model, Population, Train
from attn_research.studies.study import Study

STUDIES = {"quick": Study(
    name="queued",
    question="Is a queue a sweep?",
    claim="It is.",
    source="",
    base=Config(
        task="recall(length=8,pairs=1,vocabulary=16)",
        model=Model(pattern="conv", layers=1, width=4),
        train=Train(batch=2, steps=STEPS, eval_every=50, eval_batches=1,
                    test_batches=1, decode=0),
    ),
    axes={"model.pattern": ("conv", "linear", "gru")},
    population=Population(seed=(0,)),
)}
"""


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = Cluster(tmp_path / "cluster")
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "study.py").write_text(STUDY.replace("STEPS", "100"))
    return made


SUBMIT = ("--experiment=study.py", "--out=out", "--submit=slurm")


def submit(*more):
    return command("sweep", *SUBMIT, *more)


def test_a_dry_run_prints_the_script_and_writes_nothing(cluster, tmp_path):
    said = submit("--dry_run", "--slurm=--partition=gpu --gres=gpu:1", "--grace=45")
    assert said.code == 0
    for line in (
        "#!/bin/bash",
        "#SBATCH --array=1-3",
        "#SBATCH --gres=gpu:1",
        "#SBATCH --signal=B:USR1@75",
        f"#SBATCH --comment={tmp_path / 'out/slurm/1.txt'}",
    ):
        assert line in said.out.splitlines()
    assert not (tmp_path / "out").exists() and not cluster.load()


def test_only_what_is_neither_done_nor_queued_is_submitted(cluster, tmp_path):
    assert "Job 101: 3 cells" in submit("--array_limit=2").out
    script = (tmp_path / "out/slurm/job.sh").read_text()
    assert "#SBATCH --array=1-3%2\n" in script
    asked = store.read_study(tmp_path / "out")["asked"]
    assert (tmp_path / "out/slurm/1.txt").read_text().split() == asked
    assert "Nothing was submitted.\nOf the others 3 queued." in submit().out
    assert command("sweep", "--out=out", "--submit=slurm").code == 0, "by --out alone"
    status = command("sweep", "--out=out", "--status").out
    assert status.count("pending (Resources)") == 3
    queue = cluster.load()
    del queue["101_2"]  # it was killed, say
    cluster.save(queue)
    assert "Job 102: 1 cells.\nOf the others 2 queued." in submit().out
    assert (tmp_path / "out/slurm/2.txt").read_text().split() == [asked[1]]
    said = command("sweep", "--out=out", "--cancel")
    assert said.code == 0 and "3 jobs were cancelled" in said.out
    assert not cluster.load()
    assert "queue" not in command("sweep", "--out=out", "--status").out
    assert "Job 101: 3 cells" in submit().out


def test_a_cell_that_always_fails_is_not_submitted_for_ever(cluster, tmp_path):
    submit()
    id = store.read_study(tmp_path / "out")["asked"][0]
    place = store.place(tmp_path / "out", id)
    for again in range(slurm.TRIES):
        layout.write_error(place, "internal", "It does not work", 70)
        cluster.save({})
        said = submit().out
        assert ("3 cells" in said) == (again < slurm.TRIES - 1)
    assert f"{id} has failed in 3 submissions (internal: It does not work)" in said
    (place / layout.ERROR).unlink()
    cluster.save({})
    assert "3 cells" in submit().out


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--slurm=--array=3"], "must be left to --submit"),
        (["--slurm=gpu"], "it must be options of sbatch, each as one word"),
        (["--slurm=--x='"], "it must be options of sbatch"),
        (["--workers=2"], "--workers does nothing with --submit"),
        (["--cancel"], "with --cancel"),
    ],
)
def test_a_mistake_is_one_sentence(flags, words, cluster, tmp_path):
    assert_one_sentence(submit(*flags), words)
    assert not (tmp_path / "out").exists()


def test_what_does_not_fit_its_hardware_is_not_queued(cluster, tmp_path):
    experiment = selection.experiment(tmp_path, "study", "quick")
    first, *others = (cell.id for cell in selection.resolved(experiment))
    rows = [{"cell": first, "refused": "17.2 GB of 15.7 GB"}]
    ahead = tmp_path / "ahead.json"
    ahead.write_text(json.dumps({"cells": rows}))
    assert_one_sentence(submit(f"--ahead={ahead}"), f"says nothing of cell {others[0]}")
    rows += [{"cell": id, "refused": ""} for id in others]
    ahead.write_text(json.dumps({"cells": rows}))
    said = submit(f"--ahead={ahead}")
    assert said.code == 1
    assert f"{first} does not fit and is not queued: 17.2 GB of 15.7 GB" in said.out
    queued = (tmp_path / "out" / "slurm").glob("**/*")
    listed = "".join(path.read_text() for path in queued if path.is_file())
    assert first not in listed and all(id in listed for id in others)
    for wrong in (
        b"[]",
        b"{}",
        b'{"cells": [1]}',
        b"\xff",
        b'{"cells": [{"cell": 1}]}',
    ):
        ahead.write_bytes(wrong)
        assert_one_sentence(submit(f"--ahead={ahead}"), "compile --out")


def test_options_of_a_queue_do_nothing_without_one(cluster):
    said = command("sweep", *SUBMIT[:2], "--array_limit=3")
    assert_one_sentence(said, "--array_limit does nothing without --submit")


def test_without_slurm_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "study.py").write_text(STUDY.replace("STEPS", "100"))
    assert_one_sentence(submit(), "There is no sbatch on this machine")
    assert not (tmp_path / "out").exists()


def test_a_queue_that_refuses_is_told_in_its_own_words(cluster, tmp_path):
    (cluster.folder / "refuse").write_text("sbatch: error: invalid partition: gpu")
    assert_one_sentence(submit(), "invalid partition: gpu; --slurm must be what")
    assert not list((tmp_path / "out/slurm").glob("*.txt"))


def test_more_cells_than_an_array_holds_are_several(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(slurm, "LARGEST", 2)
    assert "Job 101: 2 cells.\nJob 102: 1 cells." in submit().out
    assert len(slurm.queue(tmp_path / "out")) == 3


def test_another_study_in_the_queue_is_not_ours(cluster, tmp_path):
    submit()
    found = slurm.queue(tmp_path / "out")
    assert {task.job for task in found.values()} == {"101_1", "101_2", "101_3"}
    assert slurm.queue(tmp_path / "elsewhere") == {}
    with pytest.raises(BadInput, match="has refused"):
        (cluster.folder / "refuse").write_text("down")
        slurm.queue(tmp_path / "out")


def ended(directory):
    states = store.status(directory)
    assert {state.state for state in states} == {"done"}
    places = {state.id: store.place(directory, state.id) for state in states}
    results = {id: layout.read_result(place) for id, place in places.items()}
    return {id: found["members"] for id, found in results.items() if found}


@pytest.mark.slow
def test_jobs_that_are_asked_to_stop_end_with_the_bits_of_a_sweep(
    cluster, tmp_path, monkeypatch
):
    (tmp_path / "study.py").write_text(STUDY.replace("STEPS", "8_000"))
    assert command("sweep", *SUBMIT[:2], "--out=local").code == 0
    submit()
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", str(len(slots.cores())))
    process = cluster.start("101_1")
    time.sleep(1)  # before anything is imported
    process.send_signal(signal.SIGUSR1)
    code, _ = cluster.end("101_1", process)
    assert code == 75 and cluster.load()["101_1"]["restarts"] == 1
    process, place = cluster.start("101_1"), None
    id = store.read_study(tmp_path / "out")["asked"][0]
    place = store.place(tmp_path / "out", id)
    while not (place / layout.METRICS).exists() and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGUSR1)
    code, said = cluster.end("101_1", process)
    assert code == 75, said
    assert cluster.load()["101_1"]["restarts"] == 2
    assert 0 < layout.saved(place) < 8_000
    for job in ("101_1", "101_2", "101_3"):
        code, said = cluster.run(job)
        assert code == 0, said
    assert not cluster.load()
    assert "Of the others 3 done." in submit().out
    assert ended("out") == ended("local")


@pytest.mark.slow
def test_a_job_that_never_comes_to_a_checkpoint_is_not_queued_for_ever(
    cluster, tmp_path
):
    (tmp_path / "study.py").write_text(STUDY.replace("STEPS", "8_000"))
    submit()
    queue = cluster.load()
    queue["101_1"]["restarts"] = 2
    cluster.save(queue)
    process = cluster.start("101_1")
    id = store.read_study(tmp_path / "out")["asked"][0]
    place = store.place(tmp_path / "out", id)
    while not (place / layout.LOG).exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGUSR1)
    time.sleep(0.2)
    process.send_signal(signal.SIGUSR1)  # it is killed before its checkpoint
    code, said = cluster.end("101_1", process)
    assert code == 1 and "the time limit must be longer" in said
    assert "101_1" not in cluster.load()
    error = layout.read_error(place)
    assert error is not None and "3 jobs in a row" in error["message"]
