"""Typed options, specs, dotted names: what is refused and what survives a trip."""

import json
from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_research import config, options
from attn_research.config import Config, Population, content_hash, edit, flatten
from attn_research.options import BadInput, build, declared, option
from attn_research.options.specs import choose, parse, spell, split


@dataclass(frozen=True)
class Kinds:
    count: int = option(1, "", low=1)
    rate: float = option(0.5, "", above=0, below=1)
    on: bool = option(True, "")
    mode: Literal["fast", "slow"] = option("fast", "")
    sizes: tuple[int, ...] = option((1, 2), "", low=0)
    maybe: int | None = option(None, "")
    text: str = option("x", "")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"count": "0"}, "kinds.count is 0; it must be at least 1"),
        ({"count": "1.5"}, "kinds.count is '1.5'; it must be a whole number"),
        ({"rate": "1"}, "kinds.rate is 1.0; it must be less than 1"),
        ({"rate": "0"}, "kinds.rate is 0.0; it must be more than 0"),
        ({"rate": "nan"}, "it must be a finite number"),
        ({"rate": "inf"}, "it must be a finite number"),
        ({"rate": "-1e-3"}, "it must be more than 0"),
        ({"on": "yes"}, "it must be true or false"),
        ({"mode": "fats"}, "it must be one of fast, slow; did you mean 'fast'?"),
        ({"sizes": "1,,2"}, "it must be a list such as 1,2,3"),
        ({"sizes": "1,-2"}, "it must be at least 0"),
        ({"cuont": "1"}, "did you mean 'count'?"),
    ],
)
def test_a_bad_value_is_one_sentence(given, sentence):
    with pytest.raises(BadInput) as caught:
        build(Kinds, given, "kinds")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_spec_survives_being_spelled():
    kinds = Kinds(3, 0.25, False, "slow", (4, 5), 7, "a path, (odd) = value")
    assert choose(spell("kinds", kinds), {"kinds": Kinds}, "kind") == kinds
    assert choose("kinds", {"kinds": Kinds}, "kind") == Kinds()


@given(st.text(st.characters(exclude_characters='"', exclude_categories=["Cs"])))
def test_any_text_without_quotes_survives_a_spec(text):
    text = text.strip() or "x"
    assert parse(spell("name", {"text": text})) == ("name", {"text": text})


def test_a_pattern_splits_outside_brackets():
    assert split('conv(width=4),dense(heads=2,groups=1),"a,b"') == [
        "conv(width=4)",
        "dense(heads=2,groups=1)",
        '"a,b"',
    ]


@pytest.mark.parametrize(
    "spec", ["", "a(", "a(b)", "a(b=)", "a(b=1,b=2)", "a)b(", 'a(b="x)']
)
def test_a_broken_spec_is_refused(spec):
    with pytest.raises(BadInput):
        for part in split(spec):
            parse(part)


def test_an_unknown_name_lists_the_known():
    with pytest.raises(BadInput, match=r"Unknown mixer 'dens' \(known: conv, dense\)"):
        choose("dens", {"dense": Kinds, "conv": Kinds}, "mixer")


def test_dotted_changes():
    changed = edit(Config(), {"model.width": "32", "task.length": 128})
    assert changed.model.width == 32
    assert flatten(changed)["task.length"] == "128"
    assert flatten(changed)["task"] == "recall"


@pytest.mark.parametrize(
    "name", ["model.widht", "modle.width", "model", "model.width.x", "train.", ""]
)
def test_an_unknown_dotted_name_is_refused(name):
    with pytest.raises(BadInput):
        edit(Config(), {name: 3})


def test_json_round_trip_and_hash():
    changed = edit(Config(), {"model.dropout": 0.1, "task.pairs": 4})
    again = build(Config, json.loads(json.dumps(config.to_dict(changed))), "config")
    assert again == changed
    assert content_hash(again) == content_hash(changed)
    assert content_hash(changed) != content_hash(Config())
    assert content_hash(Config(), Population()) != content_hash(
        Config(), Population(lr=(1e-2,))
    )


def test_every_option_has_help():
    for cls in (Config, config.Model, config.Train, Population):
        for name, field, _ in options.leaves(cls):
            assert field.metadata["help"].endswith("."), name


@declared
class Grown:
    """A class that got a field after the first ones were written down."""

    old: int = option(1, "First.")
    new: int = option(2, "Later.", later=True)


def test_a_later_field_at_its_default_changes_no_name():
    assert spell("grown", Grown()) == "grown(old=1)"
    assert spell("grown", Grown(new=3)) == "grown(old=1,new=3)"
    assert content_hash(Grown()) == content_hash({"old": 1})
    assert content_hash(Grown(new=3)) != content_hash(Grown())
    assert build(Grown, {"old": "1"}, "grown") == Grown()
