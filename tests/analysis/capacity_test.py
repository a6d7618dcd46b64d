"""Pairs that are recalled, where it is known how many."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from attn_research import analysis
from attn_research.analysis import capacity
from attn_research.options import BadInput
from attn_research.training.program import cost
from tests.analysis.made import VOCABULARY, restored

TASK = f"recall(length=32,pairs=2,vocabulary={VOCABULARY})"
FEW = 5  # keys below this one are known to the second model


def knowing(least: int):
    """A model that looks back for the key, and guesses the first value for others."""
    of = restored("lstm", length=32)

    def at(params, inputs_BT, index_BL, segments_BT, key, method):
        time_T = jnp.arange(inputs_BT.shape[1])
        asked_BL = jnp.take_along_axis(inputs_BT, index_BL, axis=1)
        same_BLT = inputs_BT[:, None] == asked_BL[:, :, None]
        same_BLT &= time_T[None, None] < index_BL[:, :, None]
        place_BL = jnp.argmax(same_BLT, axis=2)
        value_BL = jnp.take_along_axis(inputs_BT, place_BL + 1, axis=1)
        value_BL = jnp.where(asked_BL >= least, value_BL, VOCABULARY - 1)
        return 9 * jax.nn.one_hot(value_BL, VOCABULARY)

    config = dataclasses.replace(of.config, task=TASK)
    return of._replace(config=config, model=of.model._replace(apply=at))


def test_what_is_known_is_counted_and_what_is_guessed_is_not():
    """Keys are 1 to 7: who knows those from 5 on recalls 3 of 7 pairs."""
    two, seven = analysis.recalled_pairs(knowing(0), [2, 7], 256)
    assert two.recalled.mean == pytest.approx(2) and two.pairs == 2
    assert seven.recalled.mean == pytest.approx(7)
    (some,) = analysis.recalled_pairs(knowing(FEW), [7], 256)
    assert some.recalled.low - 0.05 <= 3 <= some.recalled.high + 0.05
    (none,) = analysis.recalled_pairs(knowing(VOCABULARY), [7], 256)
    assert abs(none.recalled.mean) < 0.3
    assert capacity.fitting_pairs(knowing(0)) == [1, 2, 4]
    assert none.state_bytes == cost(knowing(0).config).state_bytes > 0


def test_pairs_that_do_not_fit_and_other_tasks_are_refused():
    with pytest.raises(BadInput, match="must be at least 8"):
        analysis.recalled_pairs(knowing(0), [8])
    of = knowing(0)
    config = dataclasses.replace(of.config, task="copying(lag=4)")
    with pytest.raises(BadInput, match="trained on copying; to count pairs the"):
        analysis.recalled_pairs(of._replace(config=config), [2])
