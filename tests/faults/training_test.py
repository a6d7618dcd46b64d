"""Training killed again and again ends with the bits of training left alone."""

import pytest

from tests.faults.trial import drive

QUICK = ["lstm", "conv"]
LONG = ["dense", "window", "linear", "lstm", "conv", "gru,dense"]


@pytest.mark.parametrize(
    "patterns, kills",
    [(QUICK, 3), pytest.param(LONG, 30, marks=pytest.mark.faults)],
    ids=["quick", "long"],
)
def test_killed_training_has_the_bits_of_training_left_alone(tmp_path, patterns, kills):
    count = len(patterns) * kills
    found = drive(
        "training",
        timeout=200 * len(patterns) + 30 * count,
        directory=str(tmp_path),
        patterns=patterns,
        kills=kills,
        seed=10,
    )
    assert found["problems"] == []
    assert found["landed"] >= count - len(patterns)
    assert max(found["resumed"]) > 3, "no kill came after a checkpoint"
