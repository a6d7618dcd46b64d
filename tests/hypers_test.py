"""Schedules and the optimizer: what is decayed, what learns at a rate of its own."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from attn_research.config import Population, Train
from attn_research.hypers import OPTIMIZERS, Hypers, grid, optimizer, schedule
from attn_research.pure import Trait

TRAIN = Train(steps=100, warmup=0.1, clip=0.0)


def test_a_grid_is_every_combination():
    hypers_P = grid(Population(seed=(0, 1), lr=(0.1, 0.2), weight_decay=(0.0, 1.0)))
    points = set(zip(*(np.asarray(field).tolist() for field in hypers_P), strict=True))
    assert len(hypers_P.seed) == len(points) == 8


@pytest.mark.parametrize(
    "kind, want",
    [
        ("constant", {9: 1.0, 55: 1.0, 99: 1.0}),
        ("cosine", {10: 1.0, 55: 0.5, 100: 0.0}),
        ("wsd", {55: 1.0, 79: 1.0, 90: 0.5, 100: 0.0}),
    ],
)
def test_schedules_at_known_steps(kind, want):
    train = dataclasses.replace(TRAIN, schedule=kind, decay=0.2)
    assert float(schedule(0, train)) == pytest.approx(0.1)
    for step, share in want.items():
        assert float(schedule(step, train)) == pytest.approx(share, abs=1e-6)


def test_a_share_is_of_the_rate_and_of_the_decay_and_frozen_is_neither():
    params = {name: jnp.ones((2, 2)) for name in ("whole", "half", "pole", "frozen")}
    traits = {
        "whole": Trait(None, matrix=True),
        "half": Trait(None, matrix=True, share=0.5),
        "pole": Trait(0.1, matrix=True, share=np.array([[0.5], [1.0]], np.float32)),
        "frozen": Trait(None, matrix=True, share=0.0),
    }
    hypers = Hypers(seed=0, lr=0.01, weight_decay=0.5)
    train = dataclasses.replace(TRAIN, schedule="constant", warmup=0.0)
    transform = optimizer(hypers, train, traits)
    state = transform.init(params)
    assert len(jax.tree.leaves(state)) == 2 + 2 * 3, "counts, and moments of three"
    grads = jax.tree.map(jnp.ones_like, params)
    with jax.numpy_dtype_promotion("standard"):
        moved = transform.update(grads, state, params)[0]
    np.testing.assert_allclose(moved["whole"], -0.01 * 1.5, rtol=1e-5)
    np.testing.assert_allclose(moved["half"], -0.01 * 1.5 / 2, rtol=1e-5)
    for row, share in zip(moved["pole"], (0.5, 1.0), strict=True):
        np.testing.assert_allclose(row, -0.01 * 0.1 * share, rtol=1e-5)
    np.testing.assert_array_equal(moved["frozen"], 0)


def test_decay_and_rates_reach_the_parameters_they_are_for():
    params = {"matrix": jnp.ones((2, 2)), "bias": jnp.ones(2), "pole": jnp.ones((2, 2))}
    traits = {
        "matrix": Trait(None, matrix=True),
        "bias": Trait(None, matrix=False),
        "pole": Trait(0.25, matrix=True),
    }
    hypers = Hypers(seed=0, lr=0.01, weight_decay=0.5)
    train = dataclasses.replace(TRAIN, schedule="constant", warmup=0.0)
    transform = optimizer(hypers, train, traits)
    grads = jax.tree.map(jnp.ones_like, params)
    with jax.numpy_dtype_promotion("standard"):
        updates, _ = transform.update(grads, transform.init(params), params)
        moved = optax.apply_updates(params, updates)
    # The first step of Adam is the learning rate itself, against the gradient.
    np.testing.assert_allclose(moved["bias"], 1 - 0.01, rtol=1e-5)
    np.testing.assert_allclose(moved["matrix"], 1 - 0.01 * 1.5, rtol=1e-5)
    np.testing.assert_allclose(moved["pole"], 1 - 0.01 * 0.25, rtol=1e-5)


def moved_once(name, params, traits, grads):
    train = dataclasses.replace(
        TRAIN, schedule="constant", warmup=0.0, optimizer=name, clip=0.0
    )
    transform = optimizer(Hypers(0, 0.01, 0.0), train, traits)
    with jax.numpy_dtype_promotion("standard"):
        updates, _ = transform.update(grads, transform.init(params), params)
    return updates


def test_muon_moves_matrices_along_their_singular_directions_and_the_rest_as_adam():
    draw = np.random.default_rng(0).standard_normal
    shapes = {"kernel": (24, 40), "heads": (3, 16, 16), "table": (30, 8), "bias": (40,)}
    plain = Trait(None, matrix=True)
    traits = {
        "trunk": {
            "kernel": plain,
            "heads": plain,
            "table": plain._replace(rows="tokens"),
            "bias": plain._replace(matrix=False),
            "pole": plain._replace(rate=0.1),
        },
        "head": {"kernel": plain},
    }
    grads = {
        "trunk": {name: draw(shape).astype("f") for name, shape in shapes.items()},
        "head": {"kernel": draw((24, 10)).astype("f")},
    }
    grads["trunk"]["pole"] = draw((4, 4)).astype("f")
    params = jax.tree.map(jnp.ones_like, grads)
    muon = moved_once("muon", params, traits, grads)
    adam = moved_once("adamw", params, traits, grads)
    for group, name in (
        ("trunk", "table"), ("trunk", "bias"), ("trunk", "pole"), ("head", "kernel")
    ):  # fmt: skip
        np.testing.assert_array_equal(muon[group][name], adam[group][name])
    for update, grad in (
        (muon["trunk"]["kernel"], grads["trunk"]["kernel"]),
        *zip(muon["trunk"]["heads"], grads["trunk"]["heads"], strict=True),
    ):
        left, _, right = np.linalg.svd(grad, full_matrices=False)
        across = left.T @ np.asarray(update, float) @ right.T
        rms = 0.2 * 0.01 * np.sqrt(max(grad.shape))
        # Five steps of Newton and Schulz bring singular values to about 1, not to it.
        singular = -np.diagonal(across) / rms
        assert (singular > 0.6).all() and (singular < 1.3).all()
        assert np.abs(across - np.diag(np.diagonal(across))).max() < 0.01 * rms


@pytest.mark.parametrize(
    "name, want",
    [
        ("lion", lambda g: -0.01 * np.sign(g)),
        ("sgd", lambda g: -0.01 * g),
        ("adafactor", lambda g: -0.01 * np.sign(g)),
    ],
)
def test_the_first_step_of_each_optimizer(name, want):
    grads = {"kernel": np.array([[0.5, -2.0], [3.0, -0.25]], np.float32)}
    params = jax.tree.map(jnp.ones_like, grads)
    updates = moved_once(name, params, None, grads)
    np.testing.assert_allclose(updates["kernel"], want(grads["kernel"]), rtol=1e-4)


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_a_frozen_parameter_has_no_state_under_any_optimizer(name):
    params = {"trunk": {"learns": jnp.ones((3, 3)), "frozen": jnp.ones((5, 7))}}
    traits = {
        "trunk": {
            "learns": Trait(None, matrix=True),
            "frozen": Trait(None, matrix=True, share=0.0),
        }
    }
    grads = jax.tree.map(jnp.ones_like, params)
    updates = moved_once(name, params, traits, grads)
    assert np.asarray(updates["trunk"]["learns"]).all()
    assert not np.asarray(updates["trunk"]["frozen"]).any()
    train = dataclasses.replace(TRAIN, optimizer=name)
    state = optimizer(Hypers(0, 0.01, 0.0), train, traits).init(params)
    assert not any(leaf.size >= 35 for leaf in jax.tree.leaves(state))
