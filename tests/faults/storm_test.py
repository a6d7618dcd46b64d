"""Five hundred kills of runs and sweeps; a slice of them runs each time."""

import pytest

from tests.faults.trial import drive

KILLS = 10


@pytest.mark.parametrize(
    ("of", "seed"),
    [
        *(pytest.param("train", n, marks=pytest.mark.faults) for n in range(35)),
        *(pytest.param("sweep", n, marks=pytest.mark.faults) for n in range(15)),
    ],
)
def test_a_command_killed_at_any_moment_ends_with_the_same_bits(of, seed, tmp_path):
    found = drive(
        "storm",
        timeout=120 + 60 * KILLS,
        folder=str(tmp_path),
        kills=KILLS,
        seed=seed,
        of=of,
    )
    assert found["problems"] == []
    assert found["landed"] >= KILLS and found["early"] > 0
