"""Other lengths than in training: of models of which it is known what they can do."""

import numpy as np
import pytest

from attn_research import analysis
from attn_research.analysis import subject
from attn_research.config import edit
from attn_research.options import BadInput
from attn_research.report.inside import ANALYSES
from tests.analysis.made import LENGTH, VOCABULARY, copier, families, restored


def asked(of, task: str):
    return of._replace(config=edit(of.config, {"task": task}))


def at(length: int) -> str:
    return f"recall(length={length},pairs=2,gap=2,vocabulary={VOCABULARY})"


def test_what_needs_no_length_is_known_at_every_length():
    """The values stand two back, where the model looks."""
    of = asked(copier(2, "conv"), at(16))
    found, length_N = analysis.at_lengths(of, [8, 16, 64], 4)
    assert (found.score_N == 1).all()
    np.testing.assert_array_equal(np.unique(length_N), [8, 16, 64])
    assert len(np.unique(found.sequence_N)) == 12
    np.testing.assert_array_equal(np.unique(length_N, return_counts=True)[1], 8)
    assert (found.position_N[length_N == 64] > 16).any()
    other, _ = analysis.at_lengths(asked(copier(3, "conv"), at(16)), [8, 64], 4)
    assert not other.score_N.any()


def test_the_figure_has_a_point_for_each_length_and_the_trained_one():
    of = asked(copier(2, "conv"), at(16))
    loss, score = ANALYSES["lengths"].show(subject.of_split(of, "test", 4, 16))
    (points,) = score.plan.panels[""].values()
    assert [x for x, _ in points] == [16, 32, 64, 128]  # no room for two pairs in 4
    assert {value.mean for _, value in points} == {1.0}
    assert [line["times the trained length"] for line in loss.summary] == [1, 2, 4, 8]


def test_lengths_beyond_a_table_of_positions_are_left_out():
    of = asked(restored("conv", length=16, positions="learned"), at(16))
    _, length_N = analysis.at_lengths(of, [8, 16, 32, 64], 2)
    assert set(length_N.tolist()) == {8, 16}
    with pytest.raises(BadInput, match="positions"):
        analysis.at_lengths(of, [16, 32], 2)


@pytest.mark.parametrize(("pattern", "causal"), families())
def test_every_family_is_asked_at_other_lengths(pattern, causal):
    of = asked(restored(pattern, causal=causal, length=16), at(16))
    found, length_N = analysis.at_lengths(of, [8, 16, 32], 2)
    assert np.isfinite(found.loss_N).all() and set(length_N.tolist()) == {8, 16, 32}


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("copying(lag=3,count=3)", "copying has no option length"),
        ("parity(length=6,test_length=40)", "answers by position are those by length"),
        (at(16), "one must differ from the trained length"),
    ],
)
def test_a_task_without_another_length_is_refused(task, words):
    with pytest.raises(BadInput, match=words):
        analysis.at_lengths(asked(restored("conv", length=16), task), [16])


def test_a_text_has_one_length():
    of = asked(restored("conv"), at(16))
    with pytest.raises(BadInput, match="A text has one length"):
        ANALYSES["lengths"].show(subject.of_text(of, bytes(range(LENGTH))))
