"""Texts of two classes: reviews of films, and sentences (Pang & Lee, 2004, 2005)."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath

from attn_research.tasks.contract import Split
from attn_research.tasks.data.raw import decoded, parts, zipped
from attn_research.tasks.data.schema import DataSet, Example, File, label, text

FOLDS: dict[str, Split] = {"cv8": "validation", "cv9": "test"}


def _reviews(raw: Path) -> Iterator[tuple[Split, Example]]:
    with zipped(raw, "movie_reviews.zip") as archive:
        for name in sorted(archive.namelist()):
            path = PurePosixPath(name)
            if path.suffix == ".txt":
                example = {
                    "text": archive.read(name),
                    "label": ("neg", "pos").index(path.parent.name),
                }
                yield FOLDS.get(path.name[:3], "train"), example


def _sentences(
    raw: Path, name: str, members: tuple[str, str]
) -> Iterator[tuple[Split, Example]]:
    with zipped(raw, f"{name}.zip") as archive:
        found = [
            (line.strip(), place)
            for place, member in enumerate(members)
            for line in archive.read(f"{name}/{member}").rstrip().split(b"\n")
        ]
    # A sentence that occurs twice stays in one split.
    held = parts(decoded(sentence) for sentence, _ in found)
    for sentence, place in found:
        yield held[decoded(sentence)], {"text": sentence, "label": place}


MOVIE_REVIEWS = DataSet(
    name="movie_reviews",
    task="sentiment of whole reviews",
    licence="CC BY 4.0",
    source="nltk/nltk_data: packages/corpora/movie_reviews.zip",
    folder="movie_reviews",
    files=(
        File(
            "movie_reviews.zip",
            4_004_848,
            "a41211ae685019137410268134db6a1a14428c89b671eb83056151a878539008",
        ),
    ),
    features={
        "text": text("the review, in lower case and tokenised"),
        "label": label(("negative", "positive"), "its sentiment"),
    },
    split="folds of Pang & Lee, 2004: 1-8 train, 9 validation, 10 test",
    examples={"train": 1600, "validation": 200, "test": 200},
    generate=_reviews,
)

SUBJECTIVITY = DataSet(
    name="subjectivity",
    task="subjective or objective sentences",
    licence="CC BY 4.0",
    source="nltk/nltk_data: packages/corpora/subjectivity.zip",
    folder="subjectivity",
    files=(
        File(
            "subjectivity.zip",
            521_628,
            "741f3371e1a4375051b874fd82fd55857b90975473c91c19a3101cbe17fc4d8c",
        ),
    ),
    features={
        "text": text("the sentence, in lower case and tokenised"),
        "label": label(("objective", "subjective"), "a plot, or an opinion"),
    },
    split="by the hash of the sentence: 80 / 10 / 10 %",
    examples={"train": 8000, "validation": 1000, "test": 1000},
    generate=partial(
        _sentences,
        name="subjectivity",
        members=("plot.tok.gt9.5000", "quote.tok.gt9.5000"),
    ),
)

SENTENCE_POLARITY = DataSet(
    name="sentence_polarity",
    task="sentiment of single sentences",
    licence="CC BY 4.0",
    source="nltk/nltk_data: packages/corpora/sentence_polarity.zip",
    folder="sentence_polarity",
    files=(
        File(
            "sentence_polarity.zip",
            490_256,
            "6e1ed4405b65c7eabf1d199a7f7c437091ac21da0ea7467b410a74062574566b",
        ),
    ),
    features={
        "text": text("the sentence, in lower case and tokenised"),
        "label": label(("negative", "positive"), "its sentiment"),
    },
    split="by the hash of the sentence: 80 / 10 / 10 %",
    examples={"train": 8530, "validation": 1066, "test": 1066},
    generate=partial(
        _sentences,
        name="sentence_polarity",
        members=("rt-polarity.neg", "rt-polarity.pos"),
    ),
)
