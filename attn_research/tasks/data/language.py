"""Texts to model: Shakespeare's plays, articles of Wikipedia, Moby-Dick."""

import re
from collections.abc import Iterator
from pathlib import Path

from attn_research.options import BadInput
from attn_research.tasks.contract import SPLITS, Split
from attn_research.tasks.data.raw import content, decoded, encoded, objects, parts
from attn_research.tasks.data.schema import DataSet, Example, File, text

ARTICLE = re.compile(rb"^ = ([^=].*) = $", re.MULTILINE)


def _shakespeare(raw: Path) -> Iterator[tuple[Split, Example]]:
    stream = content(raw, "input.txt")
    edges = [0, *(len(stream) * twentieth // 20 for twentieth in (18, 19, 20))]
    for split, low, high in zip(SPLITS, edges, edges[1:], strict=False):
        yield split, {"text": stream[low:high]}


def _wikitext(raw: Path) -> Iterator[tuple[Split, Example]]:
    for name in ("valid.txt", "test.txt"):
        stream = content(raw, name)
        heads = list(ARTICLE.finditer(stream))
        if not heads:
            raise BadInput(f"{raw / name} must have articles (a line ' = Title = ')")
        titles = [decoded(head[1]) for head in heads]
        held = parts(titles, (8, 2, 0))
        ends = [*(head.start() for head in heads[1:]), len(stream)]
        for title, head, end in zip(titles, heads, ends, strict=True):
            split = "test" if name == "test.txt" else held[title]
            yield split, {"title": head[1], "text": stream[head.start() : end]}


def _moby_dick(raw: Path) -> Iterator[tuple[Split, Example]]:
    chapters = list(objects(raw, "moby_dick.chapters.jsonl"))
    held = parts(chapter["file"] for chapter in chapters)
    for chapter in chapters:
        name = chapter["file"].removesuffix(".xhtml")
        example = {"chapter": encoded(name), "text": encoded(chapter["text"])}
        yield held[chapter["file"]], example


TINYSHAKESPEARE = DataSet(
    name="tinyshakespeare",
    task="language modelling of one stream of plays",
    licence="public domain",
    source="karpathy/char-rnn: data/tinyshakespeare/input.txt",
    folder="tinyshakespeare",
    files=(
        File(
            "input.txt",
            1_115_394,
            "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        ),
    ),
    features={"text": text("a stretch of the plays")},
    split="the first 90 %, the next 5 %, the last 5 % of the bytes",
    examples={"train": 1, "validation": 1, "test": 1},
    generate=_shakespeare,
)

WIKITEXT2 = DataSet(
    name="wikitext2",
    task="language modelling of articles",
    licence="CC BY-SA 3.0 and GFDL",
    source="pytorch/examples: word_language_model/data/wikitext-2/{valid,test}.txt",
    folder="wikitext2_valid_test",
    files=(
        File(
            "valid.txt",
            1_121_681,
            "f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8",
        ),
        File(
            "test.txt",
            1_256_449,
            "d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0",
        ),
    ),
    features={
        "title": text("the title"),
        "text": text("the article, title included, tokenised with <unk>"),
    },
    split="WikiText-2's test; its validation articles by title: two tenths validation, "
    "the rest train (its own train part is not used)",
    examples={"train": 49, "validation": 11, "test": 62},
    generate=_wikitext,
)

MOBY_DICK = DataSet(
    name="moby_dick",
    task="language modelling of chapters",
    licence="CC0 1.0",
    source="standardebooks/herman-melville_moby-dick (a JSON line a chapter: book, "
    "author, file, text)",
    folder="books_cc0",
    files=(
        File(
            "moby_dick.chapters.jsonl",
            1_229_641,
            "e41dddd3fa50c79adaad3a93a45e2a1646444d9816e609dd4108c72b3c700bbf",
        ),
    ),
    features={"chapter": text("its name"), "text": text("the chapter")},
    split="by the hash of the chapter's name: 80 / 10 / 10 %",
    examples={"train": 110, "validation": 14, "test": 14},
    generate=_moby_dick,
)
