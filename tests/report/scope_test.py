"""The scope of a verdict, in words."""

from attn_research.report.scope import scope


def row(**changed):
    made = {"parameters": 1_250_000, "model.width": 64, "model.layers": 1, "seed": 0}
    return {**made, "task.length": 4096, "train.steps": 2400, "lr": 1e-3, **changed}


def test_it_has_sizes_ranges_and_devices():
    one = scope([row()], [{"device": "cpu"}])
    assert one == (
        "1.2 M parameters, width 64, 1 layer, length 4,096, 2,400 steps, 1 seed, "
        "1 rate, cpu"
    )
    small = row(parameters=700, seed=1, lr=3e-3)
    two = scope([row(), small], [{"device": "cpu"}, {"device": "NVIDIA H200"}])
    assert two.startswith("700 to 1.2 M parameters, width 64")
    assert two.endswith("2 seeds, 2 rates, NVIDIA H200, cpu")


def test_what_is_unknown_is_left_out():
    assert scope([], []) == ""
    assert scope([row(parameters=None) | {"task.length": "x"}], []) == (
        "width 64, 1 layer, 2,400 steps, 1 seed, 1 rate"
    )
