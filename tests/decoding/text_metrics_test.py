"""Metrics of texts: the numbers of the libraries, and words where there are none."""

import sys

import pytest

from attn_research.decoding import text_metrics

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


def test_bleu_of_short_sentences_counts_the_orders_that_there_are():
    """By hand: of 9 words 8, of 6 pairs 4, of 3 triples 2 are right."""
    sacrebleu = pytest.importorskip("sacrebleu", reason="the extra text is missing")
    wanted = ["3 moves left", "7 moves up", "1 moves down"]
    said = ["3 moves left", "7 moves up", "8 moves down"]
    found, notes = text_metrics.metrics(said, wanted)
    by_hand = 100 * (8 / 9 * 5 / 6 * 2 / 3) ** (1 / 3)
    assert found["bleu"] == pytest.approx(by_hand)
    assert "eff:yes" in notes[0]
    assert sacrebleu.corpus_bleu(said, [wanted]).score == 0
    assert text_metrics.metrics(wanted, wanted)[0]["bleu"] == pytest.approx(100)
    assert "eff:no" in text_metrics.metrics(SAID, WANTED)[1][0]


def test_answers_are_compared_as_squad_does():
    texts = ["The Cat.", "in 1902", "a b", "x"]
    wanted = ["cat", "1902", "c", "the"]
    found = text_metrics.answers(texts, wanted)
    assert found["exact_match"] == 0.25
    assert found["words_f1"] == pytest.approx((1 + 2 / 3 + 0 + 0) / 4)
    assert text_metrics.answers(["the"], ["An"])["words_f1"] == 1


def test_word_errors_are_edits_by_the_words_that_were_said(monkeypatch):
    pytest.importorskip("jiwer", reason="the extra text is missing")
    found, notes = text_metrics.word_errors(["1 2 3", "4 4", ""], ["1 3", "4 5", "6"])
    assert found == {"error_rate": pytest.approx(3 / 5)} and notes == []
    monkeypatch.setitem(sys.modules, "jiwer", None)
    found, (note,) = text_metrics.word_errors(["1"], ["1"])
    assert found == {} and "jiwer (extra text) is missing" in note


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
        "BLEU and chrF not measured: sacrebleu (extra text) is missing.",
        "ROUGE not measured: rouge-score (extra text) is missing.",
    ]
