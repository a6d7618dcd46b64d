"""Encoders: what their heads read, sequences that are shortened, values rescaled."""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attn_research.config import Model
from attn_research.modules.models import Sizes, build, cost
from attn_research.modules.shortening import Shortening, every
from attn_research.options import BadInput
from tests.parameters import drawn

T, F, D = 21, 2, 8
SMALL = Model(pattern="conv(width=2)", layers=1, width=D, positions="learned")
POOLED = Sizes("values", F, 3, T, causal=False, per_sequence=True)
NOISE = np.random.default_rng(0).standard_normal((3, T, F)).astype(np.float32)
REAL = np.array([[1] * T, [1] * 13 + [0] * 8, [1] * 4 + [0] * 17], np.int32)
FORMS = [
    {"pool": "mean"},
    {"pool": "last"},
    {"pool": "max"},
    {"pool": "all"},
    {"strides": (2, 3)},
    {"strides": (4,), "pool": "all"},
    {"strides": (5,), "pool": "last"},
]


@functools.cache
def built(form: tuple, sizes: Sizes = POOLED):
    model = build(replace(SMALL, **dict(form)), sizes)
    return model._replace(apply=jax.jit(model.apply)), drawn(model)


def slope(form: tuple) -> np.ndarray:
    """How the sum of the squares of all outputs moves with each input."""
    model, params = built(form)
    grad = jax.grad(lambda x_BTF: jnp.sum(model.apply(params, x_BTF, REAL) ** 2))
    return np.asarray(jax.jit(grad)(NOISE))


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_padding_changes_nothing_and_every_real_position_may(form):
    model, params = built(tuple(form.items()))
    out = np.asarray(model.apply(params, NOISE, REAL))
    assert out.shape == (3, 3)
    other = np.where(REAL[..., None] > 0, NOISE, 100.0)
    np.testing.assert_array_equal(model.apply(params, other, REAL), out)
    assert cost(replace(SMALL, **form), POOLED).params == sum(
        leaf.size for leaf in jax.tree.leaves(params)
    )
    seen = np.abs(slope(tuple(form.items()))).sum(-1) > 0
    assert not seen[REAL == 0].any()
    if form.get("pool") not in ("last", "max"):
        assert seen[REAL > 0].all()


def test_the_last_position_is_the_last_real_one():
    seen = np.abs(slope((("pool", "last"),))).sum(-1) > 0
    for row, end in enumerate((T, 13, 4)):
        assert seen[row].nonzero()[0].tolist() == [end - 2, end - 1]


def test_the_largest_of_each_channel_is_taken_of_the_real_ones():
    model, params = built((("pool", "max"),))
    module = model.bind(params)
    x_BTD = np.asarray(module.trunk(NOISE, REAL))
    found = np.asarray(module.pooled(NOISE, REAL))
    for row, end in enumerate((T, 13, 4)):
        np.testing.assert_array_equal(found[row], x_BTD[row, :end].max(axis=0))
    assert not np.any(module.pooled(NOISE, np.zeros_like(REAL)))


def moved(module: Shortening, segments) -> np.ndarray:
    """seen_ST: how much each input moves each shortened position."""
    jacobian = jax.jacobian(lambda x_BTF: module(x_BTF, segments).sum(-1))
    return np.abs(np.asarray(jax.jit(jacobian)(NOISE[:1]))[0]).sum(axis=(1, 3))


def test_a_shortened_position_reads_its_stride_and_the_one_before():
    module = Shortening(F, D, (2, 3), rngs=nnx.Rngs(0))
    seen_ST = moved(module, None)
    assert len(seen_ST) == 4
    for position, row in enumerate(seen_ST > 0):
        wanted = range(max(0, 6 * (position - 1) - 2), min(T, 6 * (position + 1)))
        assert row.nonzero()[0].tolist() == list(wanted)


def test_a_shortened_segment_reads_none_of_another():
    module = Shortening(F, D, (2, 3), rngs=nnx.Rngs(0))
    segments = np.array([[1] * 8 + [2] * 10 + [0] * 3])
    assert every(segments, 6).tolist() == [[1, 1, 2, 0]]
    seen_ST = moved(module, segments)
    for own, row in zip(({1}, {1}, {2}, set()), seen_ST > 0, strict=True):
        assert set(segments[0][row].tolist()) == own


def test_rescaled_values_come_back_in_their_scale():
    sizes = Sizes("values", 1, 5, T, causal=False, per_sequence=True)
    model, params = built((("rescale", True),), sizes)
    x_BT1 = NOISE[..., :1]
    out = np.asarray(model.apply(params, x_BT1, REAL))
    wider = model.apply(params, x_BT1 * 30 - 7, REAL)
    np.testing.assert_allclose(wider, out * 30 - 7, rtol=1e-4, atol=1e-3)
    still = model.apply(params, np.full((3, T, 1), 2.5, np.float32), REAL)
    np.testing.assert_allclose(still, 2.5, atol=1e-3)
    with pytest.raises(BadInput, match="of one channel"):
        build(replace(SMALL, rescale=True), POOLED)
