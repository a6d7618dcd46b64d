"""What is particular to hashed attention: the laws where there are many buckets.

Of its defaults, at the lengths of the laws, one bucket holds all: every law holds. With
more buckets some laws say too much. A token does not see all within its reach
(`reach`), and a token whose hash lies at the border of two buckets changes sides by the
rounding of bfloat16 (`reference`): here it is held to float64 in float32 alone. And a
later token moves earlier ones in the order of the buckets, where sums are taken in
other lanes: the last bit of the past may change in the chunked form (`causality`). The
naive form, which it is held to, keeps every bit. Among hundreds of tokens the row of
the tables applies: what is seen is chosen, outputs jump, the last bit may change.
"""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attn_research.modules.reformer import Reformer, ReformerOptions
from attn_research.options import BadInput
from attn_research.testing.laws import LAWS
from attn_research.testing.laws.case import (
    LENGTH,
    ONES,
    Case,
    inputs,
    pull,
    split,
    twin,
)
from attn_research.testing.laws.measure import FORWARD, GRADIENT, close

OPTIONS = ReformerOptions(heads=2, rounds=2, buckets=4, span=2)
QUICK = ("padding", "step")
APART = ("reach", "reference", "causality")
REST = tuple(law for law in LAWS if law not in (*QUICK, *APART))


@pytest.mark.parametrize(
    "law", [*QUICK, *(pytest.param(law, marks=pytest.mark.slow) for law in REST)]
)
@pytest.mark.parametrize("causal", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_law_with_many_buckets(law, causal):
    apart = {"selects": True, "exact": False} if law.startswith("far_") else {}
    LAWS[law](Case(Reformer, OPTIONS, causal, "reformer", **apart))


def test_no_later_token_changes_the_past():
    case = Case(Reformer, OPTIONS, True, "reformer")
    LAWS["causality"](case.with_options(implementation="naive"))
    x_BTD, ct_BTD = inputs()
    before = pull(*split(case), x_BTD, ONES, ct_BTD).y_BTD
    for token in (1, 6, LENGTH - 1):
        x_BTD = x_BTD.copy()
        x_BTD[:, token] += 1e4
        after = pull(*split(case), x_BTD, ONES, ct_BTD).y_BTD
        close(after[:, :token], before[:, :token], 5e-7, f"before token {token}")
        x_BTD = inputs()[0]


@pytest.mark.parametrize("causal", [True, False])
def test_many_buckets_agree_with_float64(causal):
    case = Case(Reformer, OPTIONS, causal, "reformer")
    x_BTD, ct_BTD = inputs()
    got, want = pull(*split(case), x_BTD, ONES, ct_BTD), twin(case, (1,) * LENGTH)
    close(got.y_BTD, want.y_BTD, FORWARD, "output")
    close(got[1:], want[1:], GRADIENT, "gradient")


def build(length=64, causal=True, width=8, **options):
    sizes = {"width": width, "causal": causal, "length": length, "rngs": nnx.Rngs(0)}
    return Reformer(ReformerOptions(**options), **sizes)


def test_buckets_hold_the_span_of_the_length():
    assert build(length=1024, span=64).buckets == 16
    assert build(length=17).buckets == 0
    assert build(length=17, buckets=6).buckets == 6


def test_what_does_not_fit_is_refused():
    with pytest.raises(BadInput, match="buckets is 3; it must be even"):
        build(buckets=3)
    with pytest.raises(BadInput, match="width 8 and 3 heads; the number of heads must"):
        build(heads=3)


def test_decoding_past_what_is_remembered_gives_nan():
    mixer = build()
    carry = mixer.start(1, 2)
    for last in (False, False, True):
        y_BD, carry = mixer.step(jnp.ones((1, 8)), carry)
        assert np.isnan(y_BD).all() == last
