"""A run from another's trunk: what is taken, what learns, what is refused."""

import dataclasses
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from attn_research import flags, hypers, layout, program, source, tasks, train, transfer
from attn_research.checkpoint import load, read, steps
from attn_research.checkpoint.tree import paths
from attn_research.config import (
    Config,
    Model,
    Population,
    Start,
    Train,
    content_hash,
    replace,
)
from attn_research.launch import selection
from attn_research.layout import CHECKPOINTS
from attn_research.modules.models import Sizes, build
from attn_research.options import BadInput
from attn_research.report.drawings import axes
from attn_research.study import Study
from tests.checkpoints import same
from tests.command import assert_one_sentence, command
from tests.train_test import ask_to_stop_at, assert_same_run

# --- parameters of one model in the place of another's -------------------------------

SIZES = Sizes("tokens", features=5, outputs=5, length=6, causal=True)
SMALL = Model(pattern="dense(positions=learned)", width=8, positions="learned")
ONE = build(SMALL, SIZES)
POOLED = SIZES._replace(outputs=3, causal=False, per_sequence=True)


def drawn(model, seed=0):
    """Parameters, none like another, without compiling anything."""
    draw = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: draw.normal(size=leaf.shape).astype(leaf.dtype),
        transfer.shapes(model),
    )


def moved(given, model):
    """The parameters of a model as drawn from seed 1, with a trunk put in."""
    assert transfer.misfit(paths(given), model, frozen=False) is None
    return transfer.started(drawn(model, 1), transfer.fitted(paths(given), model))


def test_positions_are_stretched_linearly_between_exact_ends():
    table_TD = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    for length in (6, 9, 64):
        long_TD = transfer.stretched(table_TD, length)
        assert long_TD.shape == (length, 3) and long_TD.dtype == np.float32
        np.testing.assert_array_equal(long_TD[[0, -1]], table_TD[[0, -1]])
        for column, want in zip(long_TD.T, table_TD.T, strict=True):
            place = np.linspace(0, 4, length)
            np.testing.assert_allclose(column, np.interp(place, range(5), want), 1e-5)
    # Twice as dense: every other position is one that there was.
    np.testing.assert_array_equal(transfer.stretched(table_TD, 9)[::2], table_TD)
    np.testing.assert_array_equal(transfer.stretched(table_TD, 3), table_TD[:3])
    one_1D = table_TD[:1]
    np.testing.assert_array_equal(transfer.stretched(one_1D, 2), table_TD[[0, 0]])
    stacked_NTD = np.stack([table_TD, -table_TD])
    np.testing.assert_array_equal(
        transfer.stretched(stacked_NTD, 7)[1], -transfer.stretched(table_TD, 7)
    )


def test_a_longer_encoder_starts_from_a_language_model():
    """In the front end and in every mixer; the head is the encoder's own."""
    longer = build(SMALL, POOLED._replace(length=11))
    given, params = drawn(ONE), drawn(longer, 1)
    found = moved(given, longer)
    assert same(found["head"], params["head"])
    want = paths(given["trunk"])
    for path, leaf in paths(found["trunk"]).items():
        if path.endswith(("place", "table_ND")):
            want[path] = transfer.stretched(np.asarray(want[path]), 11)
        np.testing.assert_array_equal(leaf, want[path])
    longer.bind(found)


def test_a_larger_vocabulary_keeps_its_tokens_and_draws_the_rest():
    larger = build(SMALL, SIZES._replace(features=7, outputs=7))
    given, params = drawn(ONE), drawn(larger, 1)
    table = moved(given, larger)["trunk"]["frontend"]["table"]
    np.testing.assert_array_equal(table[:5], given["trunk"]["frontend"]["table"])
    np.testing.assert_array_equal(table[5:], params["trunk"]["frontend"]["table"][5:])


def test_two_trunks_are_two():
    """A model of two sequences has an encoder and a decoder; both are taken."""
    both = SIZES._replace(source_features=5, source_length=6)
    one, other = build(SMALL, both), build(SMALL, both._replace(outputs=4))
    given = drawn(one)
    found = moved(given, other)
    for trunk in ("encoder", "decoder"):
        assert same(found[trunk], given[trunk])
    told = transfer.misfit(paths(given), ONE, frozen=False)
    assert told and "it has decoder/" in told


GRU = Model(pattern="gru", layers=1, width=8)
MISFITS = {
    "wider": (
        (SMALL, SIZES),
        (Model(pattern=SMALL.pattern, width=12, positions="learned"), SIZES),
        "place is float32[6, 8] there and float32[6, 12] in this model",
    ),
    "deeper": (
        (SMALL, SIZES),
        (Model(pattern=SMALL.pattern, layers=3, width=8, positions="learned"), SIZES),
        "it has no trunk/groups/0/blocks/2/",
    ),
    "shallower": (
        (SMALL, SIZES),
        (Model(pattern=SMALL.pattern, layers=1, width=8, positions="learned"), SIZES),
        "it has trunk/groups/0/blocks/1/",
    ),
    "one direction": (
        (GRU, SIZES),
        (GRU, POOLED),
        "mixers/0/backward/",
    ),
    "both directions": (
        (GRU, POOLED),
        (GRU, SIZES),
        "its mixer reads in both, that of this model in one direction",
    ),
    "fewer tokens": (
        (SMALL, SIZES),
        (SMALL, SIZES._replace(features=4)),
        "float32[4, 8] in this model, which has fewer tokens",
    ),
    "values": (
        (GRU, SIZES),
        (GRU, SIZES._replace(inputs="values")),
        "it has no trunk/frontend/project/",
    ),
}


@pytest.mark.parametrize("name", MISFITS)
def test_what_does_not_fit_is_named(name):
    have, want, words = MISFITS[name]
    told = transfer.misfit(
        paths(transfer.shapes(build(*have))), build(*want), frozen=False
    )
    assert told and words in told and "\n" not in told


def test_new_tokens_have_to_learn():
    larger = build(SMALL, SIZES._replace(features=7))
    found = paths(transfer.shapes(ONE))
    told = transfer.misfit(found, larger, frozen=True)
    assert told and "what is frozen learns no new tokens" in told


# --- what learns, and how fast -------------------------------------------------------


def updates(model: Model, start: Start):
    """One step of the optimizer with every gradient one, by path."""
    built = build(model, SIZES)
    params = jax.tree.map(
        lambda leaf: np.ones(leaf.shape, np.float32), transfer.shapes(built)
    )
    settings = Train(schedule="constant", warmup=0.0, clip=0.0)
    numbers = hypers.Hypers(seed=0, lr=0.5, weight_decay=0.25)
    transform = hypers.optimizer(numbers, settings, transfer.shared(built, start))
    with jax.numpy_dtype_promotion("standard"):
        found, _ = jax.jit(transform.update)(params, transform.init(params), params)
    return paths(jax.device_get(found))


@pytest.mark.parametrize("scan", [False, True])
def test_a_layer_learns_at_a_share_of_the_one_above(scan):
    model = Model(
        pattern="conv,conv(width=3)", stem="conv", layers=4, width=4, scan=scan,
        positions="learned", embed_norm=True, tied=False,
    )  # fmt: skip
    whole, found = updates(model, Start()), updates(model, Start(rate=0.5))
    for path, leaf in found.items():
        share = np.asarray(share_by_hand(path, scan))
        share = share.reshape(share.shape + (1,) * (leaf.ndim - share.ndim))
        np.testing.assert_allclose(leaf, whole[path] * share, 1e-6, err_msg=path)


def share_by_hand(path: str, scan: bool):
    """Of a stem and four layers, each at half the rate of the one above it."""
    part, *rest = path.removeprefix("trunk/").split("/")
    if part in ("frontend", "embed_norm"):
        return 1 / 32
    if part != "groups":
        return 1.0  # the head, and the last norm
    if not scan:
        return 0.5 ** (4 - int(rest[2]))
    if rest[0] == "0":
        return 1 / 16
    return {"0": [1 / 8, 1 / 2], "1": [1 / 4, 1.0]}[rest[3]]


def test_what_is_frozen_is_neither_moved_nor_decayed_nor_remembered():
    found = updates(Model(width=4, tied=False), Start(trunk="frozen"))
    moved = {path for path, leaf in found.items() if np.any(leaf)}
    assert moved == {"head/matrix/kernel", "head/matrix/bias"}
    assert all(np.signbit(leaf).all() for p, leaf in found.items() if p not in moved)


def test_clipping_sees_what_learns_alone():
    model = build(Model(width=4, tied=False), SIZES)
    traits = transfer.shared(model, Start(trunk="frozen"))
    params = drawn(model)

    def loss(params):
        held = hypers.learning(params, traits)
        return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(held))

    grads = jax.grad(loss)(params)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(grads["trunk"]))
    np.testing.assert_allclose(
        optax.tree.norm(grads), optax.tree.norm(params["head"]) * 2, rtol=1e-6
    )


# --- runs ----------------------------------------------------------------------------

BASE = replace(
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
    assert train.run(BASE, Population(lr=(1e30, 1e-2)), run) == flags.DONE
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
    return replace(BASE, changes)


def params_at(run: Path, step: int):
    return read(run / CHECKPOINTS, ["params"], step=step)[1]["params"]


@pytest.fixture(scope="module")
def probed(pretrained, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "probed"
    assert train.run(probe(pretrained), TWO, run) == flags.DONE
    return run


def test_every_member_starts_from_the_best_trunk_with_a_head_of_its_own(
    pretrained, probed
):
    best = load(pretrained)
    assert best.hypers["lr"] == 1e-2, "not the first, which diverges"
    assert steps(probed / CHECKPOINTS) == [0, 12]
    begun = params_at(probed, 0)
    want = paths(best.params["trunk"])
    want["frontend/place"] = transfer.stretched(want["frontend/place"], 24)
    for path, leaf_P in paths(begun["trunk"]).items():
        for leaf in leaf_P:
            assert leaf.tobytes() == want[path].tobytes(), path
    kernel_P = begun["head"]["matrix"]["kernel"]
    assert not np.array_equal(kernel_P[0], kernel_P[1])


def test_a_trunk_that_is_used_another_way_is_told(pretrained):
    found = program.resolve(probe(pretrained))
    assert source.note(found.init, found.model, causal=True) is None
    wider = replace(found.model, {"pattern": "conv(width=5)"})
    told = source.note(found.init, wider, causal=False)
    assert told and "causal was true and is false" in told and "\n" not in told
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
        assert train.run(config, TWO, tmp_path / "run") == flags.REQUEUE
    shutil.rmtree(gone)
    assert train.run(config, TWO, tmp_path / "run") == flags.DONE
    assert_same_run(tmp_path / "run", probed)
    assert train.run(config, TWO, tmp_path / "run") == flags.DONE


def test_a_config_names_the_checkpoint_by_its_content(pretrained, tmp_path):
    config = replace(BASE, {"init.path": str(pretrained)})
    found = program.resolve(config).init
    assert (found.member, found.step) == (1, 12) and len(found.digest) == 16
    assert program.resolve(replace(BASE, {"init.step": 6})).init == Start()
    older = program.resolve(replace(config, {"init.step": 6})).init
    assert older.digest != found.digest and older.step == 6
    study = Study("s", "Q?", "C.", config, {"init.path": (None, str(pretrained))})
    scratch, cell = selection.resolved(study)
    assert scratch.config.init == Start() and cell.config.init == found
    assert scratch.id != cell.id == content_hash(program.resolve(config), Population())
    # What was resolved is read again by its step and digest, or not at all.
    assert program.resolve(cell.config) == cell.config
    assert source.as_before(config.init, found) == found
    assert source.as_before(older, found) == older
    assert source.as_before(Start(path="other"), found) == Start(path="other")


def test_a_source_that_is_another_by_now_is_refused(pretrained):
    found = program.resolve(replace(BASE, {"init.path": str(pretrained)}))
    model = build(found.model, program.sizes(tasks.make(found.task)))
    assert source.trunk(found.init, model)
    changed = dataclasses.replace(found.init, digest="0" * 16)
    with pytest.raises(BadInput, match="is not what this run is to start from") as told:
        source.trunk(changed, model)
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
    "--init.member=2": "member is 2; allowed are 'best' and 0 to 1",
    "--init.step=7": "holds no step 7 (known: 6, 12)",
    "--init.rate=0": "--init.rate is 0.0; it must be more than 0",
    "--init.trunk=frozen": "model.tied=false gives it a matrix that learns",
    "--init.trunk=half": "allowed are all, frozen",
    "--model.width=16": "float32[16, 8] there and float32[16, 16] in this model",
    "--model.layers=2": "it has no trunk/groups/0/blocks/1/",
    "--model.pattern=gru": "it has no trunk/groups/0/blocks/0/mixers/0/bias",
    "--task.vocabulary=8": "which has fewer tokens",
}


@pytest.mark.parametrize("flag", MISTAKES)
def test_a_mistake_is_one_sentence_and_leaves_nothing(flag, pretrained, tmp_path):
    own = f"--out={tmp_path / 'run'}"
    ended = command("train", *FLAGS, f"--init_from={pretrained}", flag, own)
    assert_one_sentence(ended, MISTAKES[flag])
    assert not (tmp_path / "run").exists()


def test_a_source_that_is_no_run(tmp_path):
    ended = command("train", f"--init_from={tmp_path}", f"--out={tmp_path / 'run'}")
    assert_one_sentence(ended, "is no directory of a run")
    rate = "--init.rate=0.5", "--init.trunk=frozen", "--model.tied=false"
    ended = command("train", *rate, f"--out={tmp_path / 'run'}")
    assert_one_sentence(ended, "init.rate is 0.5 and init.trunk is frozen")


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
    assert_one_sentence(command("train", *line), "good one is step 6 (ask for it with")
    if item == "params":  # the run that was refused has claimed nothing
        ended = command("train", *line, "--init.step=6")
        assert ended.code == flags.DONE, ended.err
        assert layout.read_config(tmp_path / "run").config.init.step == 6
