"""Metrics of written texts against references, by the libraries that the field uses.

BLEU (Papineni et al., 2002) and chrF (Popovic, 2015) of a corpus, 0 to 100, are those
of sacrebleu (Post, 2018, arXiv:1804.08771). ROUGE-1, 2 and L (Lin, 2004), the mean F1
from 0 to 1, are those of rouge-score, which knows Latin letters and digits alone. Word
error rates are those of jiwer. What answers a question is compared as SQuAD does.
"""

import re
import string
from collections import Counter
from collections.abc import Sequence

ROUGE = ("rouge1", "rouge2", "rougeL")
ORDERS = 4  # BLEU counts stretches of up to so many words
ARTICLES = re.compile(r"\b(a|an|the)\b")


def metrics(
    texts: Sequence[str], references: Sequence[str]
) -> tuple[dict[str, float], list[str]]:
    """The metrics of texts, one reference each, and sentences on how and what not."""
    found = {"exact_match": exact(texts, references)}
    notes: list[str] = []
    for measure, names, package in (
        (_bleu, "BLEU or chrF", "sacrebleu"),
        (_rouge, "ROUGE", "rouge-score"),
    ):
        try:
            more, told = measure(texts, references)
        except ImportError:
            notes.append(f"There is no {names}: {package} (extra text) is missing.")
            continue
        found |= more
        notes += told
    return found, notes


def exact(texts: Sequence[str], references: Sequence[str]) -> float:
    """The fraction of texts that are their references."""
    equal = [a == b for a, b in zip(texts, references, strict=True)]
    return sum(equal) / len(equal)


def answers(texts: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Exact match of answers, and the mean F1 of their words in any order.

    Without case, punctuation and English articles, as SQuAD scores them (Rajpurkar et
    al., 2016, arXiv:1606.05250).
    """
    pair = [plain(text) for text in texts], [plain(text) for text in references]
    f1 = sum(map(_words_f1, *pair)) / len(texts)
    return {"exact_match": exact(*pair), "words_f1": f1}


def plain(text: str) -> str:
    """A text in lower case, without punctuation and articles, words a space apart."""
    kept = "".join(sign for sign in text.lower() if sign not in string.punctuation)
    return " ".join(ARTICLES.sub(" ", kept).split())


def word_errors(
    texts: Sequence[str], references: Sequence[str]
) -> tuple[dict[str, float], list[str]]:
    """The words wrong, missing and too many, by those of the references."""
    try:
        import jiwer
    except ImportError:
        return {}, ["There is no word error rate: jiwer (extra text) is missing."]
    return {"error_rate": float(jiwer.wer(list(references), list(texts)))}, []


def _words_f1(text: str, reference: str) -> float:
    own, asked = Counter(text.split()), Counter(reference.split())
    if not own or not asked:
        return float(own == asked)
    return 2 * (own & asked).total() / (own.total() + asked.total())


def _bleu(
    texts: Sequence[str], references: Sequence[str]
) -> tuple[dict[str, float], list[str]]:
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    # `force` accepts texts that look tokenized, which bad ones may. Of references of
    # less than four words there is no stretch of four: BLEU is 0 whatever was written,
    # unless only the orders count that there are ("eff:yes" in the signature).
    short = all(len(text.split()) < ORDERS for text in references)
    found, told = {}, []
    bleu = BLEU(force=True, effective_order=short)
    for name, metric in (("bleu", bleu), ("chrf", CHRF())):
        found[name] = metric.corpus_score(texts, [references]).score
        told.append(f"{name}: {metric.get_signature()}")
    return found, told


def _rouge(
    texts: Sequence[str], references: Sequence[str]
) -> tuple[dict[str, float], list[str]]:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(list(ROUGE))
    scored = [
        scorer.score(reference, text)
        for text, reference in zip(texts, references, strict=True)
    ]
    means = {
        name: sum(one[name].fmeasure for one in scored) / len(scored) for name in ROUGE
    }
    return means, []
