"""Words of texts, and weights between them."""

import numpy as np
import pytest

from attn_research.analysis import subject
from attn_research.analysis.words import by_word, reader, words
from attn_research.options import BadInput
from attn_research.report.inside.contract import draw
from attn_research.report.inside.sentences import show_sentence
from tests.analysis.made import restored

TEXT = "Ann's cat, Tom – it slept. "


def test_every_byte_belongs_to_one_word():
    raw = TEXT.encode()
    found = words(raw)
    assert [word.text for word in found] == [
        "Ann", "'", "s", "cat", ",", "Tom", "–", "it", "slept", "."
    ]  # fmt: skip
    assert found[0].begin == 0 and found[-1].end == len(raw)
    for one, after in zip(found, found[1:], strict=False):
        assert one.end == after.begin
    assert reader(found) == 7 and reader(found[:4]) == 3
    assert words(b"") == [] and [word.text for word in words(b"\xff\xfe a")]


def test_weights_are_summed_over_what_is_read_and_meant_over_what_reads():
    spans = words(b"ab c")
    weight_TS = np.array(
        [[2, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [1, 0, -2, 1]], float
    )
    (share_WW,) = by_word(weight_TS[None], spans)
    np.testing.assert_allclose(share_WW, [[1, 0], [(0 + 0.25) / 2, (0 + 0.75) / 2]])
    (turned_WW,) = by_word(1j * weight_TS[None], spans)
    np.testing.assert_allclose(turned_WW, share_WW)


def test_each_head_is_a_panel_with_words_along_its_sides():
    of = restored("dense(heads=2),lstm", layers=2, length=12)
    raw = bytes([1, 2, 9, 3, 3])  # the vocabulary has 16 tokens; 9 is a tab
    seen = subject.of_text(of, raw)
    spans = words(raw)
    alone, *layers = show_sentence(seen)
    assert [shown.plan.name for shown in layers] == ["sentence_0_0", "sentence_1_0"]
    assert list(layers[0].plan.panels) == ["head 0", "head 1"]
    assert list(layers[1].plan.panels) == ["Jacobian"]
    for shown in layers:
        for share_WW in shown.plan.panels.values():
            np.testing.assert_allclose(np.nansum(share_WW, axis=1), 1, rtol=1e-5)
            assert np.isnan(share_WW[0, 1:]).all()
    assert alone.plan.outputs == [
        "0 dense, head 0",
        "0 dense, head 1",
        "1 lstm, Jacobian",
    ]
    share_RW = alone.plan.panels[""]
    np.testing.assert_array_equal(
        share_RW[1], layers[0].plan.panels["head 1"][reader(spans)]
    )
    axis = draw(alone.plan).drawing.axes[0]
    assert [tick.get_text() for tick in axis.get_yticklabels()] == alone.plan.outputs


@pytest.mark.parametrize(
    ("raw", "words"),
    [(b"\x01", "has 1 words"), (b"\x01\x09" * 41, "has 41 words.*must be 2 to 40")],
)
def test_a_text_with_too_few_or_too_many_words_is_refused(raw, words):
    with pytest.raises(BadInput, match=words):
        show_sentence(subject.of_text(restored("conv", length=90), raw))
