"""Mixers, models and tasks as `import attn_research as ar` builds them."""

import pydoc
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import attn_research as ar
from attn_research.config import Model
from attn_research.modules import models, pattern
from attn_research.modules.contract import both_ways_only
from attn_research.modules.models import LM, Encoder
from attn_research.modules.seq2seq import EncoderDecoder
from attn_research.options import leaves
from attn_research.training import program

D, B, T = 8, 2, 12
SIZED = {"baseconv", "hyena", "reformer", "linformer"}  # by the length


def refused(call, *given, **named) -> str:
    with pytest.raises(ar.BadInput) as caught:
        call(*given, **named)
    said = str(caught.value)
    assert len(said.splitlines()) == 1 and len(said) < 800
    return said


def abstract(spec: str, **sizes):
    """A mixer from the door whose parameters are shapes."""
    name = spec.partition("(")[0]
    causal = not both_ways_only(ar.MIXERS[name])
    given = {"width": D, "causal": causal, **sizes}
    return nnx.eval_shape(lambda: ar.mixer(spec, **given, rngs=nnx.Rngs(0)))


def drawn(spec: str = "conv", **sizes):
    return ar.mixer(spec, **{"width": D, "causal": True, **sizes}, rngs=nnx.Rngs(0))


# --- the door itself -----------------------------------------------------------------


def test_every_name_is_there_and_none_costs_an_import():
    code = (
        "import sys, attn_research as ar\n"
        "assert set(ar.__all__) <= set(dir(ar))\n"
        "print([n for n in ('jax', 'flax', 'numpy', 'orbax') if n in sys.modules])\n"
        "for name in ar.__all__: getattr(ar, name)\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "[]"
    with pytest.raises(AttributeError, match="no attribute 'mixxer'"):
        _ = ar.mixxer


def test_names_stay_what_they_are_after_every_module_is_imported():
    code = (
        "import importlib, pkgutil, attn_research as ar\n"
        "for one in pkgutil.walk_packages(ar.__path__, 'attn_research.'):\n"
        "    importlib.import_module(one.name)\n"
        "print(*[type(getattr(ar, name)).__name__ for name in\n"
        "  'functional train load mixer model task segments'.split()])\n"
        "print(ar.ops.attention.__name__, ar.analysis.mixing_matrix.__name__)\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    first, second = out.stdout.splitlines()
    assert first.split() == ["function"] * 7 and second == "attention mixing_matrix"


def test_a_mixer_reads_arrays_alone():
    mixer, x_BTD = drawn(), jnp.zeros((B, T, D))
    for given, words in (
        ((x_BTD.tolist(),), "list is given as input of "),
        ((None,), "NoneType is given as input of "),
        ((x_BTD, "a"), "str is given as segments of "),
        ((x_BTD, [[1] * T] * B), "list is given as segments of "),
    ):
        assert words in refused(mixer, *given)
    for size in ("width", "length"):
        said = refused(drawn, "dense", **{size: np.array([32])})
        assert said.endswith("it must be a whole number from 1 to 2147483647")


# --- mixers --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ar.MIXERS)
def test_a_mixer_asks_for_the_length_only_if_it_is_sized_by_it(name):
    if name in SIZED:
        assert "length must be given" in refused(abstract, name)
    else:
        one, other = abstract(name), abstract(name, length=777)
        assert nnx.split(one)[0] == nnx.split(other)[0]
    assert abstract(name, length=T).causal is not both_ways_only(ar.MIXERS[name])


def test_options_decide_whether_the_length_is_needed():
    for spec in ("reformer(buckets=4)", "baseconv(filter=short)", "dense|conv",
                 "dense(positions=rope)", "window(window=4)",
                 "dense(positions=rope,scaling=yarn,original=64)"):  # fmt: skip
        drawn(spec)
    for spec in ("dense(positions=learned)", "window(positions=learned)",
                 "dense(positions=rope,scaling=yarn)", "conv|hyena"):  # fmt: skip
        assert "length must be given" in refused(drawn, spec)
        drawn(spec, length=T)


def test_a_mixer_is_the_one_that_its_class_builds():
    kind = ar.MIXERS["gated_delta"]
    one = kind(kind.Options(heads=4), width=D, causal=True, length=T, rngs=nnx.Rngs(3))
    other = ar.mixer("gated_delta(heads=4)", width=D, causal=True, rngs=nnx.Rngs(3))
    x_BTD = jax.random.normal(jax.random.key(0), (B, T, D))
    np.testing.assert_array_equal(one(x_BTD), other(x_BTD))
    both = drawn("conv|linear")
    assert both(x_BTD).shape == (B, T, D)


@pytest.mark.parametrize(
    "spec, sizes, words",
    [
        ("gated_detla", {}, "did you mean 'gated_delta'"),
        ("delta(head=2)", {}, "did you mean 'heads'"),
        ("delta(heads=0)", {}, "must be at least 1"),
        ("delta(heads=x)", {}, "must be a whole number"),
        ("delta(gate=silo)", {}, "did you mean 'silu'"),
        ("delta(heads=3)", {}, "must"),
        ("delta(", {}, "has an unbalanced bracket"),
        ("conv,dense", {}, "must be one mixer"),
        ("conv+dense", {}, "must be one mixer"),
        ("conv", {"width": 0}, "must be a whole number from 1"),
        ("conv", {"width": 2.5}, "must be a whole number from 1"),
        ("conv", {"length": 0}, "must be a whole number from 1"),
        ("conv", {"causal": "yes"}, "must be True or False"),
        ("linformer", {"length": T}, "causal"),
    ],
)
def test_what_a_mixer_cannot_be_is_said_as_for_a_flag(spec, sizes, words):
    assert words in refused(drawn, spec, **sizes)
    if not sizes and "must be one mixer" not in words and "heads=3" not in spec:
        assert refused(drawn, spec) == refused(pattern.resolve, spec)


def test_a_mixer_needs_random_numbers():
    given = {"width": D, "causal": True}
    assert "must be flax.nnx.Rngs" in refused(ar.mixer, "conv", **given, rngs=0)
    assert "must be flax.nnx.Rngs" in refused(
        ar.model, "conv", vocabulary=4, length=4, rngs=None
    )


@pytest.mark.parametrize("name", ar.MIXERS)
def test_every_mixer_checks_what_it_reads(name):
    causal, x_BTD = not both_ways_only(ar.MIXERS[name]), jnp.ones((B, T, D))

    def call(*given):
        return jax.eval_shape(lambda: drawn(name, causal=causal, length=T)(*given))

    for shape in ((T, D), (B, T, D, 1), (B, T, D + 1)):
        assert "it must be BTD with D = 8" in refused(call, jnp.ones(shape))
    assert "must be of real numbers" in refused(call, x_BTD.astype(jnp.int32))
    mask_BT = jnp.ones((B, T), bool)
    assert "attn_research.segments" in refused(call, x_BTD, mask_BT)
    assert "must be whole numbers" in refused(call, x_BTD, jnp.ones((B, T)))
    for shape in ((T,), (B, T + 1), (1, T), (B, T, 1)):
        ids = jnp.ones(shape, jnp.int32)
        assert "a number for each position" in refused(call, x_BTD, ids)
    assert call(x_BTD, ar.segments(mask_BT)).shape == (B, T, D)

    def step(x):
        def first():
            mixer = drawn(name, length=T)
            return mixer.step(x, mixer.start(B, T))

        return jax.eval_shape(first)

    if causal:
        for shape in ((D,), (B, D + 1), (B, 1, D)):
            assert "it must be BD with D = 8" in refused(step, jnp.ones(shape))
        assert step(jnp.ones((B, D)))[0].shape == (B, D)


# --- models and tasks ----------------------------------------------------------------


def test_a_model_of_a_task_is_the_one_that_flags_describe():
    task = ar.task("recall(length=16,pairs=2,vocabulary=16)")
    given = {"width": D, "layers": 2, "mlp": "gelu"}
    tokens_BT = jnp.ones((B, 16), jnp.int32)
    built = models.build(Model(pattern="conv,linear", **given), program.sizes(task))
    want = built.apply(built.init(jax.random.key(5)), tokens_BT)
    rngs = nnx.Rngs(jax.random.key(5))
    model = ar.model("conv,linear", task=task, **given, rngs=rngs)
    assert isinstance(model, LM)
    np.testing.assert_array_equal(model(tokens_BT), want)
    pure = ar.functional(
        lambda rngs: ar.model("conv,linear", task=task, **given, rngs=rngs)
    )
    params = pure.init(jax.random.key(5))
    np.testing.assert_array_equal(pure.apply(params, tokens_BT), want)
    batch = task.batch(jax.random.key(0), "train", B)
    assert model(batch.inputs, batch.segments).shape == (B, 16, task.spec.outputs)


def test_a_model_has_sizes_of_its_own():
    def shape(inputs, **given):
        def build():
            return ar.model("conv", width=D, layers=1, **given, rngs=nnx.Rngs(0))

        out = jax.eval_shape(lambda: build()(inputs))
        return type(nnx.eval_shape(build)), out.shape

    tokens_BT, values_BTF = jnp.ones((B, T), jnp.int32), jnp.ones((B, T, 3))
    of = {"vocabulary": 9, "length": T}
    assert shape(tokens_BT, **of) == (LM, (B, T, 9))
    assert shape(tokens_BT, **of, outputs=4) == (LM, (B, T, 4))
    assert shape(tokens_BT, **of, causal=False) == (LM, (B, T, 9))
    assert shape(tokens_BT, **of, outputs=2, pooled=True) == (Encoder, (B, 2))
    of = {"channels": 3, "length": T, "outputs": 5}
    assert shape(values_BTF, **of) == (LM, (B, T, 5))
    assert shape(values_BTF, **of, pooled=True) == (Encoder, (B, 5))
    both = nnx.eval_shape(
        lambda: ar.model("conv", task="translation", width=D, rngs=nnx.Rngs(0))
    )
    assert isinstance(both, EncoderDecoder)


@pytest.mark.parametrize(
    "given, words",
    [
        ({}, "one of them must be given, or a task"),
        ({"vocabulary": 4, "channels": 2, "length": 4}, "one of them must be given"),
        ({"vocabulary": 4}, "length is missing"),
        ({"channels": 4, "length": 4}, "outputs is missing"),
        ({"vocabulary": 4, "length": 4, "pooled": True}, "outputs is missing"),
        ({"vocabulary": 4, "length": 4, "pooled": 1}, "must be True or False"),
        ({"vocabulary": 0, "length": 4}, "must be a whole number"),
        ({"vocabulary": 4, "length": 4, "witdh": 8}, "did you mean 'width'"),
        ({"vocabulary": 4, "length": 4, "vocab": 8}, "did you mean 'vocabulary'"),
        ({"vocabulary": 4, "length": 4, "width": 0}, "must be at least 1"),
        ({"vocabulary": 4, "length": 4, "width": "8"}, "must be a whole number"),
        ({"vocabulary": 4, "length": 4, "mlp": "gleu"}, "did you mean 'gelu'"),
        ({"task": "recal"}, "did you mean 'recall'"),
        ({"task": 3}, "task is 3; it must be"),
        ({"task": "recall", "length": 4}, "length is given beside a task"),
        ({"task": "recall", "causal": False}, "causal is given beside a task"),
    ],
)
def test_what_a_model_cannot_be_is_said(given, words):
    assert words in refused(ar.model, "conv", **given, rngs=nnx.Rngs(0))


def test_a_task_is_checked():
    assert ar.task("recall(length=32,pairs=2)").spec.length == 32
    assert "did you mean 'recall'" in refused(ar.task, "recal")
    assert "did you mean 'length'" in refused(ar.task, "recall(lenght=3)")
    assert "must be at least 4" in refused(ar.task, "recall(length=1)")
    assert "is not a spec" in refused(ar.task, None)


# --- help ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*ar.MIXERS, *ar.TASKS])
def test_help_shows_every_option_with_type_default_bounds_and_meaning(name):
    entry = {**ar.MIXERS, **ar.TASKS}[name]
    shown = pydoc.plain(pydoc.render_doc(entry))
    # Of a class, `help` draws a bar before each line.
    text = " ".join(shown.replace(" |  ", " ").split())
    cls = entry.Options if name in ar.MIXERS else entry
    for field, declared, _ in leaves(cls):
        assert f" {field}: " in text and f"= {declared.default!r}" in text
        assert " ".join(declared.metadata["help"].split()) in text
        for bound, words in (("low", "at least"), ("high", "at most")):
            if declared.metadata[bound] is not None:
                assert f"{words} {declared.metadata[bound]}" in text
    assert text.count("Options:") == (1 if [*leaves(cls)] else 0)
    if name in ar.MIXERS:
        first = (entry.module.__doc__ or "").splitlines()[0]
        assert first in text


@pytest.mark.parametrize("spec", [None, 3, b"dense", ["dense"]])
def test_a_spec_that_is_no_text(spec):
    assert "it must be text" in refused(drawn, spec)


def test_numbers_of_numpy_are_read_in_the_precision_of_the_session():
    """Its float64 would be a warning of jax."""
    x_BTD = np.random.default_rng(0).normal(size=(B, T, D))
    y_BTD = drawn("dense(heads=2)")(x_BTD)
    assert y_BTD.dtype == jnp.float32
