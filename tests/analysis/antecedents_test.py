"""Antecedents that are where they are said to be, and heads that point to them."""

import numpy as np
import pytest

from attn_research.analysis import antecedents
from attn_research.analysis.antecedents import Antecedents, passages
from attn_research.config import edit
from attn_research.options import BadInput
from attn_research.tasks.coreference import PEOPLE, WORDS
from attn_research.tasks.parts import sets
from tests.analysis.made import TWO, copier, restored

LENGTH = 34


def texts(asked: Antecedents) -> list[list[bytes]]:
    """What reads, the antecedent and the other person of every sequence."""
    inputs_BT, *flags = asked
    return [
        [bytes(inputs_T[own_BT[b]].astype(np.uint8)) for own_BT in flags]
        for b, inputs_T in enumerate(inputs_BT)
    ]


def test_a_pronoun_of_a_passage_is_the_last_to_be_read(data_sets):
    asked = passages("train", 99, LENGTH, "pronoun")
    columns = sets.loaded("gap", "", *antecedents.MARKED)["train"]
    marked = []
    for row in zip(*(columns[name] for name in antecedents.MARKED), strict=True):
        text, *spans, label = row
        pronoun, a, b = (bytes(text[low:high]) for low, high in spans)
        if label < 2:
            marked.append([pronoun, a, b] if label == 0 else [pronoun, b, a])
    found = texts(asked)
    assert 0 < len(found) < len(marked), "not both persons are near in every passage"
    assert all(one in marked for one in found)
    for _, reader_T, *people in zip(*asked, strict=True):
        first = np.flatnonzero(reader_T)[0]
        assert all(flags_T.any() and not flags_T[first:].any() for flags_T in people)
    assert len(passages("train", 2, LENGTH, "pronoun").inputs_BT) == 2


def test_a_name_used_again_points_to_its_marked_occurrence():
    text = b"Paula met Rosa; then Rosa left, and Paula Ro."
    spans = [np.array([10, 12]), np.array([0, 5]), np.array([10, 14])]
    found = list(antecedents._again(np.frombuffer(text, np.uint8), *spans, label=2))
    again, own, other = found[0]
    assert text[slice(*again)] == b"Paula" and again[0] == 36
    assert (list(own), list(other)) == ([0, 5], [10, 14])
    assert [text[slice(*one[0])] for one in found] == [b"Paula", b"Rosa"]
    cut = antecedents._cut(np.frombuffer(text, np.uint8), found[1], 25)
    assert cut is not None
    inputs_T, reader_T, meant_T, other_T = cut
    assert bytes(inputs_T.astype(np.uint8)) == text[:25]
    assert np.flatnonzero(reader_T).tolist() == [21, 22, 23, 24]
    assert (meant_T.sum(), other_T.sum()) == (4, 5)
    assert antecedents._cut(np.frombuffer(text, np.uint8), found[1], 24) is None


def test_too_short_a_length_is_refused(data_sets):
    with pytest.raises(BadInput, match="has a pronoun and two persons within 3 bytes"):
        passages("test", 9, 3, "pronoun")


def test_both_persons_of_a_made_up_sentence():
    task = "coreference(length=15,cue=gender)"
    of = restored("conv", length=15)
    of = of._replace(config=edit(of.config, {"task": task}))
    asked = antecedents.persons(of, "test", 8)
    inputs_BT, reader_BT, meant_BT, other_BT = asked
    assert (reader_BT.sum(axis=1) == 1).all() and reader_BT[:, -1].all()
    for flags_BT in (meant_BT, other_BT):
        assert (flags_BT.sum(axis=1) == 1).all()
        assert (inputs_BT[flags_BT] < len(PEOPLE)).all()
    women_B = inputs_BT[meant_BT] < 10
    assert [WORDS[t] for t in inputs_BT[reader_BT]] == [
        "she" if woman else "he" for woman in women_B
    ]
    assert ((inputs_BT[other_BT] < 10) != women_B).all(), "told apart by gender"
    with pytest.raises(BadInput, match="the task must be coreference"):
        antecedents.persons(restored("conv"), "test", 8)


def test_a_head_that_points_differs_from_one_that_does_not():
    """All of the weight lies two back, of which chance has a ninth."""
    place_BT = np.broadcast_to(np.arange(TWO.shape[1]), TWO.shape)
    asked = Antecedents(TWO, place_BT == 8, place_BT == 6, place_BT < 2)
    found_2N = antecedents.beyond(copier(2, "dense"), asked)
    np.testing.assert_allclose(found_2N, [[8 / 9], [8 / 9 + 2 / 9]], atol=1e-4)
    away = asked._replace(meant_BT=place_BT == 5)
    np.testing.assert_allclose(
        antecedents.beyond(copier(2, "dense"), away)[0], -1 / 9, atol=1e-4
    )
