"""One dial for the size of a model and its training; what is given goes first."""

import re

import pytest

import attn_research as ar
from attn_research.config import Config, Population, edit
from attn_research.modules import pattern
from attn_research.options import BadInput
from attn_research.studies import scale
from attn_research.studies.study import Study, variant
from tests.command import command


def test_the_table_in_the_docstring_is_the_rule():
    rows = re.findall(r"^    (\w+) +(\d+) +(\d+) +(\d+) +(\d+) +([\d,]+) +([\d.]+)$",
                      str(scale.__doc__), re.M)  # fmt: skip
    assert tuple(row[0] for row in rows) == scale.NAMES
    for name, *numbers in rows:
        *whole, rate = (float(number.replace(",", "")) for number in numbers)
        width, layers, heads, batch, steps = map(int, whole)
        assert scale.scale(name) == (width, layers, heads, batch, steps, rate)
        assert width == 32 * heads


def test_an_unknown_scale_names_the_known_ones():
    with pytest.raises(BadInput, match="'smal'.*small"):
        scale.scale("smal")


def test_a_config_takes_a_scale_but_for_what_is_given():
    small = scale.scale("small")
    one = scale.config(Config(), small, {"train.steps"})
    assert (one.model.width, one.model.layers, one.train.batch) == (256, 8, 256)
    assert one.train.steps == Config().train.steps
    assert one.model.pattern == "dense(heads=8)"
    lr = scale.population(Population(seed=(0, 1)), small)
    assert lr == Population(seed=(0, 1), lr=(0.001,))
    kept = Population(lr=(1.0,))
    assert scale.population(kept, small, {"lr"}) == kept


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("dense", "dense(heads=8)"),
        ("conv,linear(heads=1)", "conv,linear(heads=1)"),
        ("lstm+window(window=8)|mamba", "lstm+window(window=8,heads=8)|mamba"),
        ("slstm,gru", "slstm(heads=8),gru"),  # a GRU has one state
    ],
)
def test_heads_are_those_of_mixers_that_have_several(given, wanted):
    got = scale.headed(given, 8)
    assert pattern.layers(got) == pattern.layers(wanted)


def test_python_has_the_dial_of_the_flag():
    config, population = ar.scaled(Config(), Population(seed=(0, 1)), "nano")
    nano = scale.scale("nano")
    assert config == scale.config(Config(), nano)
    assert population == Population(seed=(0, 1), lr=(nano.lr,))
    with pytest.raises(BadInput, match="Unknown scale 'nani'.*did you mean 'nano'"):
        ar.scaled(config, population, "nani")


def test_a_study_keeps_its_axes():
    axes = {"model.pattern": ["dense", "conv"], "model.width": [16, 32]}
    base = edit(Config(), {"train.eval_every": 50})
    one = variant(Study("s", "?", ".", base, axes), population=Population(lr=(0.1,)))
    two = scale.study(one, scale.scale("tiny"))
    assert two.axes["model.width"] == [16, 32]
    assert two.axes["model.pattern"] == ["dense(heads=4)", "conv"]
    assert two.base.model.width == base.model.width and two.base.train.steps == 1000
    assert two.base.train.eval_every == 50 and two.population.lr == (0.00141,)
    assert scale.study(one, scale.scale("tiny"), {"lr"}).population == one.population


def test_expectations_know_mixers_by_the_names_of_their_study():
    one = Study("s", "?", ".", Config(), {"model.pattern": ["dense", "conv,linear"]})
    for name in scale.NAMES:
        scaled = scale.study(one, scale.scale(name))
        rows = [
            {"mixer": pattern.brief(text), "member": n}
            for n, text in enumerate(scaled.axes["model.pattern"])
        ]
        assert len({row["mixer"] for row in rows} - {"dense", "conv,linear"}) == (
            0 if name == "tiny" else 2  # whose heads are those of the mixers
        )
        named = scale.as_named(one, rows)
        assert [row["mixer"] for row in named] == ["dense", "conv,linear"]
        assert [row["member"] for row in named] == [0, 1]
    # What the study itself calls so, and what it does not know, stay.
    both = Study("s", "?", ".", axes={"model.pattern": ["dense", "dense(heads=8)"]})
    rows = [{"mixer": mixer} for mixer in ("dense(heads=8)", "dense(heads=3)", "lstm")]
    assert scale.as_named(both, rows) == rows


def test_a_dry_run_says_what_the_scale_sets():
    done = command(
        "sweep",
        "--experiment=recall_distance",
        "--scale=nano",
        "--seed=0,1",
        "--set",
        "train.batch=8",
        "--dry_run",
    )
    assert done.code == 0, done.err
    assert done.out.startswith("--scale=nano: width 64, 2 layers, 2 heads")
    assert '"batch": 8' in done.out and '"steps": 500' in done.out
    assert "dense(heads=2,positions=rope)" in done.out
