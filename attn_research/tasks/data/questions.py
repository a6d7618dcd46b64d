"""Questions whose answer is a stretch of a paragraph, in three languages."""

from collections.abc import Iterator
from pathlib import Path

from attn_research.options import BadInput
from attn_research.tasks.contract import Split
from attn_research.tasks.data.raw import content, encoded, parsed, parts
from attn_research.tasks.data.schema import DataSet, Example, File, array, label, text

LANGUAGES = ("en", "de", "es")


def _xquad(raw: Path) -> Iterator[tuple[Split, Example]]:
    for place, language in enumerate(LANGUAGES):
        name = f"xquad.{language}.json"
        articles = parsed(content(raw, name), str(raw / name))["data"]
        held = parts(article["title"] for article in articles)
        for article in articles:
            title = article["title"]
            for paragraph in article["paragraphs"]:
                for question in paragraph["qas"]:
                    example = _question(paragraph["context"], question, raw / name)
                    yield (
                        held[title],
                        {"language": place, "title": encoded(title), **example},
                    )


def _question(context: str, question: dict, where: Path) -> Example:
    """The first answer of a question, placed by bytes."""
    found = question["answers"][0]
    start, answer = found["answer_start"], found["text"]
    if context[start : start + len(answer)] != answer:
        raise BadInput(f"{where}: the answer to {question['id']} is not where it says")
    return {
        "id": encoded(question["id"]),
        "context": encoded(context),
        "question": encoded(question["question"]),
        "answer": encoded(answer),
        "start": len(encoded(context[:start])),
    }


XQUAD = DataSet(
    name="xquad",
    task="extractive question answering (en, de, es)",
    licence="CC BY-SA 4.0",
    source="google-deepmind/xquad: xquad.{en,de,es}.json",
    folder="xquad",
    files=(
        File(
            "xquad.en.json",
            609_383,
            "e4c57d1c9143aaa1c5d265ba5987a65f4e69528d2a98f29d6e75019b10344f29",
        ),
        File(
            "xquad.de.json",
            669_810,
            "990b5d746746ed65ed4702ea5f35f99ffa4e2f1c390c07d003642acd937916f9",
        ),
        File(
            "xquad.es.json",
            684_322,
            "dcbae93ec3a9f4b9e78fd834a171d6f96c1a875e10e15b7530b7e4ef4971e37e",
        ),
    ),
    features={
        "language": label(LANGUAGES, "the language of context and question"),
        "title": text("the article, the same in every language"),
        "id": text("the question, the same in every language"),
        "context": text("the paragraph"),
        "question": text("the question"),
        "answer": text("a stretch of the paragraph"),
        "start": array("int32", (), "the byte of the paragraph where the answer is"),
    },
    split="by the hash of the article's title, the same in every language",
    examples={"train": 2868, "validation": 345, "test": 357},
    generate=_xquad,
)
