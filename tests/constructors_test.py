"""What Python code builds wrongly is refused in one sentence, as flags are."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from attn_research import loop, tasks
from attn_research.config import Config, Model, Population, Start, Train, edit
from attn_research.modules import MIXERS
from attn_research.modules.contract import both_ways_only
from attn_research.modules.models import build
from attn_research.modules.sizes import Sizes
from attn_research.options import BadInput, leaves
from attn_research.tasks import TASKS

WIDTH, LENGTH = 8, 16
VALUES = (
    None, "", "zzz", "none", -1, 0, 1, 3, 10**9, 10**12, 2**31 - 1, 0.5, -0.5, 1e300,
    math.nan, math.inf, True, (), (0,), (1, 2), ("a",), [1], {}, object(),
)  # fmt: skip
SIZES = [("width", v) for v in (0, -1, 1.5, "8", None, True, 2**31, 10**12)]
SIZES += [("length", v) for v in (0, -1, 1.5, "8", None, True, 2**31, 10**12)]
SIZES += [("causal", v) for v in (None, "yes", 2, 1)]


def built(name: str, options: object, **sizes: object) -> None:
    """Builds a mixer's shapes; nothing is allocated."""
    mixer = MIXERS[name]
    causal = not both_ways_only(mixer)
    given = {"width": WIDTH, "length": LENGTH, "causal": causal, **sizes}
    jax.eval_shape(lambda: nnx.state(mixer(options, **given, rngs=nnx.Rngs(0))))


def refused(call, *given, **named) -> str | None:
    """The sentence that refuses a call, None if it is right; no other error."""
    try:
        call(*given, **named)
    except BadInput as error:
        assert len(str(error).splitlines()) == 1 and len(str(error)) < 400
        return str(error)
    return None


@pytest.mark.parametrize("name", MIXERS)
def test_a_mixer_checks_its_sizes(name):
    options = MIXERS[name].Options()
    built(name, options)
    for size, value in SIZES:
        assert "must" in str(refused(built, name, options, **{size: value}))
    for wrong in (None, {}, "dense", MIXERS[name].Options):
        assert "must" in str(refused(built, name, wrong))


CLASSES = {
    **{f"mixer {name}": mixer.Options for name, mixer in MIXERS.items()},
    **{cls.__name__: cls for cls in (Model, Train, Start, Population)},
    **{f"task {name}": cls for name, cls in TASKS.items()},
}


@pytest.mark.parametrize("name", CLASSES)
def test_every_option_is_checked_as_its_flag_is(name):
    """Of the wrong type, outside its bounds: refused; what is right can be built."""
    cls, wrong = CLASSES[name], 0
    for field, declared, kind in leaves(cls):
        for value in VALUES:
            wrong += refused(cls, **{field: value}) is not None
        assert refused(cls, **{field: object()}), field
        low = declared.metadata.get("low")
        if low is not None and kind in (int, float):
            assert "at least" in str(refused(cls, **{field: low - 1})), field
    assert wrong or not [*leaves(cls)]


@pytest.mark.parametrize("name", MIXERS)
def test_a_mixer_of_any_size_is_planned_without_taking_it(name):
    """Its shapes at the largest value of each option, within seconds, or a sentence."""
    cls = MIXERS[name].Options
    for field, declared, kind in leaves(cls):
        if kind is int:
            most = declared.metadata.get("high") or 10**9
            refused(built, name, cls(**{field: int(most)}))


def test_a_config_holds_groups_of_its_own():
    for field in dataclasses.fields(Config):
        if field.name != "task":
            assert "must be" in str(refused(Config, **{field.name: "wide"}))
            assert "must be" in str(refused(Config, **{field.name: None}))


def test_a_model_checks_its_sizes_and_its_inputs():
    good = Sizes(inputs="tokens", features=16, outputs=16, length=8, causal=True)
    small = Model(pattern="conv", layers=1, width=4)
    model = build(small, good)
    params = model.init(jax.random.key(0))
    assert model.apply(params, jnp.zeros((2, 8), jnp.int32)).shape == (2, 8, 16)
    for name, value in (
        ("inputs", "words"), ("features", 0), ("features", -1), ("outputs", 0),
        ("outputs", 1.5), ("length", 0), ("length", None), ("source_features", -1),
    ):  # fmt: skip
        assert "must be" in str(refused(build, small, good._replace(**{name: value})))
    assert "must be a Sizes" in str(refused(build, small, None))
    assert "must be a Model" in str(refused(build, None, good))
    for shape in ((8,), (2, 8, 3), (0, 8), (2, 0)):
        tokens = jnp.zeros(shape, jnp.int32)
        assert "it must be BT" in str(refused(model.apply, params, tokens))
    segments = jnp.ones((2, 7), jnp.int32)
    said = refused(model.apply, params, jnp.zeros((2, 8), jnp.int32), segments)
    assert "one for each position" in str(said)
    real = build(small, good._replace(inputs="values", features=3))
    params = real.init(jax.random.key(0))
    assert real.apply(params, jnp.zeros((2, 8, 3))).shape == (2, 8, 16)
    for shape in ((2, 8), (2, 8, 4), (2, 0, 3)):
        said = refused(real.apply, params, jnp.zeros(shape))
        assert "it must be BTF with F = 3" in str(said)


def test_a_run_is_given_what_it_needs(tmp_path):
    small, everyone = Config(), Population()
    (tmp_path / "file").touch()
    assert "must be a Config" in str(refused(loop.run, "x", everyone, tmp_path))
    assert "must be a Population" in str(refused(loop.run, small, 3, tmp_path))
    said = refused(loop.run, small, everyone, tmp_path / "file")
    assert "must be a directory" in str(said)
    for spec in (3, None, "", "recall("):
        assert "is not a spec" in str(refused(tasks.make, spec))
    assert "dotted name" in str(refused(edit, small, {3: 3}))
