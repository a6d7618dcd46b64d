"""One model over many devices learns what it learns on one, and no loop waits."""

import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec as Along

import attn_research as ar
from attn_research import checkpoint, loop
from attn_research.config import Config, Model, Population, Train, edit
from attn_research.host import exits, layout, slots
from attn_research.modules import MIXERS
from attn_research.options import BadInput
from attn_research.training import mesh, placed, program
from tests.command import ROOT

QUICK = ["dense", "gated_delta", "lstm", "nystrom"]
SMALL = Config(
    "recall(length=16,pairs=2,vocabulary=16)",
    Model(width=8, layers=1, pattern="linear"),
    Train(
        steps=12,
        batch=4,
        eval_every=6,
        eval_batches=1,
        test_batches=2,
        checkpoint_every=6,
    ),
)


def measured(name: str, **given) -> dict:
    """What a function of `devices` finds on eight devices."""
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-W", "error", "-m", "tests.training.devices"]
    done = subprocess.run(
        [*command, name, json.dumps(given)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def agrees(found: dict, close: float = 1e-6):
    """Loss, gradients and sums of an evaluation are those of one device."""
    for name, one in found.items():
        assert one["steps"] == [3] and one["moved"] > 1e-4, name
        assert one["loss"] < 1e-6 and one["sums"] < 1e-6, (name, one)
        assert one["begun"] < 1e-6 and one["params"] < close, (name, one)
        assert one["grads"] < close and one["leaf"] < 30 * close, (name, one)


def test_three_steps_are_those_of_one_device():
    agrees(measured("agree", patterns=QUICK, text="data=2,fsdp=2"))


@pytest.mark.slow
@pytest.mark.parametrize("name", MIXERS)
def test_three_steps_of_every_mixer_are_those_of_one_device(name):
    agrees(measured("agree", patterns=[name], text="data=2,fsdp=4"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("data=8", {}),
        ("fsdp=8", {"batch": 32, "accumulate": 4}),
        ("fsdp=4", {"model": {"remat": True, "layers": 4, "scan": True}}),
        ("fsdp=2", {"execution": "vmap", "distinct_batches": 2}),
        ("data=2,fsdp=2", {"average": 0.9, "clip": 0.5}),
    ],
)
def test_every_way_to_take_a_step_is_divided(text, options):
    agrees(measured("agree", patterns=["linear,gru"], text=text, **options))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["adamw", "adafactor", "muon", "lion"])
def test_an_optimizer_sees_whole_arrays(name):
    """Moments, norms of updates and orthogonal matrices are those of one device.

    A rate of an element is a quotient of rounded numbers, or the sign of one.
    """
    (one,) = measured(
        "agree", patterns=["linear"], text="fsdp=4", optimizer=name, clip=0.5
    ).values()
    assert one["loss"] < 1e-5 and one["params"] < 1e-4 < one["moved"], one


def test_no_loop_is_longer_or_waits_for_a_device():
    found = measured(
        "loops", patterns=["lstm", "window", "delta"], text="data=2,fsdp=2"
    )
    for name, one in found.items():
        here, alone = one["steps"]
        assert here == alone > 0, (name, "a device takes steps for the rows of others")
        assert {"all-gather", "reduce-scatter"} <= set(one["moves"]), name
        assert not one["in_loops"], (name, one["in_loops"])


@pytest.mark.slow
@pytest.mark.parametrize("name", MIXERS)
def test_no_loop_of_any_mixer_waits_for_a_device(name):
    (one,) = measured("loops", patterns=[name], text="fsdp=4").values()
    assert one["steps"][0] == one["steps"][1]
    assert one["moves"] and not one["in_loops"]


def test_nor_does_a_loop_over_parts_or_layers():
    options = {"accumulate": 2, "model": {"layers": 4, "scan": True, "remat": True}}
    (one,) = measured("loops", patterns=["lstm"], text="fsdp=4", **options).values()
    assert one["steps"][0] == one["steps"][1] and not one["in_loops"]


def test_what_waits_in_a_loop_is_seen():
    found = measured("planted")
    assert found["in_loops"] == found["moves"] == ["all-reduce"]


def test_the_bytes_of_a_device_fall_with_its_shard():
    found = measured(
        "bytes_of", pattern="linear", texts=[None, "data=4", "fsdp=2", "fsdp=8"],
        optimizer="adamw",
    )  # fmt: skip
    for text, parts in (("none", 1), ("data=4", 1), ("fsdp=2", 2), ("fsdp=8", 8)):
        # Width 16, vocabulary 32: 8 divides every matrix, and vectors are copied.
        wanted = sum(
            bytes // (parts if len(shape) > 2 else 1)
            for bytes, *shape in found[text]["leaves"]
        )
        assert 0 <= found[text]["argument"] - wanted < 64, text
    assert found["fsdp=8"]["argument"] < 0.2 * found["none"]["argument"]
    assert found["data=4"]["temporary"] < 0.5 * found["none"]["temporary"]


def test_a_checkpoint_of_any_mesh_goes_on_on_any_other():
    texts = [None, "fsdp=2", "data=2,fsdp=2", "fsdp=8"]
    found = measured("moved_between", pattern="linear", texts=texts)
    assert len(found) == 16
    for way, one in found.items():
        assert one["same"] and one["lies"] and one["step"] == 3, way
        assert one["params"] < 1e-5, way


def test_members_are_beside_one_another_each_on_its_mesh():
    found = measured("beside", text="fsdp=4", lr=[1e-2, 1e38])
    assert found["status"] == [0, 2] and found["step"] == [3, 0]
    assert found["params"] == [0, 0], "a member depends on its neighbour"


def test_the_largest_axis_that_divides_is_divided():
    onto = mesh.abstract("data=2,fsdp=4")
    whole = Along()
    for shape, wanted in (
        ((8, 16), Along(None, "fsdp")),
        ((16, 8), Along("fsdp")),
        ((8, 8), Along("fsdp")),
        ((18, 8), Along(None, "fsdp")),
        ((2, 3, 12), Along(None, None, "fsdp")),
        ((6, 7), whole),
        ((16,), whole),
        ((), whole),
    ):
        assert mesh.spec(shape, onto) == wanted, shape
    assert mesh.spec((8, 16), mesh.abstract("data=8")) == whole


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model=2", "has the axis 'model'; its axes must be data or fsdp"),
        ("fdsp=2", "did you mean 'fsdp'"),
        ("", "has the axis ''"),
        ("data=2,data=2", "data must be there once"),
        ("data=0", "the size of data must be a whole number of devices, at least 1"),
        ("fsdp", "the size of fsdp must be a whole number"),
        ("fsdp=1.5", "the size of fsdp must be a whole number"),
        ("data=3", "the rows must be a multiple of 3, an equal number for each of 3"),
        ("data=2,fsdp=4", "a multiple of 8, an equal number for each of 8 devices"),
    ],
)
def test_a_mesh_that_cannot_be_is_one_sentence(text, said):
    with pytest.raises(BadInput, match=said):
        program.resolve(edit(SMALL, {"train.mesh": text}))


def test_parts_are_of_the_rows_of_a_device():
    asked = {"train.mesh": "fsdp=2", "train.accumulate": 4}
    with pytest.raises(BadInput, match="a multiple of 8, an equal number for each of"):
        program.resolve(edit(SMALL, asked))


def test_a_mesh_has_one_spelling():
    def resolved(text):
        return program.resolve(edit(SMALL, {"train.mesh": text})).train.mesh

    assert resolved("fsdp=2, data=2") == resolved("data=2,fsdp=2") == "data=2,fsdp=2"
    assert resolved("data=1,fsdp=4") == "fsdp=4" and resolved("fsdp=1") is None


def test_devices_that_a_mesh_does_not_fill_are_refused(tmp_path):
    two = jax.devices()[:2]
    with pytest.raises(BadInput, match="4 devices, and there are 2; their number must"):
        mesh.over(two, "data=2,fsdp=2")
    with pytest.raises(BadInput, match="4 of 8 devices, and the members are 1"):
        mesh.over(two * 4, "fsdp=4")
    assert mesh.over(two * 4, "fsdp=4", 2).shape == {"P": 2, "data": 1, "fsdp": 4}
    with pytest.raises(BadInput, match="4 devices, and there are 2"):
        loop.run(edit(SMALL, {"train.mesh": "fsdp=4"}), Population(), tmp_path / "run")
    assert not (tmp_path / "run" / layout.CONFIG).exists()


def test_the_memory_of_a_mesh_is_known_without_its_devices():
    """A copy of the state on each device, but a shard of each matrix."""
    config = program.resolve(edit(SMALL, {"train.batch": 64}))
    copied = edit(config, {"train.mesh": "data=64"})
    divided = edit(config, {"train.mesh": "data=8,fsdp=8"})
    embedded = 64 * 16 * 8 * 4  # rows, tokens, width, bytes of a number
    one, many, parted = (
        placed.at_least(each, 2) - embedded for each in (config, copied, divided)
    )
    assert many == 64 * one > 0 and parted < 0.3 * many


def test_a_process_gets_the_devices_of_its_mesh():
    slot = slots.Slot((0, 1, 2, 3), None)

    def devices(members, mesh, **more):
        flags = slots.environment(slot, members, {}, mesh=mesh, **more)["XLA_FLAGS"]
        return int(flags.rpartition("=")[2])

    assert devices(1, 8) == 8 and devices(3, 2) == 4 and devices(1, 2) == 2
    assert devices(3, 2, one_device=True) == 2


class Stop(Exception):
    pass


def test_a_run_on_a_mesh_is_stopped_and_goes_on_on_another(tmp_path, monkeypatch):
    config, out = edit(SMALL, {"train.mesh": "fsdp=2"}), tmp_path / "run"
    evaluated = loop._evaluated

    def once(compiled, arrays, members_P, account, *others):
        if account.step > 6:
            raise Stop
        return evaluated(compiled, arrays, members_P, account, *others)

    monkeypatch.setattr(loop, "_evaluated", once)
    with pytest.raises(Stop):
        loop.run(config, Population(), out)
    monkeypatch.setattr(loop, "_evaluated", evaluated)
    assert checkpoint.steps(out / layout.CHECKPOINTS) == [6]
    other = edit(config, {"train.mesh": "data=2"})
    with pytest.raises(BadInput, match="mesh was 'fsdp=2' and is 'data=2'"):
        loop.run(other, Population(), out)
    code = loop.run(other, Population(), out, allow_inexact_resume=True)
    assert code == exits.DONE
    found = layout.read_result(out)
    assert found is not None and found["environment"]["mesh"] == "data=2"
    assert layout.read_config(out).config.train.mesh == "fsdp=2"
    alone = tmp_path / "alone"
    assert loop.run(SMALL, Population(), alone) == exits.DONE
    restored, wanted = ar.load(out), ar.load(alone)
    for one, two in zip(
        jax.tree.leaves(restored.params), jax.tree.leaves(wanted.params), strict=True
    ):
        assert len(one.devices()) == 1
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)


def test_a_resumed_run_on_a_mesh_ends_with_the_same_bits(tmp_path):
    config = edit(SMALL, {"train.mesh": "fsdp=2"})
    short = edit(config, {"train.steps": 12})
    assert loop.run(short, Population(), tmp_path / "whole") == exits.DONE
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert loop.run(config, Population(), cut) == exits.DONE
    newest = max((cut / layout.CHECKPOINTS).glob("0*"))
    for file in sorted(newest.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    newest.rmdir()
    (cut / layout.RESULT).unlink()
    assert loop.run(config, Population(), cut) == exits.DONE
    first, second = (
        checkpoint.read(out / layout.CHECKPOINTS, ["params", "optimizer"])[1]
        for out in (whole, cut)
    )
    same = jax.tree.map(np.array_equal, first, second)
    assert all(jax.tree.leaves(same))
