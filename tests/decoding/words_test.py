"""Words are those of the language: by hand, and never a number that means nothing."""

import math

import pytest

from attn_research.decoding import text_metrics
from attn_research.decoding.words import plain, unspaced, words


@pytest.mark.parametrize(
    ("text", "single", "wanted"),
    [
        ("Été naïve, OK-1", False, ["été", "naïve", "ok", "1"]),
        ("Été", False, ["été"]),  # decomposed
        ("हिन्दी भाषा।", False, ["हिन्दी", "भाषा"]),
        ("我喜欢 GPU和Python3。", True, [*"我喜欢", "gpu", "和", "python3"]),
        ("ไทยดี ok", True, ["ไ", "ท", "ย", "ดี", "ok"]),
        ("日本のテスト", True, list("日本のテスト")),
        ("한국어 말", False, ["한국어", "말"]),
        ("", True, []),
        (" ,.", False, []),
    ],
)
def test_words_are_those_of_the_language(text, single, wanted):
    assert words(text, single) == wanted


def test_scripts_without_spaces_are_known_by_language_or_by_letters():
    assert unspaced(["x"], "zh") and unspaced(["x"], "th") and unspaced(["x"], "ja")
    assert unspaced(["这是一个句子"]) and unspaced(["ภาษาไทย"], "en")
    assert not unspaced(["A sentence about 北京 and its many old streets"])
    assert not unspaced(["Это предложение", "한국어 문장"]) and not unspaced([])


@pytest.mark.parametrize(
    ("wanted", "said", "language", "f1"),
    [
        # Equal letters, by hand: 7 of 10 and 7; 3 of 4 and 3.
        ("我喜欢机器学习和音乐", "我喜欢机器学习。", "zh", 2 * 7 / 17),
        ("日本のテ", "日本の", "", 2 * 3 / 7),
        # Equal words: 3 of 4 and 4; marks belong to their letter.
        ("यह एक नई परीक्षण", "यह एक परीक्षण है", "hi", 3 / 4),
        ("forêt très déjà là", "foret très déjà là", "fr", 3 / 4),
    ],
)
def test_rouge_and_answers_count_what_a_reader_would(wanted, said, language, f1):
    pytest.importorskip("rouge_score", reason="the extra text is missing")
    found, notes = text_metrics.metrics([said], [wanted], language)
    assert found["rouge1"] == pytest.approx(f1)
    f1_of_answers = text_metrics.answers([said], [wanted], language)["words_f1"]
    assert f1_of_answers == pytest.approx(f1)
    assert any(note.startswith("rouge: words are") for note in notes)


def test_bleu_is_read_by_the_tokenizer_of_the_language():
    sacrebleu = pytest.importorskip("sacrebleu", reason="the extra text is missing")
    for wanted, said, language, name in (
        ("我喜欢机器学习和音乐", "我喜欢机器学习", "", "zh"),
        ("私は音楽がとても好きです", "私は音楽がとても", "ja", "char"),
        ("ฉันชอบเรียนภาษา", "ฉันชอบเรียน", "th", "char"),
        ("the cat sat on a mat", "the cat sat on", "en", "13a"),
    ):
        found, notes = text_metrics.metrics([said], [wanted], language)
        own = sacrebleu.corpus_bleu([said], [[wanted]], tokenize=name).score
        assert found["bleu"] == own > 0
        assert f"tok:{name}" in notes[0]


def test_articles_are_those_of_the_language():
    assert plain("An die Tür", "de") == "an tür"
    assert plain("A cat, the “dog”") == "cat “dog”"
    assert plain("¿El gato?", "es") == "gato"
    assert plain("a casa", "pt") == "a casa"


def test_nothing_to_count_is_said_and_no_error():
    assert text_metrics.metrics([], []) == ({}, [text_metrics.NOTHING])
    assert text_metrics.answers([], []) == {}
    assert math.isnan(text_metrics.exact([], []))
    found, notes = text_metrics.metrics(["", "a"], ["", ""])
    assert found["exact_match"] == 0.5 and all(map(math.isfinite, found.values()))
    pytest.importorskip("jiwer", reason="the extra text is missing")
    found, (note,) = text_metrics.word_errors(["x"], [""])
    assert found == {} and "no reference has a word" in note
