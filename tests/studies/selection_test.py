"""The cells that the flags of a sweep select."""

import pytest

from attn_research.config import Config, Train
from attn_research.options import BadInput
from attn_research.studies import selection
from attn_research.studies.study import Study, cells


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
        ("width", "it must be FIELD=VALUE"),
        ("=3", "it must be FIELD=VALUE"),
        ("a=", "it must be FIELD=VALUE"),
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
    with pytest.raises(BadInput, match="it must be i/n"):
        selection.share(text)


def test_shares_cover_every_cell_once():
    numbers = list(range(10))
    parts = [numbers[selection.share(f"{i}/3")] for i in (1, 2, 3)]
    assert sorted(sum(parts, [])) == numbers and numbers[selection.share(None)]


def test_changes_of_a_study():
    base = Study("n", "q", "c", Config(train=Train(steps=3)), {"model.width": [8]})
    changed = selection.apply_flags(
        base, ["model.width=16,32", "task.length=64"], {"lr": "1e-2,1e-3", "seed": None}
    )
    assert changed.axes == {"model.width": ["16", "32"], "task.length": ["64"]}
    assert changed.population.lr == (1e-2, 1e-3) and changed.population.seed == (0,)
    with pytest.raises(BadInput, match="twice"):
        selection.apply_flags(base, ["a=1", "a=2"], {})
    with pytest.raises(BadInput, match="lr is"):
        selection.apply_flags(base, [], {"lr": "-1"})
    with pytest.raises(BadInput, match="did you mean 'model.width'"):
        cells(selection.apply_flags(base, ["model.widht=3"], {}))


def test_experiments_are_found_by_name(tmp_path):
    folder = tmp_path / "questions"
    folder.mkdir()
    (folder / "why.py").write_text(
        "from attn_research.studies.study import Study\n"
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
