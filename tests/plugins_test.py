"""Plugins: what they add, what is refused of them, and what a run keeps of them."""

import json
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attn_research as ar
from attn_research import hypers, losses, plugins, tasks
from attn_research.config import Config, Population, Train, edit
from attn_research.host import layout
from attn_research.host.durable import Damaged, read_json, write_json
from attn_research.host.exits import DONE
from attn_research.modules import MIXERS, models
from attn_research.options import BadInput
from attn_research.studies.study import Cell
from attn_research.tasks import TASKS
from attn_research.training import metrics, program
from tests.command import assert_one_sentence, command
from tests.plugged import GOOD, own_tables

SMALL = (
    "--model.width=8",
    "--model.layers=1",
    "--train.steps=4",
    "--train.batch=4",
    "--train.eval_every=2",
    "--train.eval_batches=1",
    "--train.test_batches=1",
    "--train.checkpoint_every=2",
    "--train.decode=0",
)
MINE = ("--task=echo", "--model.pattern=mine", *SMALL)
PRESET = "from attn_research.modules import MIXERS as OURS\n"
CLASS = """
from flax import nnx
from attn_research.options import declared, option

@declared
class Options:
    size: int = option(1, "A size.", low=1)

class Mine(nnx.Module):
    Options = Options
    def __init__(self, options, *, width, causal, length, rngs): ...
    def __call__(self, x_BTD, segments_BT=None): ...
    def start(self, batch, length, dtype=None): ...
    def step(self, x_BD, carry): ...
    def cost(self, length): ...
    def reach(self, length): ...

MIXERS = {"mine": Mine}
"""


@pytest.fixture(autouse=True)
def tables():
    with own_tables():
        yield


@pytest.fixture
def good(tmp_path) -> Path:
    path = tmp_path / "good.py"
    path.write_text(GOOD)
    return path


BROKEN = {
    # The source, the line, and the words of the sentence.
    "syntax": ("x = 1\nMIXERS = {\n", 2, "SyntaxError"),
    "import": ("import jax\n\nraise KeyError('gone')\n", 3, "KeyError: 'gone'"),
    "deeper": ("import json\njson.loads('{')\n", 2, "JSONDecodeError"),
    "absent": ("\nimport nowhere_at_all\n", 2, "No module named 'nowhere_at_all'"),
    "exit": ("import sys\nsys.exit(3)\n", 2, "SystemExit: 3"),
    "no space": ("raise OSError(28, 'No space left')\n", 1, "must be importable"),
    "own words": ("raise ValueError('first\\nsecond')\n", 1, "ValueError: first;"),
    "nothing": ("X = 1\n", None, "has none of MIXERS, TASKS, METRICS"),
    "one letter": ("MIXER = {}\n", None, "(for MIXER; did you mean 'MIXERS'?)"),
    "a list": ("\nMIXERS = []\n", 2, "MIXERS is a list; it must be a dict"),
    "a known mixer": (
        f"{PRESET}\nMIXERS = {{'dense': OURS['conv']}}\n",
        3,
        "has 'dense' already; the name must be another one",
    ),
    "a known optimizer": ("OPTIMIZERS = {'adamw': print}\n", 1, "has 'adamw' already"),
    "a known metric": ("METRICS = {'mae': 1}\n", 1, "a metric 'mae' already"),
    "no name": (f"{PRESET}MIXERS = {{'a b': OURS['conv']}}\n", 2, "it must be letters"),
    "a number": ("MIXERS = {'mine': 3}\n", 1, "must be a class or a preset of one"),
    "no Options": (
        CLASS.replace("    Options = Options\n", ""),
        9,
        "has no Options; it must have a class of that name",
    ),
    "not declared": (
        CLASS.replace("@declared\n", "").replace("option(1, 'A size.', low=1)", "1"),
        8,
        "must be a class with @options.declared",
    ),
    "no default": (
        CLASS.replace('option(1, "A size.", low=1)', "option('one', 'A size.')"),
        9,
        "have no defaults (Options.size is 'one'; it must be a whole number)",
    ),
    "no step": (
        CLASS.replace("    def step(self, x_BD, carry): ...\n", ""),
        9,
        "has no step; it must have that method",
    ),
    "no reach": (
        CLASS.replace("    def reach(self, length): ...\n", ""),
        9,
        "has no reach; it must have that method",
    ),
    "no length": (
        CLASS.replace("causal, length, rngs", "causal, rngs"),
        9,
        "it must take options, and by keyword width, causal, length and rngs",
    ),
    "a task": ("TASKS = {'mine': 3}\n", 1, "it must be a class"),
    "a task undeclared": (
        GOOD.replace("@declared\n", ""),
        14,
        "it must have @options.declared",
    ),
    "a task of no batch": (GOOD.replace("def batch", "def bach"), 15, "has no batch"),
    "a task of no spec": (GOOD.replace("def spec", "def spic"), 15, "has no spec"),
    "a metric": ("METRICS = {'mine': len}\n", 1, "it must be a losses.Score"),
    "a metric of what": (
        "from attn_research.losses import Score\nMETRICS = {'m': Score('tokn', len)}\n",
        2,
        "it must be one of token, class",
    ),
    "an optimizer": ("OPTIMIZERS = {'mine': 3}\n", 1, "must be a function of hypers"),
    "an optimizer of two": (
        "OPTIMIZERS = {'mine': lambda a, b: a}\n",
        1,
        "it must take hypers, or hypers and traits",
    ),
    "no transform": ("OPTIMIZERS = {'mine': id}\n", 1, "must be a transform of optax"),
    "an analysis": ("ANALYSES = {'mine': id}\n", 1, "it must be an inside.Analysis"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_plugin_is_one_sentence_with_its_line(fault, tmp_path):
    source, line, words = BROKEN[fault]
    path, out = tmp_path / "broken.py", tmp_path / "run"
    path.write_text(source)
    before = set(MIXERS), set(TASKS)
    ended = command("train", *SMALL, f"--plugin={path}", f"--out={out}")
    assert_one_sentence(ended, words)
    where = re.escape(str(path)) + (f", line {line}: " if line else " ")
    assert re.match(f"Error: {where}", ended.err), ended.err
    assert not out.exists() and (set(MIXERS), set(TASKS)) == before
    assert not plugins.loaded()


def test_a_plugin_that_is_not_there_is_one_sentence(tmp_path):
    for name in ("nowhere.py", str(tmp_path), "no_such_package.mixers", "json.nothing"):
        ended = command("train", f"--plugin={name}", f"--out={tmp_path / 'x'}")
        assert_one_sentence(ended, f"The plugin {name} is not found; it must be a")


def test_a_check_of_a_plugin_alone_says_what_it_brings(good, tmp_path):
    said = command("check", f"--plugin={good}")
    assert_one_sentence(said, "there must be a mixer or a task")
    for name in ("mine", "echo"):
        assert name in said.err
    empty = tmp_path / "empty.py"
    empty.write_text("import optax\nOPTIMIZERS = {'slow': lambda h: optax.sgd(h.lr)}\n")
    said = command("check", f"--plugin={empty}")
    assert_one_sentence(said, "which brings no mixer and no task; there must be")


def test_all_or_nothing_of_a_plugin_is_added(good):
    good.write_text(f"{GOOD}\nMETRICS['loss'] = METRICS['second']\n")
    with pytest.raises(BadInput, match="a metric 'loss' already"):
        plugins.load([str(good)])
    assert "mine" not in MIXERS and "echo" not in TASKS


def test_two_plugins_have_two_names(good, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "good.py").write_text(GOOD)
    plugins.load([str(good), str(good)])
    assert [one.name for one in plugins.loaded()] == ["good"]
    with pytest.raises(BadInput, match="Two plugins are named 'good'"):
        plugins.load([str(other / "good.py")])
    (other / "good.py").rename(other / "third.py")
    with pytest.raises(BadInput, match="good.py has 'mine' already"):
        plugins.load([str(other / "third.py")])
    good.write_text(f"{GOOD}\n# changed\n")
    with pytest.raises(BadInput, match="has changed since it was loaded"):
        plugins.load([str(good)])


def trained(good: Path, out: Path, *flags: str) -> layout.Run:
    with own_tables():
        ended = command("train", *MINE, *flags, f"--plugin={good}", f"--out={out}")
        assert ended.code == DONE, ended.err
        return layout.read_config(out)


def test_a_run_of_a_plugin_is_trained_told_and_loaded(good, tmp_path):
    out = tmp_path / "run"
    run = trained(good, out, "--train.optimizer=sign")
    (digest,) = [known["digest"] for known in run.plugins.values()]
    entries = "METRICS.second,MIXERS.mine,OPTIMIZERS.sign,TASKS.echo"
    known = {"source": str(good), "digest": digest, "entries": entries}
    assert run.plugins == {"good": known}
    result = layout.read_result(out)
    assert result["metric"] == "second" and result["goal"] == "max"
    assert 0 < result["members"][0]["test"]["second"] <= 1
    assert result["environment"]["plugin good"] == digest
    assert f"--plugin={good}\n" in (out / layout.FLAGFILE).read_text()
    # Nothing of the plugin is left in this process.
    with pytest.raises(BadInput) as caught:
        ar.load(out)
    sentence = str(caught.value)
    assert f"needs the plugin 'good', which was {good}; it must be given" in sentence
    assert f"plugins=['{good}']" in sentence
    tokens_BT = jnp.arange(16).reshape(2, 8) % 6
    restored = ar.load(out, plugins=[str(good)])
    answers = restored.model.apply(restored.params, tokens_BT)
    assert answers.shape == (2, 8, 6) and np.isfinite(answers).all()
    # The mixer is a preset of ours, which answers the same under its own name.
    text = restored.config.model.pattern.replace("mine(", "dense(")
    known = edit(restored.config, {"model.pattern": text})
    ours = models.build(known.model, program.sizes(tasks.make(known.task)))
    np.testing.assert_array_equal(answers, ours.apply(restored.params, tokens_BT))


def test_a_plugin_that_moved_is_known_by_its_entries(good, tmp_path):
    trained(good, tmp_path / "run")
    moved = tmp_path / "moved.py"
    moved.write_text(f"{GOOD}\n# changed\n")
    assert ar.load(tmp_path / "run", plugins=[str(moved)]).step == 4


def test_a_plugin_without_the_entries_is_another_one(good, tmp_path):
    trained(good, tmp_path / "run")
    other = tmp_path / "other.py"
    other.write_text("OPTIMIZERS = {}\n")
    with pytest.raises(BadInput, match="needs the plugin 'good'"):
        ar.load(tmp_path / "run", plugins=[str(other)])


def test_the_flags_of_a_run_repeat_it(good, tmp_path):
    trained(good, tmp_path / "run")
    file = tmp_path / "run" / layout.FLAGFILE
    ended = command("train", f"--flagfile={file}", f"--out={tmp_path / 'run'}")
    assert ended.code == DONE and "is done already" in ended.out, ended.err


def test_a_metric_of_a_plugin_is_its_mean_over_predictions(good):
    """Against a count of the two largest outputs, one prediction at a time."""
    plugins.load([str(good)])
    noise = np.random.default_rng(0)
    outputs_BTV = noise.standard_normal((3, 5, 6), np.float32)
    targets_BT = noise.integers(0, 6, (3, 5)).astype(np.int32)
    weights_BT = noise.random((3, 5)).astype(np.float32)
    score_BT = losses.METRICS["second"].score(outputs_BTV, targets_BT)
    loss_BT, scores = losses.losses(outputs_BTV, targets_BT, "token")
    scored = metrics.Scored(
        loss_BT,
        jnp.concatenate([scores, score_BT.astype(jnp.float32)[None]]),
        jnp.asarray(weights_BT),
        jnp.ones((3, 5), jnp.int32),
        jnp.ones((3, 5), jnp.int32),
        jnp.zeros((3, 0)),
    )
    names = ("accuracy", "second", "loss")
    found = metrics.values(metrics.sums(scored, 8), names, "token")
    right = [
        weight * (target in sorted(range(6), key=lambda v, row=row: -row[v])[:2])
        for row, target, weight in zip(
            outputs_BTV.reshape(-1, 6),
            targets_BT.ravel(),
            weights_BT.ravel(),
            strict=True,
        )
    ]
    assert abs(found["second"] - sum(right) / weights_BT.sum()) < 1e-6
    zero = metrics.nothing(8, "token", 6, names=names)
    assert jax.tree.map(np.shape, zero.total_R) == np.shape(
        metrics.sums(scored, 8).total_R
    )


def test_a_metric_is_reported_beside_those_of_a_task_of_ours(good, tmp_path):
    flags = ["--task=recall(length=8,pairs=1,vocabulary=16)", "--model.pattern=conv"]
    flags += [*SMALL, f"--plugin={good}", "--train.metrics=second"]
    ended = command("train", *flags, f"--out={tmp_path / 'run'}")
    assert ended.code == DONE, ended.err
    test = layout.read_result(tmp_path / "run")["members"][0]["test"]
    assert test["second"] >= test["accuracy"] and "second" in str(
        (tmp_path / "run" / layout.METRICS).read_text()
    )
    other = ["--task=adding(length=8)", "--model.pattern=conv", *SMALL]
    other += [f"--plugin={good}", "--train.metrics=second", f"--out={tmp_path / 'x'}"]
    assert_one_sentence(command("train", *other), "they must be of one kind")
    for flag, words in (
        ("--train.metrics=secnd", "Unknown metric of a plugin 'secnd'"),
        ("--train.optimizer=sgn", "Unknown optimizer 'sgn'"),
    ):
        ended = command("train", *SMALL, flag, f"--out={tmp_path / 'x'}")
        assert_one_sentence(ended, words)


def test_the_optimizer_of_a_plugin_takes_the_place_of_adam(good):
    """The step of signs is the rate, whatever the gradient."""
    plugins.load([str(good)])
    train = Train(optimizer="sign", schedule="constant", warmup=0.0, clip=0.0)
    member = hypers.Hypers(0, np.float32(0.5), np.float32(0.0))
    transform = hypers.optimizer(member, train)
    params = {"a": jnp.ones((2, 2))}
    grads = {"a": jnp.asarray([[3.0, -7.0], [1e-3, -1e-3]])}
    with jax.numpy_dtype_promotion("standard"):
        steps, _ = transform.update(grads, transform.init(params), params)
    np.testing.assert_allclose(steps["a"], [[-0.5, 0.5], [-0.5, 0.5]])


def test_what_needs_no_plugin_is_the_same_with_one(good, tmp_path):
    flags = ["--task=recall(length=8,pairs=1,vocabulary=16)", "--model.pattern=conv"]
    for name, more in (("without", []), ("with", [f"--plugin={good}"])):
        out = f"--out={tmp_path / name}"
        assert command("train", *flags, *SMALL, *more, out).code == DONE
    for file in (layout.CONFIG, layout.FLAGFILE, layout.METRICS):
        one, two = ((tmp_path / n / file).read_bytes() for n in ("without", "with"))
        assert one == two, file
    assert "plugin" not in (tmp_path / "with" / layout.CONFIG).read_text()


def test_new_fields_change_no_id():
    cell = Cell(Config(), Population())
    plain = json.dumps(layout.to_dict(cell.config))
    assert "optimizer" not in plain and "metrics" not in plain


def test_a_changed_plugin_resumes_only_if_that_is_asked_for(good, tmp_path):
    out = tmp_path / "run"
    trained(good, out)
    (out / layout.RESULT).unlink()
    good.write_text(f"{GOOD}\n# changed\n")
    flags = [*MINE, f"--plugin={good}", f"--out={out}"]
    with own_tables():
        ended = command("train", *flags)
    assert_one_sentence(ended, "in another environment (plugin good was '")
    assert "--allow_inexact_resume" in ended.err
    with own_tables():
        ended = command("train", *flags, "--allow_inexact_resume")
    assert ended.code == DONE, ended.err


def test_another_digest_is_another_run(good, tmp_path):
    out = tmp_path / "run"
    trained(good, out)
    value = {k: v for k, v in read_json(out / layout.CONFIG).items() if k != "seal"}
    value["plugins"]["good"]["digest"] = "0" * 16
    write_json(out / layout.CONFIG, value)
    with pytest.raises(Damaged, match="was written by another run"):
        ar.load(out, plugins=[str(good)])
    write_json(out / layout.CONFIG, {**value, "plugins": {"good": 3}})
    with pytest.raises(Damaged, match="config.json is damaged"):
        ar.load(out, plugins=[str(good)])


def test_an_analysis_of_a_plugin_is_listed(good):
    ended = command("analyze", "--list", f"--plugin={good}")
    assert ended.code == DONE and "It shows nothing." in ended.out
