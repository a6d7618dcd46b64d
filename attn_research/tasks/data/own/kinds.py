"""The kinds of a user's sets: how a row becomes an example of the task."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attn_research.options import BadInput
from attn_research.tasks.data.own import columns, media
from attn_research.tasks.data.own.pairs import LANGUAGE
from attn_research.tasks.data.own.plain import plain
from attn_research.tasks.data.own.tables import Row
from attn_research.tasks.data.raw import encoded
from attn_research.tasks.data.schema import Example, Feature, array, text, texts

Roles = Mapping[str, str]


class Read(NamedTuple):
    """An example; what keeps rows together, and what no two splits may share.

    Its label, if it has one, is still the name of its class. `near` is the content
    without what does not tell texts apart.
    """

    example: Example
    group: bytes
    content: bytes
    near: bytes


def _of_text(example: Example, group: bytes, content: bytes) -> Read:
    """Texts that are nearly equal stay together."""
    return Read(example, plain(group), content, plain(content))


class Around(NamedTuple):
    """What rows are read with: the folder of their files, the size of images."""

    base: Path
    size: tuple[int, int] | None


class Kind(NamedTuple):
    """How rows are read, the features but for labels, what is measured, and the task.

    `features` are those of every set of the kind; `measured` are read up to a length.
    """

    read: Callable[[Row, Roles, Around], Read]
    features: Mapping[str, Feature]
    measured: tuple[str, ...]
    unit: str = "bytes"


def _text(row: Row, roles: Roles, role: str) -> bytes:
    return encoded(columns.text(row, roles[role], role))


def _classification(row: Row, roles: Roles, around: Around) -> Read:
    content = _text(row, roles, "text")
    return _of_text({"text": content, "label": _label(row, roles)}, content, content)


def _label(row: Row, roles: Roles) -> str:
    return columns.text(row, roles["label"], "label").strip()


def _plain(row: Row, roles: Roles, around: Around) -> Read:
    content = _text(row, roles, "text")
    return _of_text({"text": content}, content, content)


def _translation(row: Row, roles: Roles, around: Around) -> Read:
    example = {role: _text(row, roles, role) for role in sorted(roles)}
    first = example[languages(roles)[0]]
    return _of_text(example, example.get("document", first), first)


def languages(roles: Iterable[str]) -> list[str]:
    """The roles or features that are languages, in order."""
    return sorted(role for role in roles if LANGUAGE.fullmatch(role))


def _summarisation(row: Row, roles: Roles, around: Around) -> Read:
    whole = _text(row, roles, "text")
    query = _text(row, roles, "query") if "query" in roles else b"summary"
    example = {
        "transcript": whole,
        "turns": np.zeros(1, np.int32),
        "queries": [query],
        "summaries": [_text(row, roles, "summary")],
        "spans": np.zeros((0, 3), np.int32),
    }
    return _of_text(example, whole, query + b"\0" + whole)


def _questions(row: Row, roles: Roles, around: Around) -> Read:
    """An answer and the byte where it begins: at the letter given, or at the first."""
    question, context, answer = (
        columns.text(row, roles[role], role)
        for role in ("question", "context", "answer")
    )
    if "start" in roles:
        at = _letter(row, roles["start"])
        if context[at : at + len(answer)] != answer:
            raise BadInput(
                f"{row.where} has the answer {answer[:60]!r}, which is not at letter "
                f"{at} of its context; the start must be that of the answer"
            )
    else:
        at = context.find(answer)
        if at < 0:
            raise BadInput(
                f"{row.where} has the answer {answer[:60]!r}, which is not in its "
                "context; it must be a part of it, letter by letter"
            )
    paragraph, asked = encoded(context), encoded(question)
    example = {
        "question": asked,
        "context": paragraph,
        "answer": encoded(answer),
        "start": np.int32(len(encoded(context[:at]))),
    }
    return _of_text(example, paragraph, asked + b"\0" + paragraph)


def _letter(row: Row, column: str) -> int:
    value = columns.text(row, column, "start")
    try:
        at = int(value)
    except ValueError:
        at = -1
    if at < 0:
        raise BadInput(
            f"{row.where} has the start {value[:40]!r}; it must be the letter of the "
            "context where the answer begins, from 0 on"
        )
    return at


def _image(row: Row, roles: Roles, around: Around) -> Read:
    made = media.image(row, roles["image"], around.base, around.size)
    return _classified(row, roles, "image", made)


def _audio(row: Row, roles: Roles, around: Around) -> Read:
    return _classified(
        row, roles, "audio", media.audio(row, roles["audio"], around.base)
    )


def _classified(row: Row, roles: Roles, name: str, made: np.ndarray) -> Read:
    content = f"{made.shape}".encode() + made.tobytes()
    example = {name: made, "label": _label(row, roles)}
    return Read(example, content, content, content)


KINDS: dict[str, Kind] = {
    "classification": Kind(
        _classification, {"text": text("what is classified")}, ("text",)
    ),
    "text": Kind(_plain, {"text": text("a document")}, ("text",)),
    "translation": Kind(_translation, {}, ()),  # both depend on its languages
    "summarisation": Kind(
        _summarisation,
        {
            "transcript": text("what is summarised"),
            "turns": array("int32", (None,), "the byte where each turn starts: one"),
            "queries": texts("what is asked of it"),
            "summaries": texts("the answer to each query"),
            "spans": array("int32", (None, 3), "relevant turns: none are marked"),
        },
        ("transcript", "summaries"),
    ),
    "question_answering": Kind(
        _questions,
        {
            "question": text("what is asked"),
            "context": text("the paragraph"),
            "answer": text("a stretch of the paragraph"),
            "start": array("int32", (), "the byte of the paragraph where it begins"),
        },
        ("question", "context"),
    ),
    "image_classification": Kind(_image, {}, ()),
    "audio_classification": Kind(
        _audio, {"audio": array("int16", (None,), "8 kHz")}, ("audio",), "samples"
    ),
}


def features(kind: str, roles: Roles, first: Example) -> dict[str, Feature]:
    """The features of a set but for its label, which may depend on its columns."""
    made: dict[str, Any] = dict(KINDS[kind].features)
    if kind == "translation":
        made |= {role: text(f"the text in {role}") for role in languages(roles)}
        made |= {r: text("its document") for r in roles if not LANGUAGE.fullmatch(r)}
    elif kind == "image_classification":
        made["image"] = array("uint8", first["image"].shape, "0 is black")
    return made


def measured(kind: str, roles: Roles) -> tuple[str, ...]:
    """The features of which the length counts."""
    return tuple(languages(roles)) if kind == "translation" else KINDS[kind].measured
