"""What a model is looked at with."""

import numpy as np
import pytest

from attn_research.analysis import subject
from attn_research.analysis.subject import Subject
from attn_research.options import BadInput
from tests.analysis.made import TWO, restored


def test_of_a_text_the_next_token_is_asked_for():
    seen = subject.of_text(restored("conv"), b"\x01\x05\x02")
    spec, batch = seen.answered
    np.testing.assert_array_equal(batch.inputs, [[1, 5, 2]])
    np.testing.assert_array_equal(batch.targets[:, :2], [[5, 2]])
    np.testing.assert_array_equal(batch.weights, [[1, 1, 0]])
    assert spec.length == spec.labels == 3 and spec.target == "token"
    with pytest.raises(BadInput, match="has 1 token; 2 are needed"):
        _ = subject.of_text(restored("conv"), b"\x01").answered
    for of in (restored("conv", classes=3), restored("conv", causal=False)):
        with pytest.raises(BadInput, match="predicts no next token, so that a text"):
            _ = subject.of_text(of, b"\x01\x05").answered


def test_a_stretch_is_of_all_that_is_no_padding():
    of = restored("conv")
    segments_BT = np.zeros(TWO.shape, np.int32)
    segments_BT[0, :2], segments_BT[1, 3:5] = 1, 2
    some = Subject(of, TWO, segments_BT, None, None)
    np.testing.assert_array_equal(some.stretch, [*TWO[0, :2], *TWO[1, 3:5]])
    whole = Subject(of, TWO, None, None, None)
    np.testing.assert_array_equal(whole.stretch, TWO.reshape(-1))
