"""The curves in TensorBoard and wandb are those of the log, each step once."""

import os
import struct
import sys
from pathlib import Path

import pytest

from attn_research.config import Config, Model, Population
from attn_research.host import layout
from attn_research.host.durable import write_json
from attn_research.host.exits import DONE, FAILED
from attn_research.host.journal import Journal
from attn_research.launch.command import cell_command, more
from attn_research.studies import sinks, store, tracking
from tests.command import assert_one_sentence, command
from tests.sweep_test import EXPERIMENT

CONFIG = Config(model=Model(pattern="dense(heads=2)", width=8, layers=1))
POPULATION = Population(seed=(0, 1), lr=(3e-3,))
TRAIN = (
    "--task=recall(length=16,pairs=2,vocabulary=16)",
    "--model.pattern=conv",
    "--model.layers=1",
    "--model.width=8",
    "--train.steps=4",
    "--train.batch=4",
    "--train.eval_every=2",
    "--train.eval_batches=1",
    "--train.test_batches=1",
    "--seed=0,1",
)


def record(step: int, member: int) -> dict:
    """One line of a log, whose numbers a float32 holds."""
    own = {"accuracy": step / 64 + member, "loss": 3.0, "train_loss": 1 / step}
    return {"step": step, "member": member, **own}


def log(run: Path, *steps: int, kept: int = 0) -> None:
    """Writes evaluations as a run does that resumes at the step `kept`."""
    with Journal(run / layout.METRICS, lambda row: row["step"] <= kept) as journal:
        for step in steps:
            for member in range(2):
                journal.append(record(step, member))
        journal.commit()


def begin(run: Path) -> Path:
    run.mkdir(parents=True)
    layout.write_config(run, CONFIG, POPULATION)
    return run


def end(run: Path) -> None:
    own = {"seed": 0, "lr": 3e-3, "weight_decay": 0.1, "status": "done", "step": 4}
    members = [{"member": i, **own, "test": {"accuracy": 0.5}} for i in range(2)]
    write_json(run / layout.RESULT, {"members": members})


def events(folder: Path) -> list:
    """The events of the one file of a folder: length, crc, event, crc, and again."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    (path,) = folder.glob("events.out.tfevents.*")
    data, found = path.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        found.append(event_pb2.Event.FromString(data[12 : 12 + length]))
        data = data[16 + length :]
    return found


def scalars(folder: Path) -> list[tuple[int, str, float]]:
    return [
        (event.step, value.tag, value.simple_value)
        for event in events(folder)
        for value in event.summary.value
        if not value.tag.startswith("_hparams_")
    ]


def expected(member: int, *steps: int) -> list[tuple[int, str, float]]:
    return [
        (step, tag, pytest.approx(value))
        for step in steps
        for tag, value in (
            ("validation/accuracy", step / 64 + member),
            ("validation/loss", 3.0),
            ("train_loss", 1 / step),
        )
    ]


class Recorded:
    """A sink that keeps what it is given."""

    opened: list["Recorded"] = []

    def __init__(self, member):
        self.member, self.rows, self.closed = member, [], False
        self.opened.append(self)

    def write(self, step, values):
        self.rows.append((step, dict(values)))

    def flush(self):
        pass

    def close(self):
        self.closed = True


class Broken(Recorded):
    """One that fails at the second evaluation."""

    def write(self, step, values):
        if step > 2:
            raise OSError(28, "No space left on device")


@pytest.fixture
def recorded(monkeypatch):
    monkeypatch.setattr(Recorded, "opened", [])
    monkeypatch.setitem(sinks.PACKAGES, "tensorboard", "json")
    monkeypatch.setitem(tracking.SINKS, "tensorboard", Recorded)
    return Recorded.opened


def test_each_step_is_shown_once_however_the_log_was_resumed(tmp_path, recorded):
    run = begin(tmp_path / "run")
    log(run, 2, 4)
    with tracking.Follower(run, ["tensorboard"], pytest.fail) as follower:
        follower.look()
        follower.look()
        log(run, 4, 6, kept=2)  # killed after step 4, with a checkpoint at 2
        follower.look()
    for one in recorded:
        assert [step for step, _ in one.rows] == [2, 4, 6] and one.closed
    assert [one.member.hypers["seed"] for one in recorded] == [0, 1]
    assert recorded[0].member.hypers["mixer"] == "dense(heads=2)"


def test_a_run_is_followed_to_its_end_while_another_thread_trains(tmp_path, recorded):
    run = tmp_path / "run"
    with tracking.following(run, ["tensorboard"], pytest.fail):
        begin(run)
        log(run, 2, 4)
        end(run)
    assert [step for step, _ in recorded[1].rows] == [2, 4, 4]
    assert recorded[1].rows[-1] == (4, {"test/accuracy": 0.5})
    assert layout.foreign(run) == []


def test_a_run_that_never_began_leaves_nothing(tmp_path, recorded):
    with tracking.following(tmp_path / "run", ["tensorboard"], pytest.fail):
        pass
    assert not recorded and not list(tmp_path.iterdir())


def test_a_sink_that_fails_is_left_out_and_says_so(tmp_path, recorded, monkeypatch):
    monkeypatch.setitem(tracking.SINKS, "wandb", Broken)
    run, said = begin(tmp_path / "run"), []
    log(run, 2, 4, 6)
    assert tracking.write(run, ["wandb", "tensorboard"], said.append) == 1
    assert len(said) == 1 and "by wandb failed (" in said[0] and "goes on" in said[0]
    kept = [one for one in recorded if type(one) is Recorded]
    assert [[step for step, _ in one.rows] for one in kept] == [[2, 4, 6]] * 2


def test_a_log_that_is_damaged_is_one_sentence(tmp_path, recorded):
    run, said = begin(tmp_path / "run"), []
    log(run, 2)
    changed = (run / layout.METRICS).read_bytes().replace(b"3.0", b"4.0")
    (run / layout.METRICS).write_bytes(changed)
    assert tracking.write(run, ["tensorboard"], said.append) == 1
    assert "metrics.jsonl is damaged" in said[0] and "\n" not in said[0]


def test_a_run_is_tracked_by_one_process(tmp_path, recorded):
    run, said = begin(tmp_path / "run"), []
    log(run, 2)
    with tracking.Follower(run, ["tensorboard"], pytest.fail) as follower:
        follower.look()
        assert tracking.write(run, ["tensorboard"], said.append) == 1
    assert "is being written by process" in said[0]


def test_tensorboard_reads_back_the_log(tmp_path):
    pytest.importorskip("tensorboardX", reason="without the extra track")
    run = begin(tmp_path / "study" / layout.CELLS / "ab12")
    log(run, 2, 4)
    assert tracking.write(run, ["tensorboard"], pytest.fail) == 0
    place = tmp_path / "study" / "tensorboard" / "dense-heads=2-ab12"
    assert scalars(place / "member-0") == expected(0, 2, 4)
    end(run)
    log(run, 4, 6, kept=2)
    assert tracking.write(run, ["tensorboard"], pytest.fail) == 0
    test = [(6, "test/accuracy", 0.5)]
    assert scalars(place / "member-1") == expected(1, 2, 4, 6) + test
    written = b"".join(e.SerializeToString() for e in events(place / "member-1"))
    for word in (b"lr", b"seed", b"weight_decay", b"mixer", b"dense(heads=2)"):
        assert word in written


def test_wandb_keeps_its_files_here_and_once(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="without the extra track")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    run = begin(tmp_path / "run")
    log(run, 2, 4)
    for _ in range(2):
        assert tracking.write(run, ["wandb"], pytest.fail) == 0
    files = list((run / "wandb").glob("offline-run-*/*.wandb"))
    assert len(files) == 2  # one for each member
    assert [kept(path) for path in files] == [[2, 4]] * 2


def kept(path: Path) -> list[int]:
    """The steps in a small file of wandb: a header, then crc, length, kind, record."""
    wandb_internal_pb2 = pytest.importorskip("wandb.proto.wandb_internal_pb2")
    data, steps = path.read_bytes()[7:], []
    while data:
        _, length, kind = struct.unpack("<IHB", data[:7])
        assert kind == 1  # a whole record
        said = wandb_internal_pb2.Record.FromString(data[7 : 7 + length])
        if said.HasField("history"):
            steps.append(said.history.step.num)
        data = data[7 + length :]
    return steps


@pytest.mark.parametrize("script", ["train", "sweep"])
def test_a_missing_package_is_one_sentence_before_work(script, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    ended = command(script, f"--out={tmp_path / 'run'}", "--track=tensorboard")
    assert_one_sentence(ended, "--track=tensorboard needs the package tensorboardX")
    assert "attn_research[track]" in ended.err and not list(tmp_path.iterdir())


def test_the_cells_of_a_sweep_are_told_where_to_show_their_curves():
    words = cell_command(more(track=("tensorboard", "wandb")))(Path("cell"))
    assert words[-2:] == ["--track=tensorboard", "--track=wandb"]


def test_a_run_shows_its_curves_and_a_later_command_shows_the_same(tmp_path):
    pytest.importorskip("tensorboardX", reason="without the extra track")
    run = tmp_path / "run"
    ended = command("train", *TRAIN, f"--out={run}", "--track=tensorboard")
    assert ended.code == DONE, ended.err
    found = scalars(run / "tensorboard" / "member-1")
    tags = {tag for _, tag, _ in found}
    assert {"train_loss", "validation/accuracy", "test/accuracy"} <= tags
    assert {step for step, _, _ in found} == {2, 4}
    ended = command("track", str(run))
    assert ended.code == DONE and "tensorboard: 1 of 1 runs." in ended.out
    assert scalars(run / "tensorboard" / "member-1") == found
    again = command("train", *TRAIN, f"--out={run}", "--track=tensorboard")
    assert again.code == DONE, again.err
    assert scalars(run / "tensorboard" / "member-1") == found


def test_a_disk_that_takes_no_curves_stops_no_run(tmp_path):
    pytest.importorskip("tensorboardX", reason="without the extra track")
    run = tmp_path / "run"
    run.mkdir()
    (run / "tensorboard").write_text("a file in the place of the folder")
    ended = command("train", *TRAIN, f"--out={run}", "--track=tensorboard")
    assert ended.code == DONE and (run / layout.RESULT).exists()
    assert ended.out.count("by tensorboard failed (") == 1
    assert command("track", str(run)).code == FAILED
    assert os.path.isfile(run / "tensorboard")


@pytest.mark.slow
def test_a_sweep_shows_every_member_of_its_cells(tmp_path):
    pytest.importorskip("tensorboardX", reason="without the extra track")
    (tmp_path / "small.py").write_text(EXPERIMENT)
    study = [f"--experiment={tmp_path / 'small.py'}", f"--out={tmp_path / 'study'}"]
    axis = "--set=model.pattern=conv,dense"
    ended = command("sweep", *study, axis, "--workers=2", "--track=tensorboard")
    assert ended.code == DONE, ended.err
    tables = {path.name: path for path in (tmp_path / "study/tensorboard").iterdir()}
    found = list(store.read_study(tmp_path / "study")["cells"])
    assert sorted(name[-16:] for name in tables) == sorted(c["id"] for c in found)
    for folder in tables.values():
        for member in range(2):
            assert {"train_loss", "validation/accuracy"} <= {
                tag for _, tag, _ in scalars(folder / f"member-{member}")
            }
