"""What is particular to the mixers of low rank, beyond the laws of every mixer."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attn_research.modules import MIXERS
from attn_research.modules.contract import both_ways_only
from attn_research.options import BadInput

NAMES = ("linformer", "nystrom")


def build(name, causal=False, width=8, **options):
    mixer = MIXERS[name]
    return mixer(
        mixer.Options(**options), width=width, causal=causal, length=9, rngs=nnx.Rngs(0)
    )


@pytest.mark.parametrize("name", NAMES)
def test_there_is_no_causal_form(name):
    assert both_ways_only(MIXERS[name])
    with pytest.raises(BadInput, match=f"{name} has no causal form"):
        build(name, causal=True)


@pytest.mark.parametrize("name", NAMES)
def test_heads_that_do_not_fit_are_refused(name):
    with pytest.raises(BadInput, match="width 8 and 3 heads; the number of heads must"):
        build(name, heads=3)
    assert build(name, heads=3, head_size=2).heads.inner == 6


def test_linformer_refuses_more_tokens_than_it_was_built_for():
    with pytest.raises(BadInput, match="10 tokens; it must have at most the 9"):
        build("linformer")(jnp.ones((1, 10, 8)))


def test_cost_grows_with_the_length_alone():
    assert build("linformer", slots=3).cost(9).flops == 9 * (2 * 4 * 64 + 8 * 3 * 8)
    one, two = (build("nystrom", landmarks=4).cost(n).flops for n in (16, 32))
    assert two - one == 16 * (2 * 4 * 64 + 12 * 4 * 8)


def test_shared_slots_are_one_table():
    both, one = build("linformer"), build("linformer", shared=True)
    assert both.cost(9).params - one.cost(9).params == 9 * 64
    x_BTD = np.random.default_rng(0).standard_normal((1, 9, 8), np.float32)
    assert np.isfinite(one(jnp.asarray(x_BTD))).all()
