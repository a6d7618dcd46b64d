"""Facts that are kept, and facts that are not."""

import math

import numpy as np
import pytest

from attn_research import analysis
from attn_research.analysis import probes
from attn_research.options import BadInput
from tests.analysis.made import (
    LENGTH,
    VOCABULARY,
    WIDTH,
    copier,
    families,
    restored,
    with_zeros,
)

DRAW = np.random.default_rng(0)
SYMBOLS = np.array([2, 5, 7, 11])
LABEL_R = DRAW.integers(0, 4, 256)
STRETCH = DRAW.integers(0, VOCABULARY, 100)
PLACE = 2


def rows(count=128):
    return probes.plant(STRETCH, SYMBOLS, count, LENGTH, PLACE)


@pytest.mark.parametrize("count", [2, 8])
def test_a_probe_reads_present_symbols_only(count):
    """A symbol written into some of many noisy features is log2(n) bits; noise alone,
    and a constant, are none."""
    label_R = DRAW.integers(0, count, 256)
    noise_RX = DRAW.normal(size=(256, 20))
    there_RX = noise_RX.copy()
    there_RX[:, :count] = 3 * np.eye(count)[label_R]
    mean, low, high = analysis.bits(there_RX, label_R, count)
    assert mean == pytest.approx(math.log2(count), abs=0.1) and low <= mean <= high
    assert analysis.bits(noise_RX, label_R, count).mean < 0.1
    assert analysis.bits(np.ones((256, 3)), label_R, count).mean < 0.1


def test_half_of_a_fact_is_half_of_its_bits():
    """Which pair of four symbols it is, is one bit of two."""
    x_RX = np.stack([LABEL_R // 2 * 4.0, DRAW.normal(size=256)], axis=1)
    assert analysis.bits(x_RX, LABEL_R, 4).mean == pytest.approx(1, abs=0.1)


def test_more_features_than_rows_do_not_deceive():
    x_RX = DRAW.normal(size=(256, 600))
    assert analysis.bits(x_RX, LABEL_R, 4).mean < 0.15


def test_a_fact_is_planted_among_the_inputs_of_a_stretch():
    inputs_RT, label_R, count, place = rows()
    assert (count, place) == (4, PLACE)
    np.testing.assert_array_equal(inputs_RT[:, PLACE], SYMBOLS[label_R])
    twice = np.concatenate([STRETCH, STRETCH]).tolist()
    for row in inputs_RT[:5]:
        rest = row[PLACE + 1 :].tolist()
        assert any(twice[n : n + len(rest)] == rest for n in range(100))
    values_XF = DRAW.normal(size=(50, 2))
    inputs_RTF, label_R, *_ = probes.plant(values_XF, np.eye(2), 3, 9, 4)
    np.testing.assert_array_equal(inputs_RTF[:, 4], np.eye(2)[label_R])
    many = np.array([3, 3, 3, 1, 1, 2])
    np.testing.assert_array_equal(probes.symbols(many, 2), [3, 1])
    with pytest.raises(BadInput, match="All inputs are the same"):
        probes.symbols(np.zeros(9, int), 4)


def test_a_convolution_keeps_a_fact_as_long_as_it_reaches():
    """One tap two back: the fact is in the layer after 2 tokens, louder than what is
    there, and in the state, which holds the last four inputs, after up to 3."""
    found = analysis.bits_by_delay(copier(2, "conv"), rows(), [1, 2, 3, 4])
    assert set(found) == {"embedding", "layer 0", "state 0 conv"}
    for name, there in {
        "embedding": [False, False, False, False],
        "layer 0": [False, True, False, False],
        "state 0 conv": [True, True, True, False],
    }.items():
        for told, is_there in zip(found[name], there, strict=True):
            assert told.mean > 1.7 if is_there else told.mean < 0.3, (name, told)


@pytest.mark.slow
@pytest.mark.parametrize(("pattern", "causal"), families())
def test_every_family_is_probed(pattern, causal):
    of = restored(pattern, causal=causal)
    found = analysis.bits_by_delay(of, rows(64), [0, 3])
    assert {"embedding", "layer 0"} <= set(found)
    # Of attention the ring of a window alone has a fixed size.
    states = {name for name in found if name.startswith("state")}
    assert bool(states) == causal
    assert not states & {"state 0.0 dense", "state 0.1 bigbird", "state 0.2 topk"}


@pytest.mark.slow
def test_states_have_their_mixer_however_layers_are_stacked():
    """What a silent layer hands on is lost to the layer above alone."""
    of = restored("rnn|gru,rnn", layers=4, scan=True)
    states = probes.states_at(of, rows(4).inputs_RT, np.array([1, 3]))
    names = ["state 0.0 rnn", "state 0.1 gru", "state 1 rnn"]
    names += ["state 2.0 rnn", "state 2.1 gru", "state 3 rnn"]
    assert list(states) == names
    assert all(x_KRX.shape == (2, 4, WIDTH) for x_KRX in states.values())
    silent = with_zeros(of, "frontend")
    for x_KRX in probes.states_at(silent, rows(4).inputs_RT, np.array([3])).values():
        assert np.ptp(x_KRX, axis=1).max() < 1e-6


def test_a_delay_beyond_the_sequence_is_refused():
    with pytest.raises(BadInput, match="the longest delay 7; it must be at most 6"):
        analysis.bits_by_delay(restored("conv"), rows(8), [7])
