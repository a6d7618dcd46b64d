"""Metrics of texts: the numbers of the libraries, and words where there are none."""

import sys

import pytest

from attn_research import text_metrics

SAID = ["the cat sat on the mat", "there is a dog", "no", "a b c d e"]
WANTED = ["the cat is on the mat", "there is a dog", "yes", "a c b d e f"]


def test_bleu_and_chrf_are_those_of_sacrebleu():
    sacrebleu = pytest.importorskip("sacrebleu", reason="the extra text is missing")
    found, notes = text_metrics.metrics(SAID, WANTED)
    assert found["bleu"] == sacrebleu.corpus_bleu(SAID, [WANTED]).score
    assert found["chrf"] == sacrebleu.corpus_chrf(SAID, [WANTED]).score
    assert 0 < found["bleu"] < 100 and found["exact_match"] == 0.25
    assert [note.partition(":")[0] for note in notes[:2]] == ["bleu", "chrf"]
    perfect, _ = text_metrics.metrics(WANTED, WANTED)
    assert perfect["bleu"] == pytest.approx(100) and perfect["exact_match"] == 1


def test_rouge_is_that_of_rouge_score():
    rouge = pytest.importorskip("rouge_score", reason="the extra text is missing")
    assert rouge
    found, _ = text_metrics.metrics(SAID, WANTED)
    # By hand: 5 of 6 words, 3 of 5 pairs; all; none; 5 of 5 and 6 words.
    assert found["rouge1"] == pytest.approx((5 / 6 + 1 + 0 + 10 / 11) / 4)
    assert found["rouge2"] == pytest.approx((3 / 5 + 1 + 0 + 2 / 9) / 4)
    assert found["rougeL"] == pytest.approx((5 / 6 + 1 + 0 + 8 / 11) / 4)


def test_without_the_libraries_it_is_said(monkeypatch):
    for name in ("sacrebleu.metrics.bleu", "rouge_score.rouge_scorer"):
        monkeypatch.setitem(sys.modules, name, None)
    found, notes = text_metrics.metrics(SAID, WANTED)
    assert found == {"exact_match": 0.25}
    assert notes == [
        "There is no BLEU or chrF: sacrebleu (extra text) is missing.",
        "There is no ROUGE: rouge-score (extra text) is missing.",
    ]
