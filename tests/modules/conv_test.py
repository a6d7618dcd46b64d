"""What the laws cannot know of convolutional mixers: reach, starts and refusals."""

import pytest
from flax import nnx

from attn_research.modules import MIXERS
from attn_research.options import BadInput, build

D, T = 8, 7


def mixer(name: str, causal: bool = True, **options):
    cls = MIXERS[name]
    return cls(
        build(cls.Options, options, name), width=D, causal=causal, length=T,
        rngs=nnx.Rngs(0),
    )  # fmt: skip


def test_the_reach_of_convolutions_is_that_of_their_taps():
    assert mixer("conv", width=3).reach(100) == 2
    assert mixer("dilated", kernel=3, dilations=(1, 4)).reach(100) == 10
    assert mixer("dilated", kernel=3, dilations=(1, 4)).reach(5) == 5


def test_impossible_options_are_refused():
    with pytest.raises(BadInput, match="dilated.dilations is 0; it must be at least 1"):
        mixer("dilated", dilations=(1, 0))
