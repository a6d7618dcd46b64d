"""Metrics of written texts against references, by the libraries that the field uses.

BLEU (Papineni et al., 2002) and chrF (Popovic, 2015) of a corpus, 0 to 100, are those
of sacrebleu (Post, 2018, arXiv:1804.08771). ROUGE-1, 2 and L (Lin, 2004), the mean F1
from 0 to 1, are those of rouge-score, which knows Latin letters and digits alone.
"""

from collections import Counter
from collections.abc import Sequence

ROUGE = ("rouge1", "rouge2", "rougeL")


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


def words_f1(texts: Sequence[str], references: Sequence[str]) -> float:
    """The mean F1 of the words of a text and its reference, in any order.

    Rajpurkar et al. (2016, arXiv:1606.05250), but as they stand: nothing is put into
    lower case, no article or punctuation is left out.
    """
    return sum(map(_words_f1, texts, references)) / len(texts)


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

    # `force` accepts texts that look tokenized, which bad ones may.
    found, told = {}, []
    for name, metric in (("bleu", BLEU(force=True)), ("chrf", CHRF())):
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
