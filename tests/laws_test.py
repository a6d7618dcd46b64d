"""Every law for every mixer, both ways; and for each law, mixers that it rejects."""

import dataclasses
from typing import Any

import hypothesis
import jax
import numpy as np
import pytest
from flax import nnx
from hypothesis import strategies

from attn_research.modules import MIXERS
from attn_research.modules.contract import both_ways_only
from attn_research.options import BadInput
from attn_research.pure import functional
from attn_research.testing.laws import LAWS
from attn_research.testing.laws.case import Case, inputs
from attn_research.testing.laws.drawn import law_drawn, values
from attn_research.testing.mixers import case
from tests.broken_mixers import BROKEN
from tests.broken_parts import FAULTY_OPTION
from tests.law_tables import ONE_EACH, QUICK, SLOW_VARIANTS, VARIANTS


def cases():
    """Every law for every mixer both ways and for variants; slow if not in `QUICK`."""
    for spec in (*MIXERS, *VARIANTS, *SLOW_VARIANTS):
        mixer = MIXERS[spec.partition("(")[0]]
        first, *second = (False,) if both_ways_only(mixer) else (True, False)
        for causal in (first, *second):
            one = case(spec, causal)
            for law in LAWS:
                quick = QUICK[law].mixers if causal is first else QUICK[law].both_ways
                marks = () if spec in quick else pytest.mark.slow
                yield pytest.param(one, law, id=f"{law}-{one}", marks=marks)


@pytest.mark.parametrize("case, law", list(cases()))
def test_law(case, law):
    LAWS[law](case)


def options(table: Any) -> strategies.SearchStrategy[Any]:
    """Instances of a table of options, which shrink towards its defaults.

    Options that do not fit together are not drawn.
    """
    fields = {
        name: strategies.just(choice[0]) | strategies.sampled_from(choice)
        for name, choice in values(table).items()
    }

    def made(given: dict[str, Any]) -> Any:
        try:
            return table(**given)
        except BadInput:
            hypothesis.reject()

    return strategies.fixed_dictionaries(fields).map(made)


def drawn(name: str, examples: int, shrink: bool = False) -> None:
    """`law_drawn` for that many options of a mixer, the same on every run.

    The first are the defaults. To `shrink` a fault takes minutes.
    """
    mixer = MIXERS[name]
    one = case(name, not both_ways_only(mixer))
    phases = [hypothesis.Phase.generate, *([hypothesis.Phase.shrink] if shrink else [])]

    @hypothesis.seed(0)
    @hypothesis.settings(
        max_examples=examples,
        phases=phases,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(options(mixer.Options))
    def law(drawn):
        try:
            law_drawn(dataclasses.replace(one, options=drawn))
        except BadInput:
            hypothesis.reject()

    law()


@pytest.mark.parametrize("name", ONE_EACH)
def test_options_drawn_from_the_table_of_a_mixer(name):
    drawn(name, examples=2)


@pytest.mark.slow
@pytest.mark.parametrize("name", MIXERS)
def test_many_options_drawn_from_the_table_of_a_mixer(name):
    drawn(name, examples=30, shrink=True)


def test_a_fault_of_one_option_is_drawn(monkeypatch):
    monkeypatch.setitem(MIXERS, "dense", FAULTY_OPTION)
    with pytest.raises(AssertionError, match="token by token"):
        drawn("dense", examples=20)


@pytest.mark.slow
def test_a_fault_of_one_option_is_shrunk_to_it(monkeypatch):
    monkeypatch.setitem(MIXERS, "dense", FAULTY_OPTION)
    with pytest.raises(AssertionError, match="token by token") as caught:
        drawn("dense", examples=20, shrink=True)
    told = "".join(caught.value.__notes__)
    assert "qk_norm=True" in told and "heads=4" in told


@pytest.mark.parametrize("bug", BROKEN)
def test_the_law_rejects(bug):
    law, case = BROKEN[bug]
    # A module that holds more than parameters is refused before it can be wrong.
    refused = ValueError if law in ("functional", "bridge") else AssertionError
    with pytest.raises(refused):
        LAWS[law](case)


def test_every_law_can_fail():
    assert {law for law, _ in BROKEN.values()} == set(LAWS)


class Stack(nnx.Module):
    """Twelve layers, whose numbers sort as 0, 1, 10, 11, 2, ... as strings."""

    def __init__(self, *, rngs: nnx.Rngs):
        one = Case(MIXERS["conv"], MIXERS["conv"].Options(), True)
        self.layers = nnx.List(one.build(rngs) for _ in range(12))

    def __call__(self, x_BTD):
        for layer in self.layers:
            x_BTD = x_BTD + layer(x_BTD)
        return x_BTD


def test_twelve_layers_are_bound_by_name_not_by_position():
    model = functional(Stack)
    params = model.init(jax.random.key(0))
    x_BTD = inputs()[0]
    want = model.bind(params)(x_BTD)
    shuffled = {"layers": {k: params["layers"][k] for k in sorted(params["layers"])}}
    assert list(shuffled["layers"])[2] == "10"
    np.testing.assert_array_equal(model.bind(shuffled)(x_BTD), want)
    swapped = dict(params["layers"], **{"2": params["layers"]["10"]})
    assert (model.bind({"layers": swapped})(x_BTD) != want).any()
    with pytest.raises(ValueError, match="missing"):
        model.bind({"layers": {k: v for k, v in swapped.items() if k != "11"}})
