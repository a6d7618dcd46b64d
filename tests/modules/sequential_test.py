"""What the laws cannot know of linear mixers: how they start and what they refuse."""

import jax
import numpy as np
import pytest
from flax import nnx

from attn_research.modules.linear import Linear
from attn_research.options import BadInput, build

D, T = 8, 7


def mixer(cls, causal: bool = True, **options):
    return cls(
        build(cls.Options, options, cls.__name__), width=D, causal=causal, length=T,
        rngs=nnx.Rngs(0),
    )  # fmt: skip


def test_linear_decays_start_as_in_retnet():
    kept_NH = jax.nn.sigmoid(
        mixer(Linear, False, decay="scalar").decay_odds.get_value()
    )
    assert kept_NH.shape == (2, 4)
    np.testing.assert_allclose(kept_NH[:, 0], 1 - 1 / 32, rtol=1e-5)
    np.testing.assert_allclose(kept_NH[:, -1], 1 - 1 / 512, rtol=1e-5)


def test_impossible_options_are_refused():
    with pytest.raises(BadInput, match="width 8 and 3 heads"):
        mixer(Linear, heads=3)
    with pytest.raises(BadInput, match="normalize=false is allowed"):
        mixer(Linear, feature="identity")
