"""Metrics of written texts against references, by the libraries that the field uses.

| metric | range | library |
|---|---|---|
| BLEU (Papineni et al., 2002) of a corpus | 0 to 100 | sacrebleu |
| chrF (Popovic, 2015) of a corpus | 0 to 100 | sacrebleu |
| ROUGE-1, 2 and L (Lin, 2004), mean F1 | 0 to 1 | rouge-score |
| word error rate | from 0 | jiwer |

sacrebleu: Post, 2018, arXiv:1804.08771. Words are those of the language of the
references (`words`): Chinese is read by sacrebleu's tokenizer for it, what else has no
spaces letter by letter, and ROUGE reads all letters (rouge-score: a to z only). Answers
to questions are scored as SQuAD does.
"""

import math
from collections import Counter
from collections.abc import Sequence

from attn_research.decoding.words import chinese, plain, unspaced, words

ROUGE = ("rouge1", "rouge2", "rougeL")
ORDERS = 4  # BLEU counts n-grams of up to this many words
NOTHING = "No example has an answer; nothing was measured."


def metrics(
    texts: Sequence[str], references: Sequence[str], language: str = ""
) -> tuple[dict[str, float], list[str]]:
    """The metrics of texts against one reference each, and notes on them.

    `language` is that of the references, two letters; empty: unknown.
    """
    if not references:
        return {}, [NOTHING]
    found = {"exact_match": exact(texts, references)}
    notes: list[str] = []
    for measure, names, package in (
        (_bleu, "BLEU and chrF", "sacrebleu"),
        (_rouge, "ROUGE", "rouge-score"),
    ):
        try:
            more, more_notes = measure(texts, references, language)
        except ImportError:
            notes.append(f"{names} not measured: {package} (extra text) is missing.")
            continue
        found |= more
        notes += more_notes
    return found, notes


def exact(texts: Sequence[str], references: Sequence[str]) -> float:
    """The fraction of texts that equal their references."""
    equal = [a == b for a, b in zip(texts, references, strict=True)]
    return sum(equal) / len(equal) if equal else math.nan


def answers(
    texts: Sequence[str], references: Sequence[str], language: str = ""
) -> dict[str, float]:
    """Exact match of answers, and the mean F1 of their words in any order.

    Case, punctuation and articles are ignored (`words.plain`); {} without examples.
    """
    if not references:
        return {}
    single = unspaced(references, language)
    pair = [
        [plain(text, language, single) for text in side] for side in (texts, references)
    ]
    f1 = sum(map(_words_f1, *pair)) / len(references)
    return {"exact_match": exact(*pair), "words_f1": f1}


def word_errors(
    texts: Sequence[str], references: Sequence[str]
) -> tuple[dict[str, float], list[str]]:
    """Substituted, missing and superfluous words per word of the references."""
    try:
        import jiwer
    except ImportError:
        return {}, ["Word error rate not measured: jiwer (extra text) is missing."]
    if not any(reference.split() for reference in references):
        return {}, ["Word error rate not measured: no reference has a word."]
    return {"error_rate": float(jiwer.wer(list(references), list(texts)))}, []


def _words_f1(text: str, reference: str) -> float:
    said, wanted = Counter(text.split()), Counter(reference.split())
    if not said or not wanted:
        return float(said == wanted)
    return 2 * (said & wanted).total() / (said.total() + wanted.total())


def _bleu(
    texts: Sequence[str], references: Sequence[str], language: str
) -> tuple[dict[str, float], list[str]]:
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    tokenize = None  # sacrebleu's own, 13a
    if unspaced(references, language):
        tokenize = "zh" if chinese(references, language) else "char"
    # `force` accepts texts that look tokenized, as bad ones may. If all references are
    # shorter than four words, BLEU is 0 for every text unless only existing orders
    # count ("eff:yes" in the signature).
    cut = str.split
    if tokenize:
        tokenizer = BLEU(tokenize=tokenize).tokenizer
        cut = lambda text: tokenizer(text).split()  # noqa: E731
    short = all(len(cut(text)) < ORDERS for text in references)
    found, notes = {}, []
    bleu = BLEU(force=True, effective_order=short, tokenize=tokenize)
    for name, metric in (("bleu", bleu), ("chrf", CHRF())):
        found[name] = metric.corpus_score(texts, [references]).score
        notes.append(f"{name}: {metric.get_signature()}")
    return found, notes


class _Words:
    """The words of a text as rouge-score asks for them."""

    def __init__(self, single: bool):
        self.single = single

    def tokenize(self, text: str) -> list[str]:
        """The words of a text."""
        return words(text, self.single)


def _rouge(
    texts: Sequence[str], references: Sequence[str], language: str
) -> tuple[dict[str, float], list[str]]:
    from rouge_score.rouge_scorer import RougeScorer

    tokenizer, notes = None, []
    if not all(map(str.isascii, references)):
        single = unspaced(references, language)
        tokenizer = _Words(single)
        what = (
            "single letters: no spaces are between words" if single else "all letters"
        )
        notes = [f"rouge: words are {what}; rouge-score alone reads a to z."]
    scorer = RougeScorer(list(ROUGE), tokenizer=tokenizer)
    scored = [
        scorer.score(reference, text)
        for text, reference in zip(texts, references, strict=True)
    ]
    means = {
        name: sum(row[name].fmeasure for row in scored) / len(scored) for name in ROUGE
    }
    return means, notes
