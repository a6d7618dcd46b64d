"""Modules as pure functions: nothing is lost, nothing is matched by position."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attn_research.modules.contract import Projection, dynamics
from attn_research.pure import Trait, functional, mismatch


class Affine(nnx.Module):
    """y = x * scale + shift, elementwise."""

    def __init__(self, size: int, *, rngs: nnx.Rngs):
        self.scale = nnx.Param(jax.random.normal(rngs.params(), (size,)))
        self.shift = nnx.Param(jnp.zeros(size))

    def __call__(self, x_D: jax.Array) -> jax.Array:
        return x_D * self.scale.get_value() + self.shift.get_value()

    def inverse(self, y_D: jax.Array) -> jax.Array:
        return (y_D - self.shift.get_value()) / self.scale.get_value()


class Tower(nnx.Module):
    """Twelve layers, so that the names '10' and '11' sort before '2'."""

    def __init__(self, *, rngs: nnx.Rngs):
        self.layers = nnx.List(Affine(2, rngs=rngs) for _ in range(12))

    def __call__(self, x_D: jax.Array) -> jax.Array:
        for layer in self.layers:
            x_D = jnp.tanh(layer(x_D))
        return x_D


AFFINE = functional(lambda rngs: Affine(3, rngs=rngs))
TOWER = functional(lambda rngs: Tower(rngs=rngs))


def test_init_gives_plain_dicts_and_depends_on_the_key_alone():
    params = AFFINE.init(jax.random.key(0))
    assert set(params) == {"scale", "shift"}
    assert all(isinstance(leaf, jax.Array) for leaf in params.values())
    again, other = (AFFINE.init(jax.random.key(seed)) for seed in (0, 1))
    np.testing.assert_array_equal(params["scale"], again["scale"])
    assert not np.array_equal(params["scale"], other["scale"])


def test_apply_calls_the_module_or_a_method_of_it():
    params = {"scale": jnp.array([1.0, 2.0, 4.0]), "shift": jnp.ones(3)}
    y_D = AFFINE.apply(params, jnp.ones(3))
    np.testing.assert_array_equal(y_D, [2.0, 3.0, 5.0])
    np.testing.assert_array_equal(AFFINE.apply(params, y_D, method="inverse"), [1] * 3)


def test_bind_gives_a_module_with_these_parameters():
    params = AFFINE.init(jax.random.key(3))
    module = AFFINE.bind(params)
    x_D = jnp.arange(3.0)
    np.testing.assert_array_equal(module(x_D), AFFINE.apply(params, x_D))


class Walk(nnx.Module):
    """A loop that indexes its parameter by a traced number."""

    def __init__(self, *, rngs: nnx.Rngs):
        self.scale = nnx.Param(jax.random.normal(rngs.params(), (3,)))

    def __call__(self, x_D: jax.Array) -> jax.Array:
        scale_N = self.scale.get_value()
        return jax.lax.map(lambda i: scale_N[i] * x_D, jnp.arange(3))


def test_parameters_may_be_arrays_of_numpy():
    model = functional(lambda rngs: Walk(rngs=rngs))
    params = jax.tree.map(np.asarray, model.init(jax.random.key(0)))
    got_ND = model.apply(params, jnp.ones(2))
    np.testing.assert_allclose(got_ND, np.outer(params["scale"], np.ones(2)))


def test_a_population_is_a_vmap_and_a_gradient_has_the_shape_of_the_parameters():
    params_P = jax.vmap(TOWER.init)(jax.random.split(jax.random.key(0), 3))
    y_PD = jax.vmap(TOWER.apply, in_axes=(0, None))(params_P, jnp.ones(2))
    assert y_PD.shape == (3, 2)
    params = TOWER.init(jax.random.key(0))
    grads = jax.grad(lambda p: TOWER.apply(p, jnp.ones(2)).sum())(params)
    assert mismatch(grads, params) is None


def test_the_tenth_layer_comes_after_the_ninth():
    """Sorted as text, '10' would come before '2': layers are matched by path."""
    params = TOWER.init(jax.random.key(0))
    order = (*range(9, 12), *range(9))
    shuffled = {"layers": {str(i): params["layers"][str(i)] for i in order}}
    x_D = jnp.array([0.3, -0.7])
    wanted_D = x_D
    for index in range(12):
        layer = params["layers"][str(index)]
        wanted_D = jnp.tanh(wanted_D * layer["scale"] + layer["shift"])
    for given in (params, shuffled):
        np.testing.assert_allclose(TOWER.apply(given, x_D), wanted_D, rtol=1e-6)


class Counting(nnx.Module):
    def __init__(self, *, rngs: nnx.Rngs):
        self.mean = nnx.BatchStat(jnp.zeros(2))


class Dropping(nnx.Module):
    def __init__(self, *, rngs: nnx.Rngs):
        self.linear = Projection(2, 2, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)


class Caching(nnx.Module):
    def __init__(self, *, rngs: nnx.Rngs):
        self.seen = nnx.Cache(jnp.zeros(2))


@pytest.mark.parametrize(
    ("module", "held"),
    [(Counting, "mean"), (Dropping, "dropout.rngs"), (Caching, "seen")],
)
def test_a_module_with_other_state_is_refused(module, held):
    """Under plain jit its changes would be lost silently."""
    with pytest.raises(ValueError, match="all its state must be parameters") as caught:
        functional(lambda rngs: module(rngs=rngs))
    assert held in str(caught.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (5, "constructor is int; it must be a function"),
        (None, "constructor is NoneType; it must be a function"),
        (Affine(3, rngs=nnx.Rngs(0)), "constructor is Affine; it must be a function"),
        (lambda rngs: 3, "constructor builds no module; it must be a function"),
    ],
)
def test_what_builds_no_module_is_said(given, words):
    with pytest.raises(ValueError, match=words):
        functional(given)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"scale": jnp.ones(3)}, "shift is missing"),
        (
            {"scale": jnp.ones(3), "shift": jnp.ones(3), "more": jnp.ones(1)},
            "more is unexpected",
        ),
        (
            {"scale": jnp.ones(4), "shift": jnp.ones(3)},
            "scale is float32[4], it must be float32[3]",
        ),
        (
            {"scale": jnp.ones(3, jnp.bfloat16), "shift": jnp.ones(3)},
            "scale is bfloat16[3], it must be float32[3]",
        ),
    ],
)
def test_parameters_of_another_model_are_refused(changed, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        AFFINE.bind(changed)
    assert "\n" not in str(caught.value)


def test_traits_are_what_the_parameters_were_declared_with():
    class Slow(nnx.Module):
        def __init__(self, *, rngs: nnx.Rngs):
            self.affine = Affine(2, rngs=rngs)
            self.pole = dynamics(jnp.ones(2), rate=0.25)

        def __call__(self, x_D: jax.Array) -> jax.Array:
            return self.affine(x_D) * self.pole.get_value()

    assert functional(Slow).traits == {
        "affine": {"scale": Trait(None, False), "shift": Trait(None, False)},
        "pole": Trait(0.25, False),
    }
