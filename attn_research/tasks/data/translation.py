"""Documents about a pandemic in eight languages, segment by segment."""

from collections.abc import Iterator
from pathlib import Path

from attn_research.options import BadInput
from attn_research.tasks.contract import Split
from attn_research.tasks.data.raw import decoded, lines
from attn_research.tasks.data.schema import DataSet, Example, File, array, text

# The file of English and each language; the English is that of the first file.
FILES = {
    "fr": "en-fr.tsv",
    "es": "en-es-419.tsv",
    "pt": "en-pt-BR.tsv",
    "ru": "en-ru.tsv",
    "zh": "en-zh.tsv",
    "hi": "en-hi.tsv",
    "id": "en-id.tsv",
}
LANGUAGES = ("en", *FILES)
# About a tenth of the segments each, from several kinds of document.
HELD: dict[str, Split] = {
    "PubMed_6": "validation",
    "Wikipedia_handpicked_3": "validation",
    "Wikinews_1": "validation",
    "Wikinews_6": "validation",
    "wiki_7": "validation",
    "wiki_13": "validation",
    "PubMed_9": "test",
    "Wikipedia_handpicked_7": "test",
    "Wikinews_4": "test",
    "Wikisource_1": "test",
    "wiki_4": "test",
    "wiki_10": "test",
}


def _tico(raw: Path) -> Iterator[tuple[Split, Example]]:
    tables = {
        language: [_row(raw / name, n, line) for n, line in enumerate(lines(raw, name))]
        for language, name in FILES.items()
    }
    first = tables["fr"]
    for language, table in tables.items():
        if [row[0] for row in table] != [row[0] for row in first]:
            raise BadInput(f"{raw / FILES[language]} has other segments than en-fr.tsv")
    for place, (name, english, _) in enumerate(first):
        document, _, number = decoded(name).partition(":")
        others = {language: table[place][2] for language, table in tables.items()}
        yield (
            HELD.get(document, "train"),
            {
                "document": document.encode(errors="surrogateescape"),
                "segment": int(number),
                "en": english,
                **others,
            },
        )


def _row(path: Path, number: int, line: bytes) -> list[bytes]:
    cells = line.split(b"\t")
    if len(cells) != 3 or not cells[0].partition(b":")[2].isdigit():
        raise BadInput(
            f"{path} line {number + 1} is not DOCUMENT:NUMBER, English, translation"
        )
    return cells


TICO19 = DataSet(
    name="tico19",
    task="translation of documents (en to fr, es, pt, ru, zh, hi, id)",
    licence="CC0 1.0",
    source="tico-19/tico-19.github.io: data/TM/all.en-LANGUAGE.tmx (as TSV: id, "
    "English, translation)",
    folder="tico19",
    files=(
        File(
            "en-fr.tsv",
            1_079_414,
            "b33e1ac73e9dcd9f25b3b4a06aceeaabe7bb16887399aa872fb135ccf76823be",
        ),
        File(
            "en-es-419.tsv",
            1_055_748,
            "da62af7b16ef5e3f689db97790e95e986175b1dcbb111fe3f41fb9cc8e200dfa",
        ),
        File(
            "en-pt-BR.tsv",
            1_030_493,
            "042d4d350df94e22052301f37d02800657c2a81e5ae8365a0492c20d7f76435d",
        ),
        File(
            "en-ru.tsv",
            1_471_396,
            "a8828d5dcacc5d961a3739d702069e2f46f40ed37febdd0d5d205677a3aa8db4",
        ),
        File(
            "en-zh.tsv",
            900_634,
            "7b9c8fbbf3d0e6699059fbbbf1f40fb07ca04590b9bcde0691dfc33668d7cd39",
        ),
        File(
            "en-hi.tsv",
            1_658_999,
            "03885e14b742342f389a887a446d8bae3a31362c132065aaa6b7f5191270f7ae",
        ),
        File(
            "en-id.tsv",
            995_227,
            "2c3edc284e9018c8671943a67eca7743a3d85dd7a54fc863a15479fc5e094b7d",
        ),
    ),
    features={
        "document": text("the document; its segments follow one another"),
        "segment": array("int32", (), "its number, counted through all documents"),
        **{language: text(f"the segment in {language}") for language in LANGUAGES},
    },
    split="by document: six of 31 each, a tenth of the segments, are held out",
    examples={"train": 2528, "validation": 272, "test": 271},
    generate=_tico,
)
