"""The comparison of `benchmarks/learning.py`: known answers, and what it committed."""

import importlib
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from tests.command import ROOT

BENCHMARKS = ROOT / "benchmarks"
# The copy that the tests of the wheel run in has no results.
RESULTS = (
    Path(os.environ.get("CHECKOUT", ROOT)) / "benchmarks/results/learning_cpu.json"
)
T_2 = 4.302652729911275  # Student's 0.975 quantile at two degrees of freedom


@pytest.fixture
def learners(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("learners")


def test_the_difference_of_seeds_is_paired_and_students(learners):
    ours, peer = {0: 2.0, 1: 4.0, 2: 6.0}, {2: 3.0, 0: 1.0, 1: 2.0, 9: 100.0}
    found = learners.compared(ours, peer)  # 1, 2 and 3
    half = T_2 / math.sqrt(3)
    assert found == {
        "mean": pytest.approx(2.0),
        "low": pytest.approx(2 - half),
        "high": pytest.approx(2 + half),
    }
    alone = learners.compared({0: 1.0}, {0: 0.0})
    assert alone["mean"] == 1.0 and math.isnan(alone["low"])


def test_an_entry_compares_ours_with_the_peer_and_not_the_reverse(learners):
    setting = learners.Setting("recall", "lstm", "none", 5)
    ours = {n: learners.Trained([9.0], 0.5 + n, 0.9) for n in range(2)}
    peer = {n: learners.Trained([9.0], 0.25 + n, 0.7 + n / 10) for n in range(2)}
    entry = learners.row(setting, "accuracy", {"ours": ours, "peer": peer})
    assert entry["ours"]["1"] == {"loss": 1.5, "accuracy": 0.9}
    assert entry["difference"]["loss"]["mean"] == 0.25
    assert entry["difference"]["accuracy"]["mean"] == pytest.approx(0.15)
    assert (entry["steps"], entry["width"]) == (5, 32)
    assert "difference" not in learners.row(setting, "accuracy", {"ours": ours})


def test_the_rates_warm_up_and_fall_as_a_cosine(learners):
    setting = learners.Setting("recall", "lstm", "none", 20)
    fall = [0.5 * (1 + math.cos(math.pi * (n - 2) / 18)) for n in range(2, 20)]
    wanted = 3e-3 * np.array([0.5, 1.0, *fall])
    np.testing.assert_allclose(learners.rates(setting), wanted, rtol=1e-5)


def test_both_sides_see_the_same_batches_and_none_of_the_test(learners):
    task = "recall(length=16,pairs=2,vocabulary=16)"
    setting = learners.Setting(task, "lstm", "none", 3, batch=4, test_batches=3)
    once, again, other, test = (
        [batch.inputs for batch in learners.batches(setting, seed, split)]
        for seed, split in ((0, "train"), (0, "train"), (1, "train"), (0, "test"))
    )
    np.testing.assert_array_equal(once, again)
    for different in (other, test, once[1:] + once[:1]):
        assert not any(
            np.array_equal(one, two) for one, two in zip(once, different, strict=True)
        )


def test_the_same_mixer_learns_the_same_on_both_sides(learners):
    """With our weights in the peer every step of both is the same."""
    torch = pytest.importorskip("torch")
    theirs = importlib.import_module("torch_learners")
    setting = learners.Setting(
        "recall(length=16,pairs=2,vocabulary=16)",
        "dense(heads=4)",
        "sinusoid",
        steps=12,
        test_batches=2,
    )
    ours = learners.ours(setting, 0)
    blocks = learners.start(setting, 0)["trunk"]["groups"]["0"]["blocks"]
    mixers = []
    for layer in range(setting.layers):
        heads = blocks[str(layer)]["mixers"]["0"]["heads"]
        kernels = {name: np.asarray(heads[name]["kernel"]).T for name in heads}
        mixer = theirs.Attention(setting.width)
        joined = np.concatenate([kernels[n] for n in ("query", "key", "value")])
        with torch.no_grad():
            mixer.inner.in_proj_weight.copy_(torch.tensor(joined))
            mixer.inner.out_proj.weight.copy_(torch.tensor(kernels["out"]))
        mixers.append(mixer)
    peer = theirs.trained(setting, 0, mixers)
    np.testing.assert_allclose(ours.losses, peer.losses, rtol=2e-4)
    assert ours.losses[0] != ours.losses[-1]
    assert ours.loss == pytest.approx(peer.loss, rel=2e-4)
    assert ours.score == pytest.approx(peer.score, abs=0.03)
    # Other weights are seen.
    fresh = theirs.mixers("dense", setting.width, setting.layers)
    assert abs(theirs.trained(setting, 0, fresh).losses[-1] - ours.losses[-1]) > 1e-3


def test_what_is_committed_follows_from_its_seeds(learners):
    results = json.loads(RESULTS.read_text())
    for tasks in results["pairs"].values():
        entries = [entry for name, entry in tasks.items() if name != "peer"]
        assert entries
        for entry in entries:
            for name in ("loss", entry["score"]):
                sides = (
                    {int(seed): tested[name] for seed, tested in entry[side].items()}
                    for side in ("ours", "peer")
                )
                found = learners.compared(*sides)
                assert found == pytest.approx(entry["difference"][name], abs=1e-12)
    assert results["pairs"].keys() == {"lstm", "gru", "dense", "mamba"}
    assert results["alone"].keys() == {"hyena"}
    for entry in results["alone"].values():
        assert len(entry["ours"]) == 5 and entry["width"] == 64
    assert {"torch", "transformers"} == results["environment"]["peers"].keys()
