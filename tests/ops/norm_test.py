"""The norms against their twin in float64, and against PyTorch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from attn_research.ops.norm import layer_norm, rms_norm

D = 6
NORMS = {
    "layer": layer_norm,
    "rms": lambda x, scale, bias, **options: rms_norm(x, scale, **options),
}


def inputs():
    draw = np.random.default_rng(0).standard_normal
    # A mean far from zero, where a careless variance cancels.
    return 30 + draw((2, 5, D)), draw(D), draw(D)


@functools.partial(jax.jit, static_argnames=("norm", "form"))
def pull(x, scale, bias, norm, form):
    run = functools.partial(NORMS[norm], implementation=form)
    y, back = jax.vjp(run, x, scale, bias)
    return y, *back(jnp.cos(jnp.arange(y.size, dtype=y.dtype).reshape(y.shape)))


def error(got, want) -> float:
    difference = np.asarray(got, np.float64) - want
    return float(np.linalg.norm(difference) / (np.linalg.norm(want) or 1))


def near(reach: float):
    return lambda got, want: error(got, want) < reach


@functools.cache
def twin(norm: str):
    with jax.enable_x64(True):
        return [np.asarray(a) for a in pull(*inputs(), norm, "naive")]


@pytest.mark.parametrize("norm", NORMS)
def test_the_fused_form_is_the_twin(norm):
    # Of the mean, 30, float32 keeps 2e-6: that is the input's rounding, not the op's.
    got = pull(*map(np.float32, inputs()), norm, None)
    assert all(map(near(1e-5), got, twin(norm)))
    with jax.enable_x64(True):
        exact = pull(*inputs(), norm, None)
        assert all(map(near(1e-13), exact, twin(norm)))


@pytest.mark.parametrize("norm", NORMS)
def test_gradients_of_both_orders_by_finite_differences(norm):
    with jax.enable_x64(True):
        x, scale, bias = inputs()
        run = jax.jit(NORMS[norm])
        arguments = (x[:1, :2] - 30, scale, bias)
        check_grads(run, arguments, 2, ["rev"], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("norm", NORMS)
def test_bfloat16_is_normalised_in_float32(norm):
    x, scale, bias = inputs()
    narrow = x.astype(jnp.bfloat16)
    y = jax.jit(NORMS[norm])(narrow, np.float32(scale), np.float32(bias))
    assert y.dtype == jnp.bfloat16
    with jax.enable_x64(True):
        naive = jax.jit(functools.partial(NORMS[norm], implementation="naive"))
        want = naive(narrow.astype(np.float64), scale, bias)
        assert error(y, np.asarray(want)) < 4e-3


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("size", [0.0, 1e-40, 1e30])
def test_any_size_of_input_is_finite(norm, size):
    x, scale, bias = map(np.float32, inputs())
    assert all(
        np.isfinite(a).all()
        for a in pull(x * np.float32(size), scale, bias, norm, None)
    )


def test_any_leading_axes_normalise_alike():
    x, scale, bias = map(np.float32, inputs())
    run = jax.jit(layer_norm)
    whole = np.asarray(run(x, scale, bias))
    np.testing.assert_allclose(run(x[0, 0], scale, bias), whole[0, 0], rtol=1e-6)
    with pytest.raises(ValueError, match="'fast'; it must be one of naive"):
        layer_norm(x, scale, bias, implementation="fast")


def test_layer_norm_is_that_of_pytorch():
    torch = pytest.importorskip("torch", reason="the peer, PyTorch, is not installed")
    x, scale, bias = inputs()
    peer = torch.nn.functional.layer_norm(
        torch.tensor(x), (D,), torch.tensor(scale), torch.tensor(bias), eps=1e-6
    )
    assert error(twin("layer")[0], peer.numpy()) < 1e-13
