"""Which cells a sweep runs, and what of the machine each is given."""

import os
from pathlib import Path

import pytest

from attn_research.config import Config, Train
from attn_research.launch import cell, selection, slots
from attn_research.options import BadInput
from attn_research.study import Study, cells


@pytest.mark.parametrize("workers", [1, 2, 3, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 8])
def test_every_core_is_used_and_none_twice(workers, count):
    found = slots.divide(workers, list(range(count)), [])
    used = [core for slot in found for core in slot.cores]
    assert len(found) == workers and set(used) == set(range(count))
    if workers <= count:
        assert len(used) == count
        sizes = [len(slot.cores) for slot in found]
        assert max(sizes) - min(sizes) <= 1


def test_gpus_are_divided_and_never_shared():
    found = slots.divide(2, [0, 1], ["0", "1", "2"])
    assert [slot.gpus for slot in found] == [("0", "1"), ("2",)]
    with pytest.raises(BadInput, match="3 GPUs"):
        slots.divide(4, [0, 1], ["0", "1", "2"])
    with pytest.raises(BadInput, match="at least 1"):
        slots.divide(0, [0], [])
    assert slots.gpus({"CUDA_VISIBLE_DEVICES": "3,5"}) == ["3", "5"]
    assert slots.gpus({"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "3"}) == []


def test_the_environment_of_a_cell():
    slot = slots.Slot((4, 5, 6), None)
    chosen = slots.environment(slot, 2, {"XLA_FLAGS": "--a=1"})
    assert chosen["NPROC"] == "3"
    assert chosen["XLA_FLAGS"] == f"--a=1 {slots.DEVICES}=2"  # no more than members
    kept = {"NPROC": "9", "XLA_FLAGS": f"{slots.DEVICES}=7"}
    again = slots.environment(slot, 2, kept)
    assert {name: again[name] for name in kept} == kept
    on_gpu = slots.environment(slots.Slot((0,), ("1", "2")), 2, {})
    assert on_gpu["CUDA_VISIBLE_DEVICES"] == "1,2" and "XLA_FLAGS" not in on_gpu
    package = Path(cell.__file__).parents[2]
    assert on_gpu["PYTHONPATH"].split(os.pathsep)[0] == str(package)


# --- what a sweep is asked for -------------------------------------------------------


def test_axes_are_read_with_quotes_and_brackets():
    assert selection.axis("a.b=1,2") == ("a.b", ["1", "2"])
    assert selection.axis('p=dense,"conv,dense"') == ("p", ["dense", "conv,dense"])
    assert selection.axis("task=copying(lag=3,x=1),recall")[1] == [
        "copying(lag=3,x=1)",
        "recall",
    ]


@pytest.mark.parametrize(
    "text, words",
    [
        ("width", "write FIELD=VALUE"),
        ("=3", "write FIELD=VALUE"),
        ("a=", "write FIELD=VALUE"),
        ("a=1,,2", "empty"),
        ('a="x', "unbalanced"),
        ("a=f(1", "unbalanced"),
        ("lr=1e-3", "--lr=1e-3"),
    ],
)
def test_bad_axes(text, words):
    with pytest.raises(BadInput, match=words):
        selection.axis(text)


@pytest.mark.parametrize("text", ["5/4", "0/4", "1", "a/b", "1/0", "-1/2", "1/2/3", ""])
def test_bad_shares(text):
    with pytest.raises(BadInput, match="write i/n"):
        selection.share(text)


def test_shares_cover_every_cell_once():
    numbers = list(range(10))
    parts = [numbers[selection.share(f"{i}/3")] for i in (1, 2, 3)]
    assert sorted(sum(parts, [])) == numbers and numbers[selection.share(None)]


def test_changes_of_a_study():
    base = Study("n", "q", "c", Config(train=Train(steps=3)), {"model.width": [8]})
    changed = selection.changed(
        base, ["model.width=16,32", "task.length=64"], {"lr": "1e-2,1e-3", "seed": None}
    )
    assert changed.axes == {"model.width": ["16", "32"], "task.length": ["64"]}
    assert changed.population.lr == (1e-2, 1e-3) and changed.population.seed == (0,)
    with pytest.raises(BadInput, match="twice"):
        selection.changed(base, ["a=1", "a=2"], {})
    with pytest.raises(BadInput, match="lr is"):
        selection.changed(base, [], {"lr": "-1"})
    with pytest.raises(BadInput, match="did you mean 'model.width'"):
        cells(selection.changed(base, ["model.widht=3"], {}))


def test_experiments_are_found_by_name(tmp_path):
    folder = tmp_path / "questions"
    folder.mkdir()
    (folder / "why.py").write_text(
        "from attn_research.study import Study\n"
        "STUDIES = {'quick': Study('a', 'b', 'c')}\n"
    )
    assert selection.experiment(folder, "why", "quick").name == "a"
    for name, size, words in (
        ("whi", "quick", "did you mean 'why'"),
        (None, "quick", "known: why"),
        ("why", "huge", "known: quick"),
        ("../why", "quick", "Unknown experiment"),
    ):
        with pytest.raises(BadInput, match=words):
            selection.experiment(folder, name, size)
