"""One model over many devices learns what it learns on one, and no loop waits."""

import json
import os
import subprocess
import sys

import pytest

from attn_research.modules import MIXERS
from tests.command import ROOT

QUICK = ["dense", "gated_delta", "lstm", "nystrom"]


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
        # Moved far beyond what they may differ by; s4d moves least, by 9e-5.
        assert one["steps"] == [3] and one["moved"] > 3e-5, name
        assert one["loss"] < 1e-6 and one["sums"] < 1e-6, (name, one)
        assert one["begun"] < 1e-6 and one["params"] < close, (name, one)
        assert one["grads"] < close and one["leaf"] < 30 * close, (name, one)


def test_three_steps_are_those_of_one_device():
    agrees(measured("agree", patterns=QUICK, text="data=2,fsdp=2"))


@pytest.mark.slow
@pytest.mark.parametrize("how", ["others", "rows", "labels"])
def test_what_a_device_forgets_is_seen(how):
    found = measured("broken", how=how, patterns=["conv"], text="data=2,fsdp=2")
    assert found["conv"]["grads"] > 1e-3
    with pytest.raises(AssertionError):
        agrees(found)


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
    assert one["loss"] < 1e-6 and one["params"] < 1e-5 < one["moved"], one


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
