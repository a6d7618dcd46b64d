"""A run that starts from another's trunk: what is taken, learned, told, refused."""

import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from attn_research import flags, loop, tasks
from attn_research.checkpoint import load, read, steps
from attn_research.config import Config, Population, Start, content_hash, edit
from attn_research.host import exits, layout
from attn_research.host.layout import CHECKPOINTS
from attn_research.modules.models import build
from attn_research.options import BadInput
from attn_research.report.plans import axes
from attn_research.studies import selection
from attn_research.studies.study import Study
from attn_research.training import program
from attn_research.transfer import start, trunk
from attn_research.trees import paths
from tests.checkpoints import same
from tests.command import assert_one_sentence, command
from tests.train_test import ask_to_stop_at, assert_same_run

BASE = edit(
    Config(),
    {
        "task": "recall(length=16,pairs=2,vocabulary=16)",
        "model.pattern": "conv",
        "model.layers": 1,
        "model.width": 8,
        "model.positions": "learned",
        "train.batch": 4,
        "train.steps": 12,
        "train.eval_every": 6,
        "train.eval_batches": 1,
        "train.test_batches": 1,
        "train.checkpoint_every": 6,
    },
)
TWO = Population(seed=(0, 1))


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "pretrained"
    assert loop.run(BASE, Population(lr=(1e30, 1e-2)), run) == exits.DONE
    return run


def probe(run: Path) -> Config:
    """A longer task for a frozen trunk; its steps 0 and 12 are kept."""
    changes = {
        "task.length": 24,
        "model.tied": False,
        "train.checkpoint_every": 12,
        "init.path": str(run),
        "init.trunk": "frozen",
    }
    return edit(BASE, changes)


def network(config: Config):
    """The model of a resolved config."""
    return build(config.model, program.sizes(tasks.make(config.task)))


def params_at(run: Path, step: int):
    return read(run / CHECKPOINTS, ["params"], step=step)[1]["params"]


@pytest.fixture(scope="module")
def probed(pretrained, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "probed"
    assert loop.run(probe(pretrained), TWO, run) == exits.DONE
    return run


def test_every_member_starts_from_the_best_trunk_with_a_head_of_its_own(
    pretrained, probed
):
    best = load(pretrained)
    assert best.hypers["lr"] == 1e-2, "not the first, which diverges"
    assert steps(probed / CHECKPOINTS) == [0, 12]
    begun = params_at(probed, 0)
    want = paths(jax.device_get(best.params["trunk"]))
    want["frontend/place"] = trunk.stretched(want["frontend/place"], 24)
    for path, leaf_P in paths(begun["trunk"]).items():
        for leaf in leaf_P:
            assert leaf.tobytes() == want[path].tobytes(), path
    kernel_P = begun["head"]["matrix"]["kernel"]
    assert not np.array_equal(kernel_P[0], kernel_P[1])


def test_a_trunk_that_is_used_another_way_is_told(pretrained):
    found = program.resolve(probe(pretrained))
    model = network(found)
    assert start.notes(found, model, causal=True) == []
    wider = edit(found, {"model.pattern": "conv(width=5)"})
    (told,) = start.notes(wider, model, causal=False)
    assert "causal was true and is false" in told and "\n" not in told
    assert "pattern was " in told and "tied" not in told


def test_a_frozen_trunk_keeps_its_bits_while_the_head_learns(probed):
    begun, ended = params_at(probed, 0), params_at(probed, 12)
    assert same(begun["trunk"], ended["trunk"])
    for name, leaf_P in paths(begun["head"]).items():
        other_P = paths(ended["head"])[name]
        assert not any(map(np.array_equal, leaf_P, other_P)), name
    state = read(probed / CHECKPOINTS, ["optimizer"])[1]["optimizer"]
    assert not any("trunk" in path for path in paths(state)), "no moments are kept"


def test_a_resumed_run_has_its_bits_without_its_source(
    pretrained, probed, tmp_path, monkeypatch
):
    gone = shutil.copytree(pretrained, tmp_path / "source")
    config = probe(gone)
    with monkeypatch.context() as patch:
        ask_to_stop_at(patch, 7)
        assert loop.run(config, TWO, tmp_path / "run") == exits.REQUEUE
    shutil.rmtree(gone)
    assert loop.run(config, TWO, tmp_path / "run") == exits.DONE
    assert_same_run(tmp_path / "run", probed)
    assert loop.run(config, TWO, tmp_path / "run") == exits.DONE


def test_a_config_names_the_checkpoint_by_its_content(pretrained, tmp_path):
    config = edit(BASE, {"init.path": str(pretrained)})
    found = program.resolve(config).init
    assert (found.member, found.step) == (1, 12) and len(found.digest) == 16
    assert program.resolve(edit(BASE, {"init.step": 6})).init == Start()
    older = program.resolve(edit(config, {"init.step": 6})).init
    assert older.digest != found.digest and older.step == 6
    study = Study("s", "Q?", "C.", config, {"init.path": (None, str(pretrained))})
    scratch, cell = selection.resolved(study)
    assert scratch.config.init == Start() and cell.config.init == found
    assert scratch.id != cell.id == content_hash(program.resolve(config), Population())
    # What was resolved is read again by its step and digest, or not at all.
    assert program.resolve(cell.config) == cell.config
    assert start.as_before(config.init, found) == found
    assert start.as_before(older, found) == older
    assert start.as_before(Start(path="other"), found) == Start(path="other")


def test_a_source_that_is_another_by_now_is_refused(pretrained):
    found = program.resolve(edit(BASE, {"init.path": str(pretrained)}))
    model = network(found)
    assert start.load_trunk(found, model)
    changed = edit(found, {"init.digest": "0" * 16})
    with pytest.raises(BadInput, match="has changed since this run was set up") as told:
        start.load_trunk(changed, model)
    assert "\n" not in str(told.value)


def test_a_report_tells_starts_apart():
    """By the run, and by its step only where runs of one source differ in it."""
    names = ("init.path", "init.step", "init.digest")
    rows = [
        dict(zip(names, values, strict=True))
        for values in ((None, None, ""), ("a", 4, "x"), ("a", 8, "y"))
    ]
    assert axes(rows[:2]) == ["init.path"]
    assert axes(rows) == ["init.path", "init.step"]


FLAGS = [line for line in flags.lines(BASE) if not line.startswith("--init.")]
MISTAKES = {
    "--init.member=2": "member is 2; it must be 'best' or 0 to 1",
    "--init.step=7": "holds no step 7 (known: 6, 12)",
    "--init.rate=0": "--init.rate is 0.0; it must be more than 0",
    "--init.trunk=frozen": "model.tied must be false",
    "--init.trunk=half": "it must be one of all, frozen",
    "--model.width=16": "float32[16, 8] there and float32[16, 16] in this model",
    "--model.layers=2": "it has no trunk/groups/0/blocks/1/",
    "--model.pattern=gru": "it has no trunk/groups/0/blocks/0/mixers/0/bias",
    "--task.vocabulary=8": "its tokens must be at least as many",
}


@pytest.mark.parametrize("flag", MISTAKES)
def test_a_mistake_is_one_sentence_and_leaves_nothing(flag, pretrained, tmp_path):
    own = f"--out={tmp_path / 'run'}"
    ended = command("train", *FLAGS, f"--init_from={pretrained}", flag, own)
    assert_one_sentence(ended, MISTAKES[flag])
    assert not (tmp_path / "run").exists()


def test_a_source_that_is_no_run(tmp_path):
    ended = command("train", f"--init_from={tmp_path}", f"--out={tmp_path / 'run'}")
    assert_one_sentence(ended, "is not a run directory")
    rate = "--init.rate=0.5", "--init.trunk=frozen", "--model.tied=false"
    ended = command("train", *rate, f"--out={tmp_path / 'run'}")
    assert_one_sentence(ended, "init.rate is 0.5; if init.trunk is frozen")


@pytest.mark.slow
@pytest.mark.parametrize("item", ["params", "facts.json"])
def test_a_damaged_source_names_the_step_to_ask_for(item, pretrained, tmp_path):
    copy = shutil.copytree(pretrained, tmp_path / "source")
    broken = copy / CHECKPOINTS / f"{12:08d}" / item
    files = [broken, *broken.rglob("*")]
    victim = max(
        (file for file in files if file.is_file()), key=lambda file: file.stat().st_size
    )
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    own = flags.lines(probe(copy))
    line = [*own, f"--out={tmp_path / 'run'}", "--seed=0,1"]
    assert_one_sentence(command("train", *line), "good one is step 6 (load it with")
    if item == "params":  # the run that was refused has claimed nothing
        ended = command("train", *line, "--init.step=6")
        assert ended.code == exits.DONE, ended.err
        assert layout.read_config(tmp_path / "run").config.init.step == 6


# --- from one kind of task to another ------------------------------------------------


@pytest.fixture(scope="module")
def kinds(tmp_path_factory, data_sets):
    """A run on hidden bytes, what it starts, and what it told as it began."""
    folder = tmp_path_factory.mktemp("kinds")
    (folder / "text").write_bytes(b"to be or not to be, that is the question. " * 40)
    changes = {"model.pattern": "gru", "train.steps": 2, "train.eval_every": 2}
    hidden = edit(
        BASE, {**changes, "task": f"masked_text(path={folder / 'text'},length=16)"}
    )
    assert loop.run(hidden, Population(), folder / "hidden") == exits.DONE
    own = {"task": "classification(length=20)", "init.path": str(folder / "hidden")}
    classes = edit(hidden, own)
    with pytest.MonkeyPatch.context() as patch:
        told: list[str] = []
        patch.setattr(
            "builtins.print", lambda *texts, **_: told.extend(map(str, texts))
        )
        assert loop.run(classes, Population(), folder / "classes") == exits.DONE
    return folder, hidden, told


@pytest.mark.slow
def test_hidden_bytes_teach_a_classifier(kinds):
    """Bytes by their rows, not the mask; in two directions and longer."""
    folder, _, told = kinds
    (note,) = [one for one in told if "tokens" in one]
    assert note.endswith(
        "the first 256 of its 257 tokens are copied, the rest dropped."
    )
    assert str(folder / "hidden") in note and "\n" not in note
    given = load(folder / "hidden").params["trunk"]
    found = params_at(folder / "classes", 0)["trunk"]
    for path, leaf_P in paths(found).items():
        want = paths(given)[path]
        if path == "frontend/table":
            want = want[:256]
        if path == "frontend/place":
            want = trunk.stretched(np.asarray(want), 20)
        np.testing.assert_array_equal(leaf_P[0], want, err_msg=path)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["masked_text", "text"])
def test_a_classifier_starts_a_model_of_bytes(task, kinds):
    folder, hidden, _ = kinds
    own = {
        "init.path": str(folder / "classes"),
        "task": f"{task}(path={folder / 'text'},length=16)",
    }
    config = program.resolve(edit(hidden, own))
    model = network(config)
    made = trunk.fitted(paths(load(folder / "classes").params), model)
    given = start.load_trunk(config, model)
    assert same(given, made)
    told = "\n".join(start.notes(config, model, causal=task == "text"))
    if task == "masked_text":
        assert "256 of its 256 tokens are copied, the other 1 of this model" in told
    else:
        assert "the backward one is dropped" in told and "tokens" not in told


@pytest.mark.slow
def test_subwords_of_another_text_are_others(kinds):
    folder, hidden, _ = kinds

    def meant(task, before="text(subwords=300,path=a,length=9)"):
        (folder / "old").mkdir(exist_ok=True)
        layout.write_config(
            folder / "old", edit(hidden, {"task": before}), Population()
        )
        return start._shared_tokens(
            edit(hidden, {"task": task, "init.path": str(folder / "old")})
        )

    assert meant("text(subwords=300,path=a,length=99)") is None
    assert meant("text(subwords=300,path=b,length=9)") == 256
    assert meant("text(subwords=301,path=a)") == meant("classification") == 256
    assert meant("text(subwords=0)", "classification") is None


def test_a_start_that_is_not_there_is_refused_before_anything_is_written(tmp_path):
    out = tmp_path / "run"
    nowhere = f"--init.path={tmp_path / 'nowhere'}"
    for more in ((), ("--init.digest=0123456789abcdef",)):
        said = command("train", "--task=recall", nowhere, *more, f"--out={out}")
        assert_one_sentence(said, "is not a run directory")
    assert not out.exists()
