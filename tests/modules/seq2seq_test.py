"""The encoder-decoder: what the target sees of the source, and decoding from it."""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import log_softmax

from attn_research.config import Model
from attn_research.decoding.generate import beam_search, generate
from attn_research.modules.contract import carry_bytes
from attn_research.modules.cross import Cross
from attn_research.modules.models import Sizes, build
from tests.parameters import drawn

V, S, T = 11, 9, 7
SIZES = Sizes("tokens", V, V, T, True, source_features=V, source_length=S)
SMALL = Model(pattern="dense(heads=2)", layers=1, width=8, mlp="gelu")
NOISE = np.random.default_rng(0)
READ_BS = NOISE.integers(0, V, (2, S)).astype(np.int32)
WRITTEN_BT = NOISE.integers(0, V, (2, T)).astype(np.int32)
KEPT_BS = np.array([[1] * S, [1] * 5 + [0] * (S - 5)], np.int32)


@functools.cache
def built(pattern: str):
    model = build(replace(SMALL, pattern=pattern), SIZES)
    params = jax.device_put(drawn(model, deviation=0.3))
    return model._replace(apply=jax.jit(model.apply)), params


PATTERNS = pytest.mark.parametrize("pattern", ["dense(heads=2)", "gru"])


@PATTERNS
def test_the_target_reads_the_source_and_not_its_own_future(pattern):
    model, params = built(pattern)

    def told(read_BS, written_BT):
        return np.asarray(model.apply(params, read_BS, written_BT, KEPT_BS))

    logits_BTV = told(READ_BS, WRITTEN_BT)
    other_BS = READ_BS.copy()
    other_BS[:, 4] = (other_BS[:, 4] + 1) % V
    changed = told(other_BS, WRITTEN_BT) != logits_BTV
    assert changed.any(axis=-1).all()
    padding_BS = np.where(KEPT_BS == 0, 3, READ_BS)
    same_BTV = told(padding_BS, WRITTEN_BT)
    np.testing.assert_allclose(same_BTV, logits_BTV, atol=1e-6)
    later_BT = WRITTEN_BT.copy()
    later_BT[:, 3] = (later_BT[:, 3] + 1) % V
    changed = told(READ_BS, later_BT) != logits_BTV
    assert not changed[:, :3].any() and changed[:, 3].any()


@pytest.mark.parametrize(
    "pattern", [pytest.param("dense(heads=2)", marks=pytest.mark.slow), "gru"]
)
def test_decoding_is_the_whole_target_and_a_search_at_least_as_likely(pattern):
    model, params = built(pattern)
    first_B1, ones_B = WRITTEN_BT[:, :1], np.ones(2, np.int32)

    @jax.jit
    def run(params):
        module, context = model.bind(params), (jnp.asarray(READ_BS), KEPT_BS)
        greedy_BT = generate(module, first_B1, ones_B, length=T, context=context)
        beams = beam_search(
            module, first_B1, ones_B, length=T, beams=3, context=context
        )
        scored = [
            module(READ_BS, tokens_BT, KEPT_BS)
            for tokens_BT in (greedy_BT, beams.tokens_BKT[:, 0])
        ]
        return greedy_BT, beams, scored

    greedy_BT, beams, (greedy_BTV, best_BTV) = jax.tree.map(np.asarray, run(params))
    np.testing.assert_array_equal(greedy_BTV[:, :-1].argmax(-1), greedy_BT[:, 1:])

    def score(logits_BTV, tokens_BT):
        log_BTV = log_softmax(logits_BTV[:, :-1], axis=-1)
        picked_BTV = np.take_along_axis(log_BTV, tokens_BT[:, 1:, None], 2)
        return picked_BTV.sum(axis=(1, 2))

    best_B = score(best_BTV, beams.tokens_BKT[:, 0])
    np.testing.assert_allclose(beams.score_BK[:, 0], best_B, atol=1e-4)
    assert (best_B >= score(greedy_BTV, greedy_BT) - 1e-4).all()


def test_logits_at_some_positions_and_the_shared_table():
    model, params = built("gru")
    index_BL = np.array([[0, 5], [6, 2]])
    whole_BTV = model.apply(params, READ_BS, WRITTEN_BT)
    some_BLV = jax.jit(
        lambda p: model.bind(p).at(READ_BS, WRITTEN_BT, jnp.asarray(index_BL))
    )(params)
    want_BLV = np.take_along_axis(np.asarray(whole_BTV), index_BL[:, :, None], axis=1)
    np.testing.assert_allclose(some_BLV, want_BLV, atol=1e-6)
    tables = [leaf for leaf in jax.tree.leaves(params) if leaf.shape == (V, 8)]
    assert len(tables) == 1


@PATTERNS
def test_the_cost_counts_parameters_and_the_state_kept(pattern):
    model, params = built(pattern)
    module = model.bind(params)
    found = module.cost(T)
    assert found.params == sum(leaf.size for leaf in jax.tree.leaves(params))
    carry = jax.eval_shape(
        lambda: module.start(1, T, jnp.asarray(READ_BS[:1]), jnp.asarray(KEPT_BS[:1]))
    )
    assert found.state_bytes == carry_bytes(carry["layers"])


def test_packed_targets_read_their_own_sources():
    cross = Cross(Cross.Options(heads=2), width=8, length=T, rngs=nnx.Rngs(0))
    x_BTD, context_BSD = (
        NOISE.standard_normal((1, length, 8), np.float32) for length in (T, S)
    )
    segments_BT = np.array([[1, 1, 1, 2, 2, 3, 0]], np.int32)
    source_BS = np.array([[1, 1, 1, 1, 2, 2, 2, 0, 0]], np.int32)
    read = jax.jit(cross)
    packed_BTD = np.asarray(read(x_BTD, segments_BT, context_BSD, source_BS))
    one_BTD = read(x_BTD[:, :3], None, context_BSD[:, :4])
    two_BTD = read(x_BTD[:, 3:5], None, context_BSD[:, 4:7])
    np.testing.assert_allclose(packed_BTD[:, :3], one_BTD, atol=1e-6)
    np.testing.assert_allclose(packed_BTD[:, 3:5], two_BTD, atol=1e-6)
    # Nothing to read, and padding.
    assert (packed_BTD[:, 5:] == 0).all()
