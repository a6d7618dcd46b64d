"""Scores of heads whose weights are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research import analysis
from attn_research.analysis import heads, mixing
from attn_research.analysis.layers import open_model
from attn_research.options import BadInput
from tests.analysis.made import (
    LENGTH,
    TOKENS,
    VOCABULARY,
    copier,
    families,
    restored,
    with_arrays,
)

PERIOD = 4
TOKENS_BT = heads.repeated_tokens(VOCABULARY, 2, PERIOD)
T = 2 * PERIOD


def back(k: int) -> np.ndarray:
    """M_TS: all weight k back; of the first outputs, on themselves."""
    time_T = np.arange(T)
    return np.eye(T)[np.where(time_T >= k, time_T - k, time_T)]


def test_scores_of_matrices_made_by_hand():
    """Previous token, duplicate, induction, the mean of the past, and signs, which do
    not count."""
    mean_TS = np.tri(T) / (1 + np.arange(T))[:, None]
    mixed_TS = 0.25 * back(1) - 0.75 * back(PERIOD)
    M_HTS = np.stack([back(1), back(PERIOD), back(PERIOD - 1), mean_TS, mixed_TS])
    M_HTS = jnp.asarray(M_HTS * 3.0, jnp.float32)
    found = heads.scores(lambda s: M_HTS[:, :, s], T, PERIOD)
    late_T = np.arange(PERIOD, T)
    fair = np.mean(1 / (1 + late_T))
    first = np.mean(1 / (1 + np.arange(1, T)))
    np.testing.assert_allclose(found.previous, [1, 0, 0, first, 0.25], atol=1e-6)
    np.testing.assert_allclose(found.duplicate, [0, 1, 0, fair, 0.75], atol=1e-6)
    np.testing.assert_allclose(found.induction, [0, 0, 1, fair, 0], atol=1e-6)
    bits = np.mean(np.log2(1 + np.arange(T)))
    one_of_four = 0.25 * 2 + 0.75 * np.log2(4 / 3)  # and of two outputs there is one
    some = np.mean([0, *[one_of_four] * (T - 1)])
    np.testing.assert_allclose(found.entropy, [0, 0, 0, bits, some], atol=1e-5)
    np.testing.assert_allclose(
        found.distance[:4],
        [(T - 1) / T, PERIOD / 2, (T - PERIOD + 1) * (PERIOD - 1) / T, (T - 1) / 4],
        rtol=1e-5,
    )


def test_scores_identify_the_heads_of_a_model_that_looks_back():
    """Attention by distance alone: a previous-token head, and one that looks where
    induction does. What has nothing so far back weighs all alike."""
    names = {1: "previous", PERIOD - 1: "induction"}
    for lag, name in names.items():
        (head,) = analysis.head_scores(copier(lag, "dense"), TOKENS_BT, PERIOD)
        early = sum(1 / (1 + t) for t in range(1, lag)) / (T - 1)
        want = {"previous": early, "duplicate": 0, "induction": 0, name: 1}
        for score, value in want.items():
            found_B = getattr(head.scores, score)
            np.testing.assert_allclose(found_B, value, atol=1e-4)


def test_a_head_that_looks_for_the_same_token_finds_both():
    """Queries and keys are the tokens: half of the weight is on the token itself."""
    one = np.eye(VOCABULARY)
    of = with_arrays(
        copier(0, "dense"),
        {"query.kernel": 9 * one, "key.kernel": 9 * one, "bias_NH": 0.0},
    )
    (head,) = analysis.head_scores(of, TOKENS_BT, PERIOD)
    np.testing.assert_allclose(head.scores.duplicate, 0.5, atol=1e-4)
    np.testing.assert_allclose(head.scores.entropy, 0.5, atol=1e-3)  # of half the rows


@pytest.mark.parametrize(("pattern", "causal"), families())
def test_columns_are_those_of_the_matrix(pattern, causal):
    """Of every family; and scores without a gap, whatever the mixer."""
    of = restored(pattern, causal=causal)
    found = analysis.head_scores(of, TOKENS_BT, PERIOD)
    for head in found:
        assert all(np.isfinite(score_B).all() for score_B in head.scores)
        assert head.chance.previous > 0
    layer = open_model(of).layers[0]
    for place, named in enumerate(layer):
        own = [head for head in found if head.place == place]
        matrices = [
            analysis.mixing_matrix(of, TOKENS_BT[0], layer=0, head=h, place=place)
            for h in {0, len(own) - 1}
        ]
        for M_TS, head in zip(matrices, [own[0], own[-1]], strict=False):
            M_HTS = jnp.asarray(M_TS)[None]
            want = heads.scores(lambda s, M_HTS=M_HTS: M_HTS[:, :, s], T, PERIOD)
            for one, two in zip(head.scores, want, strict=True):
                np.testing.assert_allclose(one[0], two[0], rtol=1e-3, atol=1e-4)
        assert {head.name for head in own} == {named.name}


def test_what_reads_what_beside_chance():
    weight_HTS = np.zeros((2, 4, 4))
    weight_HTS[0, 3] = [0, 3, 0, -1]
    weight_HTS[1] = np.tri(4)
    reader_T, read_S = np.arange(4) == 3, np.arange(4) == 1
    share_H = analysis.shares(weight_HTS, reader_T, read_S)
    np.testing.assert_allclose(share_H, [0.75, 0.25])
    assert np.isnan(analysis.shares(weight_HTS[:1], read_S, read_S)[0])
    named, _ = mixing.chosen(restored("window(window=2)"), TOKENS, 0)
    read_S = np.isin(np.arange(LENGTH), [6, 7])
    reader_T = np.isin(np.arange(LENGTH), [7, 8])
    assert heads.fair_share(named, reader_T, read_S) == pytest.approx((1 + 0.5) / 2)


def test_repeated_tokens_are_the_same_every_time_and_alike_once():
    again_BT = heads.repeated_tokens(VOCABULARY, 2, PERIOD)
    np.testing.assert_array_equal(TOKENS_BT, again_BT)
    assert (TOKENS_BT[:, :PERIOD] == TOKENS_BT[:, PERIOD:]).all()
    assert all(len(set(tokens_T)) == PERIOD for tokens_T in TOKENS_BT)
    assert (TOKENS_BT[0] != TOKENS_BT[1]).any()
    assert jax.eval_shape(lambda: TOKENS_BT).dtype == jnp.int32
    with pytest.raises(BadInput, match="period is 17; it must be 2 to 16, the size"):
        heads.repeated_tokens(VOCABULARY, 1, 17)
    with pytest.raises(BadInput, match="The period is 8; it must be 2 to 7"):
        analysis.head_scores(restored("conv"), TOKENS_BT, T)
