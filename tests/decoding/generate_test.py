"""Decoding: what is generated is what the whole prefix would have said."""

import functools
import itertools
from dataclasses import replace

import jax
import numpy as np
import pytest
from scipy.special import log_softmax

from attn_research.config import Model
from attn_research.decoding.generate import (
    NEVER,
    Sampling,
    beam_search,
    generate,
    sample,
)
from attn_research.modules import MIXERS
from attn_research.modules.contract import both_ways_only
from attn_research.modules.models import Sizes, build
from attn_research.options import BadInput
from tests.parameters import drawn

V, T = 11, 14
SIZES = Sizes("tokens", V, V, T, causal=True)
SMALL = Model(pattern="gru", layers=1, width=8)
PROMPTS = np.random.default_rng(0).integers(0, V, (3, 5)).astype(np.int32)
LENGTHS = np.array([5, 1, 3], np.int32)
QUICK = {"dense", "window", "lstm"}


@functools.cache
def built(model: Model = SMALL):
    made = build(model, SIZES)
    made = made._replace(apply=jax.jit(made.apply))
    return made, jax.device_put(drawn(made, deviation=0.5))


def mixers():
    for name in MIXERS:
        quick = name in QUICK
        if not both_ways_only(MIXERS[name]):
            marks = () if quick else pytest.mark.slow
            yield pytest.param(name, marks=marks)


@pytest.mark.parametrize("mixer", list(mixers()))
def test_greedy_tokens_are_those_of_the_whole_prefix(mixer):
    model, params = built(replace(SMALL, pattern=mixer))

    @jax.jit
    def run(params):
        module = model.bind(params)
        tokens_BT = generate(module, PROMPTS, LENGTHS, length=T)
        return tokens_BT, module(tokens_BT)

    tokens_BT, logits_BTV = map(np.asarray, run(params))
    for row, length in enumerate(LENGTHS):
        np.testing.assert_array_equal(tokens_BT[row, :length], PROMPTS[row, :length])
        logits_TV = logits_BTV[row, length - 1 : -1]
        chosen_T = np.take_along_axis(logits_TV, tokens_BT[row, length:, None], 1)[:, 0]
        np.testing.assert_allclose(chosen_T, logits_TV.max(axis=1), atol=1e-4)


@pytest.mark.parametrize("size", [2, 3])
def test_no_stretch_stands_twice_and_what_is_left_is_the_likeliest(size):
    model, params = built()

    @jax.jit
    def run(params):
        module = model.bind(params)
        tokens_BT = generate(module, PROMPTS, LENGTHS, length=T, unrepeated=size)
        return tokens_BT, module(tokens_BT)

    tokens_BT, logits_BTV = map(np.asarray, run(params))
    banned = 0
    for row, length in enumerate(LENGTHS):
        told = tokens_BT[row].tolist()
        for at in range(length, T):
            known = {tuple(told[i : i + size]) for i in range(at - size + 1)}
            last = told[at - size + 1 : at]
            again = [(*last, token) in known for token in range(logits_BTV.shape[2])]
            banned += sum(again)
            logits_V = np.where(again, -np.inf, logits_BTV[row, at - 1])
            assert not again[told[at]]
            assert logits_V[told[at]] == pytest.approx(logits_V.max(), abs=1e-4)
    assert banned > 0


def test_after_the_end_a_row_repeats_it():
    model, params = built()

    @jax.jit
    def run(params, end):
        return generate(model.bind(params), PROMPTS, LENGTHS, length=T, end=end)

    free_BT = np.asarray(run(params, NEVER))
    end = int(free_BT[1, 3])
    ended_BT = np.asarray(run(params, end))
    for row, length in enumerate(LENGTHS):
        found = np.flatnonzero(free_BT[row, length:] == end)
        stop = T if not len(found) else length + found[0] + 1
        np.testing.assert_array_equal(ended_BT[row, :stop], free_BT[row, :stop])
        assert (ended_BT[row, stop:] == end).all()


def test_samples_follow_the_distribution_cut_to_what_is_kept():
    logits_V = np.log([0.5, 0.2, 0.15, 0.1, 0.05]).astype(np.float32)
    logits_BV = np.tile(logits_V, (40_000, 1))
    draw = jax.jit(sample, static_argnums=2)

    def shares(**options):
        options = {"temperature": 1.0, **options}
        token_B = draw(logits_BV, jax.random.key(0), Sampling(**options))
        return np.bincount(np.asarray(token_B), minlength=5) / len(token_B)

    np.testing.assert_allclose(shares(), [0.5, 0.2, 0.15, 0.1, 0.05], atol=0.01)
    np.testing.assert_allclose(shares(top_k=2), [5 / 7, 2 / 7, 0, 0, 0], atol=0.01)
    # 0.5 + 0.2 is less than 0.75: the third token is needed to hold it.
    want = np.array([0.5, 0.2, 0.15, 0, 0]) / 0.85
    np.testing.assert_allclose(shares(top_p=0.75), want, atol=0.01)
    cold = np.exp(logits_V * 2) / np.exp(logits_V * 2).sum()
    np.testing.assert_allclose(shares(temperature=0.5), cold, atol=0.01)
    np.testing.assert_allclose(shares(temperature=0), [1, 0, 0, 0, 0])


def log_probability(model, params, tokens_BT, lengths_B):
    """Of what follows the prompt, by the whole sequence."""
    logits_BTV = np.asarray(model.apply(params, tokens_BT))
    log_BTV = log_softmax(logits_BTV[:, :-1], axis=-1)
    each_BT = np.take_along_axis(log_BTV, tokens_BT[:, 1:, None], 2)[..., 0]
    told_BT = np.arange(1, tokens_BT.shape[1])[None] < lengths_B[:, None]
    return np.where(told_BT, 0, each_BT).sum(axis=1)


@pytest.mark.parametrize(
    "mixer", [pytest.param("dense(heads=2)", marks=pytest.mark.slow), "gru"]
)
def test_enough_beams_find_the_likeliest_sequence(mixer):
    model, params = built(replace(SMALL, pattern=mixer))
    prompts, lengths = PROMPTS[:2, :3], np.array([3, 2], np.int32)
    found = jax.device_get(jax.jit(
        lambda p: beam_search(model.bind(p), prompts, lengths, length=5, beams=V * V)
    )(params))  # fmt: skip
    for row, length in enumerate(lengths):
        rest = list(itertools.product(range(V), repeat=5 - length))
        told = np.tile(prompts[row, :length], (len(rest), 1))
        every_BT = np.concatenate([told, np.array(rest)], axis=1).astype(np.int32)
        scores_B = log_probability(model, params, every_BT, np.full(len(rest), length))
        best = int(np.argmax(scores_B))
        np.testing.assert_array_equal(found.tokens_BKT[row, 0], every_BT[best])
        np.testing.assert_allclose(found.score_BK[row, 0], scores_B[best], atol=1e-4)
        assert (np.diff(found.score_BK[row]) <= 0).all()


def test_one_beam_is_greedy_and_scores_are_of_the_tokens():
    model, params = built()

    @jax.jit
    def run(params):
        given = model.bind(params), PROMPTS, LENGTHS
        beams = [beam_search(*given, length=T, beams=count) for count in (1, 3)]
        return generate(*given, length=T), *beams

    greedy_BT, one, three = jax.device_get(run(params))
    np.testing.assert_array_equal(one.tokens_BKT[:, 0], greedy_BT)
    for k in range(3):
        scores_B = log_probability(model, params, three.tokens_BKT[:, k], LENGTHS)
        np.testing.assert_allclose(three.score_BK[:, k], scores_B, atol=1e-4)
    assert (three.score_BK[:, 0] >= one.score_BK[:, 0] - 1e-4).all()


def test_the_penalty_ranks_by_length():
    model, params = built()

    @jax.jit
    def run(params, end, penalty):
        return beam_search(
            model.bind(params), PROMPTS, LENGTHS,
            length=T, beams=4, end=end, penalty=penalty,
        )  # fmt: skip

    # What the best of all ends with is said by others before.
    end = int(np.asarray(run(params, NEVER, 0.0).tokens_BKT)[1, 0, 3])
    plain, long = (jax.device_get(run(params, end, penalty)) for penalty in (0.0, 1.0))
    for row, length in enumerate(LENGTHS):
        for k in range(4):
            tokens_T = np.asarray(long.tokens_BKT[row, k, length:])
            found = np.flatnonzero(tokens_T == end)
            extent = found[0] + 1 if len(found) else len(tokens_T)
            (match,) = np.flatnonzero(
                (plain.tokens_BKT[row] == long.tokens_BKT[row, k]).all(axis=1)
            )
            want = plain.score_BK[row, match] / ((5 + extent) / 6)
            np.testing.assert_allclose(long.score_BK[row, k], want, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"length": 3}, "length is 3; it must be at least that of the prompts, 5"),
        (
            {"sampling": Sampling(1.0)},
            "key is None; at a temperature above 0 it must be",
        ),
        ({"sampling": Sampling(-1.0)}, "temperature and top_k must be at least 0"),
        ({"sampling": Sampling(top_p=0.0)}, "top_p above 0"),
        ({"unrepeated": -1}, "unrepeated is -1"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(options, says):
    model, params = built()
    with pytest.raises(BadInput, match=says):
        generate(model.bind(params), PROMPTS, LENGTHS, **{"length": T, **options})


@pytest.mark.parametrize("wrong", [V, -1])
def test_a_prompt_with_a_token_outside_the_vocabulary_is_refused(wrong):
    model, params = built()
    module = model.bind(params)
    prompts_BS = PROMPTS.copy()
    prompts_BS[0, 4] = wrong
    message = f"hold {wrong}; they must be from 0 to {V - 1}"
    with pytest.raises(BadInput, match=message):
        generate(module, prompts_BS, LENGTHS, length=T)
    with pytest.raises(BadInput, match=message):
        beam_search(module, prompts_BS, LENGTHS, length=T, beams=2)
    # What follows a prompt in its row is not read.
    prompts_BS = PROMPTS.copy()
    prompts_BS[1, 1:] = wrong
    np.testing.assert_array_equal(
        generate(module, prompts_BS, LENGTHS, length=T),
        generate(module, PROMPTS, LENGTHS, length=T),
    )
