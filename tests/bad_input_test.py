"""Every mistake on the command line: one sentence, an exit code, no traceback.

The mistakes in a sweep's own flags are in sweep_test.py.
"""

from pathlib import Path

import pytest

from attn_research import loop
from attn_research.checkpoint import load
from attn_research.config import Config, edit
from attn_research.host import layout
from attn_research.host.durable import Damaged, atomic_write
from attn_research.host.exits import DONE
from attn_research.host.layout import CHECKPOINTS, METRICS, RESULT
from attn_research.studies import store
from attn_research.studies.study import Study, cells
from tests.command import assert_one_sentence, command

SMALL = (
    "--task=recall(length=16,pairs=2,vocabulary=16)",
    "--model.pattern=conv",
    "--model.layers=1",
    "--model.width=8",
    "--train.steps=4",
    "--train.batch=4",
    "--train.eval_every=2",
    "--train.eval_batches=1",
    "--train.test_batches=1",
    "--train.checkpoint_every=2",
)


MISTAKES = {
    # flags, keys, names
    "--widht=3": "did you mean '--model.width'?",
    "--model.widht=3": "did you mean '--model.width'?",
    "--task.lenght=3": "did you mean 'length'?",
    "--task.length": "--task.length lacks a value",
    "--model.pattern=danse": "Unknown mixer 'danse' (known: ",
    "--task=recal": "Unknown task 'recal' (known: ",
    "--model.dtype=float16": "it must be one of float32, bfloat16",
    "--train.schedule=cosin": "did you mean 'cosine'?",
    "--model.tied=maybe": "it must be true or false",
    "--flagfile=nowhere.txt": "nowhere.txt",
    "stray": "Unknown argument 'stray'",
    # patterns
    "--model.pattern=dense(haeds=2)": "Unknown option of dense 'haeds' (known: ",
    "--model.pattern=dense(heads=2": "unbalanced bracket",
    "--model.pattern=dense,,conv": "'' is not a spec",
    "--model.pattern=": "'' is not a spec",
    "--model.pattern=dense(heads=many)": "it must be a whole number",
    # numbers
    "--lr=abc": "--lr is 'abc'; it must be a number",
    "--lr=nan": "it must be a finite number",
    "--lr=inf": "it must be a finite number",
    "--lr=1e39": "to 3.4e+38",
    "--lr=1e-60": "0 or a number of a size from 1.2e-38",
    "--lr=0": "it must be more than 0",
    "--lr=-1": "it must be more than 0",
    "--lr=1e-3,": "a list such as 1,2,3",
    "--seed=-1": "--seed is -1; it must be at least 0",
    "--seed=0,1,0": "seed has 0 and 0, which are equal; its values must differ",
    "--lr=1e-3,0.001": "lr has 0.001 and 0.001, which are equal",
    "--lr=1e-3,1.0000000001e-3": "which are equal; its values must differ",
    "--seed=1.5": "it must be a whole number",
    "--seed=4294967296": "--seed is 4294967296; it must be at most 2147483647",
    "--weight_decay=-0.1": "it must be at least 0",
    "--train.steps=0": "--train.steps is 0; it must be at least 1",
    "--train.steps=99999999999": "--train.steps is 99999999999; it must be at most",
    "--train.batch=0": "it must be at least 1",
    "--train.warmup=1": "it must be less than 1",
    "--train.clip=nan": "it must be a finite number",
    "--model.dropout=1": "it must be less than 1",
    "--model.width=-4": "--model.width is -4; it must be at least 1",
    "--model.width=1e3": "it must be a whole number",
    "--model.layers=100000": "it must be at most 1000",
    # sizes that do not fit each other
    "--model.pattern=dense(heads=3)": "the width 64 and 3 heads; the number",
    "--model.pattern=window(heads=3)": "the width 64 and 3 heads; the number",
    "--model.pattern=linear(heads=3)": "heads must divide the width",
    "--model.pattern=dense(groups=3)": "must divide the number of heads",
    "--model.pattern=dense(positions=rope,head_size=3)": "it must be even",
    "--model.pattern=linear(feature=identity)": "normalize must be false",
    "--model.pattern=window(window=0)": "window.window is 0; it must be at least 1",
    "--model.pattern=window(window=99999999999)": "is 99999999999; it must be at most",
    '--model.pattern=dilated(dilations="1,-2")': "it must be at least 1",
    "--task.gap=100": "length is 64; for 8 pairs at a gap of 100 it must be at",
    "--task.gap=0": "1 <= LOW <= HIGH",
    "--task.gap=9..4": "1 <= LOW <= HIGH",
    "--task.pairs=40": "at length 64 they must be at most 32",
    "--task.vocabulary=4": "they must be at least 8 and 1",
    "--task.length=-1": "it must be at least 4",
}


@pytest.mark.parametrize("flag", MISTAKES)
def test_a_mistake_is_one_sentence_and_leaves_nothing(flag, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = command("train", f"--out={tmp_path / 'run'}", flag)
    assert_one_sentence(ended, MISTAKES[flag])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("..", "The name of the run is '..'"),
        ("runs/a..b", "The name of the run is 'a..b'"),
        ("-x", "The name of the run is '-x'"),
        ("", "--out is missing"),
    ],
)
def test_the_name_of_a_run_is_refused_not_repaired(out, words, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert_one_sentence(command("train", *SMALL, f"--out={out}"), words)
    assert not list((tmp_path / "here").iterdir())


@pytest.mark.parametrize("name", ["../x", "a/b", "..", ""])
def test_the_name_of_an_experiment_stays_in_its_folder(name, tmp_path):
    ended = command("sweep", f"--experiment={name}", f"--out={tmp_path / 'out'}")
    assert_one_sentence(ended, "Unknown experiment")


def texts(folder: Path) -> dict[str, str]:
    """Paths that hold no text, and what is said of each."""
    (folder / "empty").touch()
    (folder / "folder").mkdir()
    (folder / "tiny").write_text("abc")
    (folder / "one").mkdir()
    (folder / "one" / "file.txt").write_text("abc" * 1000)
    return {
        "nowhere": "does not exist",
        "empty": "is empty",
        "folder": "it must hold files",
        "tiny": "it must be at least",
        "one": "too few for a validation split",
    }


@pytest.mark.parametrize("name", ["nowhere", "empty", "folder", "tiny", "one"])
def test_a_path_without_text(name, tmp_path):
    words = texts(tmp_path)[name]
    task = f"--task=text(path={tmp_path / name})"
    assert_one_sentence(command("train", task, f"--out={tmp_path / 'run'}"), words)


def test_a_path_that_cannot_be_read(tmp_path, monkeypatch):
    path = tmp_path / "secret"
    path.write_text("words " * 100)
    path.chmod(0)

    def refused(*_) -> int:  # root reads everything
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.preadv", refused)
    ended = command("train", f"--task=text(path={path})", f"--out={tmp_path / 'run'}")
    assert_one_sentence(ended, "cannot be read: Permission denied")


def test_an_output_that_is_a_file_or_holds_something_else(tmp_path):
    (tmp_path / "file").write_text("mine")
    for out in ("file", "file/below"):
        ended = command("train", *SMALL, f"--out={tmp_path / out}")
        assert ended.code != DONE and ended.err.count("\n") == 1
        assert "file" in ended.err
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes").touch()
    ended = command("train", *SMALL, f"--out={tmp_path / 'full'}")
    assert_one_sentence(ended, "is not empty and holds no run")


# --- a run that was trained, and then damaged ----------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "run"
    ended = command("train", *SMALL, f"--out={run}")
    assert ended.code == DONE, ended.err
    return run


def copied(run: Path, to: Path) -> Path:
    """The run anew, without its result, so that its command resumes it."""
    for path in run.rglob("*"):
        if path.is_file() and path.name != RESULT:
            target = to / path.relative_to(run)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return to


@pytest.mark.parametrize("name", [layout.CONFIG, METRICS])
def test_a_damaged_file_of_a_run(name, trained, tmp_path):
    run = copied(trained, tmp_path / "run")
    (run / name).write_bytes(b"{ no json \n{}\n")
    ended = command("train", *SMALL, f"--out={run}")
    assert_one_sentence(ended, f"{name} is damaged")


def test_a_damaged_result(trained, tmp_path):
    run = copied(trained, tmp_path / "run")
    (run / RESULT).write_text('{"members": []}')
    ended = command("train", *SMALL, f"--out={run}")
    assert_one_sentence(ended, "it lists no members")


def test_a_damaged_checkpoint_is_refused_and_the_newest_good_one_named(
    trained, tmp_path
):
    run = copied(trained, tmp_path / "run")
    steps = [p for p in (run / CHECKPOINTS).iterdir() if p.name.isdecimal()]
    older, newest = sorted(steps, key=lambda path: int(path.name))[-2:]
    files = [path for path in newest.rglob("*") if path.is_file()]
    victim = max(files, key=lambda path: path.stat().st_size)
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(bytes(data))
    with pytest.raises(Damaged, match=f"good one is step {int(older.name)} ") as caught:
        load(run)
    assert "\n" not in str(caught.value)
    assert load(run, step=int(older.name)).step == int(older.name)


def test_another_run_in_the_directory(trained):
    ended = command("train", *SMALL, "--lr=0.5", f"--out={trained}")
    assert_one_sentence(ended, "holds another run")


def test_what_was_refused_claims_no_directory(tmp_path, monkeypatch):
    def refuse(needed, free, what="The program", about="about"):
        raise loop.memory.MemoryRefused("Too big")

    with monkeypatch.context() as patch:
        patch.setattr(loop.memory, "require", refuse)
        assert_one_sentence(
            command("train", *SMALL, "--lr=0.5", f"--out={tmp_path / 'run'}"), "Too big"
        )
    ended = command("train", *SMALL, f"--out={tmp_path / 'run'}")
    assert ended.code == DONE, ended.err


def test_the_flagfile_of_a_run_repeats_it(trained, tmp_path):
    again = tmp_path / "again"
    flagfile = f"--flagfile={trained / layout.FLAGFILE}"
    ended = command("train", flagfile, f"--out={again}")
    assert ended.code == DONE, ended.err
    assert layout.read_config(again) == layout.read_config(trained)
    assert (again / METRICS).read_bytes() == (trained / METRICS).read_bytes()


# --- studies -------------------------------------------------------------------------


def study(name: str) -> Study:
    base = edit(Config(), {"model.width": 8, "train.steps": 2})
    return Study(name, "A question?", "A claim.", base, {"model.pattern": ["conv"]})


def test_a_directory_of_another_study(tmp_path):
    store.open_study(tmp_path / "out", study("other"), cells(study("other")))
    ended = command(
        "sweep", "--experiment=recall_distance", f"--out={tmp_path / 'out'}"
    )
    assert_one_sentence(ended, "was written by the study 'other'")


def test_a_report_of_no_study(tmp_path):
    assert_one_sentence(command("report", str(tmp_path)), "is not a study directory")
    assert_one_sentence(command("report"), "there must be one directory of a study")
    assert_one_sentence(command("report", "a", "b"), "2 arguments are given")
    atomic_write(tmp_path / store.STUDY, "{")
    assert_one_sentence(command("report", str(tmp_path)), "is damaged")


def test_a_cell_whose_memory_is_not_there_is_refused_and_the_rest_go_on(tmp_path):
    """By the numbers of the machine: no test machine has a petabyte."""
    code = command(
        "sweep",
        "--experiment=recall_distance",
        f"--out={tmp_path / 'out'}",
        "--seed=0",
        "--lr=1e-3",
        *("--set", "task=recall(length=16,pairs=2,vocabulary=16)"),
        *("--set", "task.length=16"),
        *("--set", "model.pattern=conv"),
        *("--set", "model.width=8,2000000"),
        *("--set", "model.layers=1"),
        *("--set", "train.steps=2"),
        *("--set", "train.eval_every=2"),
        *("--set", "train.batch=2"),
        *("--set", "train.test_batches=1"),
    ).code
    assert code == 1
    states = {row.varies["model.width"]: row for row in store.status(tmp_path / "out")}
    assert states[8].state == "done"
    assert states[2000000].state == "failed"
    assert "memory_refused" in states[2000000].message
    assert "GB are free" in states[2000000].message
