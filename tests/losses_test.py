"""Losses and scores of every kind of target, against plain Python and PyTorch."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research.losses import (
    BLANK,
    SCORES,
    best_span,
    collapsed,
    edits,
)
from attn_research.losses import losses as eager

RNG = np.random.default_rng(0)
losses = jax.jit(eager, static_argnums=2, static_argnames="longest")


@pytest.mark.parametrize("target", ["token", "class"])
def test_cross_entropy_and_the_likeliest(target):
    shape = (3, 7) if target == "token" else (3,)
    logits = RNG.normal(size=(*shape, 5)).astype(np.float32)
    targets = RNG.integers(0, 5, shape)
    loss, scores = losses(logits, targets, target)
    wide = logits.astype(np.float64)
    chance = np.exp(wide) / np.exp(wide).sum(-1, keepdims=True)
    wanted = -np.log(np.take_along_axis(chance, targets[..., None], -1))[..., 0]
    np.testing.assert_allclose(loss, wanted, rtol=1e-5)
    np.testing.assert_array_equal(scores, (logits.argmax(-1) == targets)[None])


def test_errors_of_values_with_and_without_channels():
    loss, scores = losses(jnp.array([[[1.0], [3.0]]]), jnp.array([[1.5, 1.0]]), "value")
    np.testing.assert_allclose(loss, [[0.25, 4.0]])
    np.testing.assert_allclose(scores, [[[0.5, 2.0]]])
    loss, scores = losses(jnp.array([[1.0, 5.0]]), jnp.array([[3.0, 4.0]]), "value")
    np.testing.assert_allclose(loss, [2.5])
    np.testing.assert_allclose(scores, [[1.5]])


@pytest.mark.parametrize("longest", [0, 1, 4, 20])
def test_a_span_is_found_among_the_real_positions_in_order(longest):
    batch, time = 40, 9
    logits = RNG.normal(size=(batch, time, 2)).astype(np.float32)
    extent = RNG.integers(2, time + 1, batch)
    segments = (np.arange(time)[None] < extent[:, None]).astype(np.int32)
    span = np.sort(RNG.integers(0, extent[:, None], (batch, 2)), axis=1)
    loss, scores = map(
        np.asarray, losses(logits, span, "span", segments, longest=longest)
    )
    exact, f1 = scores
    for row in range(batch):
        real = logits[row, : extent[row]].astype(np.float64)
        log = real - np.log(np.exp(real).sum(axis=0))
        wanted = -(log[span[row, 0], 0] + log[span[row, 1], 1]) / 2
        assert loss[row] == pytest.approx(wanted, rel=1e-5)
        pairs = itertools.combinations_with_replacement(range(extent[row]), 2)
        pairs = [(a, b) for a, b in pairs if b - a < (longest or time)]
        best = max(pairs, key=lambda p: real[p[0], 0] + real[p[1], 1])  # noqa: B023
        assert bool(exact[row]) == (best == tuple(span[row]))
        said, true = (set(range(a, b + 1)) for a, b in (best, span[row]))
        assert f1[row] == pytest.approx(2 * len(said & true) / len([*said, *true]))
    assert 0 < np.sum(exact) < batch
    tie = jnp.array([[[0.0, 9.0], [5.0, 0.0], [1.0, 1.0]]])
    np.testing.assert_array_equal(jax.jit(best_span)(tie), [[0, 0]])


def distance(found, wanted) -> int:
    """Levenshtein by its definition, over whole tables."""
    table = np.zeros((len(found) + 1, len(wanted) + 1), int)
    table[:, 0], table[0] = np.arange(len(found) + 1), np.arange(len(wanted) + 1)
    for i, one in enumerate(found, 1):
        for j, other in enumerate(wanted, 1):
            table[i, j] = min(
                table[i - 1, j] + 1,
                table[i, j - 1] + 1,
                table[i - 1, j - 1] + (one != other),
            )
    return int(table[-1, -1])


def strings(batch: int, longest: int, symbols: int):
    """Rows of symbols of any length, ended by blanks."""
    lengths = RNG.integers(0, longest + 1, batch)
    rows = [RNG.integers(1, symbols, n) for n in lengths]
    return rows, np.array([[*row, *[BLANK] * (longest - len(row))] for row in rows])


def test_edits_are_the_distance_of_levenshtein():
    found, found_BT = strings(300, 8, 4)
    wanted, wanted_BL = strings(300, 5, 4)
    numbers = jax.jit(edits)(found_BT, wanted_BL)
    assert numbers.tolist() == [
        distance(*pair) for pair in zip(found, wanted, strict=True)
    ]


def test_a_path_collapses_to_its_string():
    path = np.array([[0, 3, 3, 0, 3, 2, 2, 1, 1], [1, 1, 0, 0, 0, 2, 2, 2, 2]])
    real = np.array([[True] * 9, [True] * 5 + [False] * 4])
    found = jax.jit(collapsed)(path, real)
    assert found.tolist() == [[3, 3, 2, 1, 0, 0, 0, 0, 0], [1] + [0] * 8]


def test_a_string_is_lost_over_all_its_paths():
    """The sum over every path that collapses to the string, written out."""
    time, symbols = 4, 3
    logits = RNG.normal(size=(1, time, symbols)).astype(np.float32)
    wide = logits[0].astype(np.float64)
    log = wide - np.log(np.exp(wide).sum(-1, keepdims=True))
    wanted = 0.0
    for path in itertools.product(range(symbols), repeat=time):
        string = [s for s, _ in itertools.groupby(path) if s != BLANK]
        if string == [2, 1]:
            wanted += np.exp(sum(log[t, s] for t, s in enumerate(path)))
    segments = np.array([[1, 1, 1, 1, 1, 1, 1, 1, 0, 0]])  # two tokens an output
    logits = np.pad(logits, ((0, 0), (0, 1), (0, 0)))
    loss, scores = losses(logits, np.array([[2, 1, 0]]), "string", segments)
    assert float(loss[0]) == pytest.approx(-np.log(wanted) / 2, rel=1e-4)
    heard = [s for s, _ in itertools.groupby(wide.argmax(-1)) if s != BLANK]
    assert float(np.asarray(scores)[0, 0]) == distance(heard, [2, 1]) / 2


def of(*shape, kind="float32"):
    return jax.ShapeDtypeStruct(shape, kind)


def test_every_kind_has_as_many_scores_as_names():
    one = {
        "token": (of(2, 3, 4), of(2, 3, kind="int32")),
        "class": (of(2, 4), of(2, kind="int32")),
        "value": (of(2, 3, 1), of(2, 3)),
        "span": (of(2, 3, 2), of(2, 2, kind="int32")),
        "string": (of(2, 6, 4), of(2, 2, kind="int32")),
    }
    assert one.keys() == SCORES.keys()
    for target, (outputs, targets) in one.items():
        loss, scores = jax.eval_shape(partial(eager, target=target), outputs, targets)
        assert scores.shape == (len(SCORES[target]), *loss.shape)
