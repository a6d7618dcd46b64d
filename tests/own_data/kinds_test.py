"""Summaries, questions and translations of a user's tables."""

import json

import pytest

from attn_research.tasks.contract import SPLITS
from tests.own_data.reading import refused, reviews, seen, table


def lines(path, rows):
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_a_summary_is_that_of_a_text(tmp_path):
    rows = [(text, f"sum {n}") for n, (text, _) in enumerate(reviews())]
    path = table(tmp_path / "a.csv", rows, header=("article", "summary"))
    found = seen(path, "summarisation")
    pairs = {
        (r["transcript"].decode(), r["summaries"][0].decode()) for r in found.rows()
    }
    assert pairs == {*rows}
    assert all(row["queries"] == [b"summary"] for row in found.rows())
    refused("none that is usual for summary", table(tmp_path / "b.csv", reviews()),
            "summarisation")  # fmt: skip


def asked(n: int) -> dict:
    context = f"Zoë saw {n % 9} cats and {n % 9} dogs on day {n % 9}."
    return {"question": f"how many dogs, {n}?", "context": context,
            "answer": f"{n % 9} dogs"}  # fmt: skip


def test_an_answer_is_found_in_its_context(tmp_path):
    found = seen(
        lines(tmp_path / "a.jsonl", map(asked, range(60))), "question_answering"
    )
    for row in found.rows():
        at = int(row["start"])
        assert row["context"][at : at + len(row["answer"])] == row["answer"]
        assert at == len("Zoë saw 0 cats and ".encode())
    contexts = [found.texts(split, "context") for split in SPLITS]
    assert all(contexts) and len(set.union(*contexts)) == sum(map(len, contexts)) == 9
    assert "more than once" not in found.lines
    rows = [*map(asked, range(60)), {**asked(1), "question": "?", "answer": "1"}]
    found = seen(lines(tmp_path / "a.jsonl", rows), "question_answering")
    assert "more than once: 1, first a.jsonl line 61;" in found.lines
    rows[-1] = {**asked(1), "answer": "no dogs"}
    refused("a.jsonl line 61 has the answer 'no dogs', which is not in its context",
            lines(tmp_path / "a.jsonl", rows), "question_answering")  # fmt: skip


def test_answers_in_the_form_of_datasets(tmp_path):
    rows = []
    for n in range(60):
        row = asked(n)
        at = row["context"].index(row["answer"])
        rows.append(
            {**row, "answers": {"text": [row.pop("answer")], "answer_start": [at]}}
        )
        del rows[-1]["answer"]
    found = seen(lines(tmp_path / "a.jsonl", rows), "question_answering")
    whole = seen(
        lines(tmp_path / "b.jsonl", map(asked, range(60))), "question_answering"
    )
    assert found.found.digest == whole.found.digest
    rows.append({**rows[0], "answers": {"text": [], "answer_start": []}})
    path = lines(tmp_path / "a.jsonl", rows)
    refused("a.jsonl line 61 has no answer", path, "question_answering")
    assert len(seen(path, "question_answering", drop_missing=True).rows()) == 60
    for start in (3, -1, 10**30, "x"):
        rows[-1] = {**rows[0], "answers": {"text": ["0 dogs"], "answer_start": [start]}}
        refused("a.jsonl line 61 has the", lines(tmp_path / "a.jsonl", rows),
                "question_answering")  # fmt: skip


def test_languages_are_columns_or_named(tmp_path):
    rows = [(n, f"hello {n}", f"hallo {n}", n // 4) for n in range(60)]
    path = table(tmp_path / "a.csv", rows, header=("id", "english", "german", "from"))
    refused("two of them must be languages of two letters, or be named by --columns",
            path, "translation")  # fmt: skip
    refused("'eng=english'; it must be ROLE=COLUMN, and the roles of translation are "
            "languages of two letters", path, "translation",
            columns="eng=english")  # fmt: skip
    given = "en=english,de=german,document=from"
    found = seen(path, "translation", columns=given)
    parts = [found.texts(split, "document") for split in SPLITS]
    assert all(parts) and len(set.union(*parts)) == sum(map(len, parts)) == 15
    nested = [{"translation": {"en": b, "de": c}} for _, b, c, _ in rows]
    found = seen(lines(tmp_path / "a.jsonl", nested), "translation")
    assert found.found.data.features.keys() == {"de", "en"}
    assert len(found.rows()) == 60


def test_a_language_in_two_columns_is_refused(tmp_path):
    rows = [(f"hello {n}", f"hallo {n}", f"hi {n}") for n in range(60)]
    path = table(tmp_path / "a.csv", rows, header=("x.en", "de", "y.en"))
    refused("has en in the columns x.en and y.en; --columns must name one of them",
            path, "translation")  # fmt: skip
    found = seen(path, "translation", columns="en=y.en,de=de")
    assert found.texts("train", "en") <= {f"hi {n}" for n in range(60)}


@pytest.mark.parametrize(
    "option", [{"gaps": "fill"}, {"dates": "%Y"}, {"size": "3x3"}], ids=str
)
def test_options_that_nothing_reads_are_refused(option, tmp_path):
    (name,) = option
    refused(f"--{name} does nothing for classification",
            table(tmp_path / "a.csv", reviews()), **option)  # fmt: skip
