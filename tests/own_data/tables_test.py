"""Tables of a user: how they are written, which column is what, what is refused."""

import csv
import io
import json
import tempfile
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attn_research.tasks.data.own import tables
from tests.own_data.reading import refused, reviews, seen, table


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_every_encoding_and_separator_gives_the_same(encoding, separator, tmp_path):
    rows = [(text + " é", label) for text, label in reviews()]
    plain = seen(table(tmp_path / "a.csv", rows))
    other = table(tmp_path / "b.csv", rows, separator=separator, encoding=encoding)
    found = seen(other)
    assert found.found.digest == plain.found.digest
    assert {row["text"].decode() for row in found.rows()} == {text for text, _ in rows}
    assert ("separated by" in found.lines) == (separator != ",")


def test_all_forms_of_a_table_give_the_same(tmp_path):
    rows = [{"text": text, "label": label} for text, label in reviews()]
    made = [table(tmp_path / "a.csv", reviews())]
    made.append(table(tmp_path / "a.tsv", reviews(), separator="\t"))
    made.append(tmp_path / "a.jsonl")
    made[-1].write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    made.append(tmp_path / "a.json")
    made[-1].write_text(json.dumps(rows))
    made.append(tmp_path / "a.parquet")
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), made[-1])
    assert len({seen(path).found.digest for path in made}) == 1


def test_signs_that_move_a_terminal_are_not_shown(tmp_path):
    rows = [("\x1b[2Jgone", "yes"), *reviews()]
    assert "  text: ?[2Jgone" in seen(table(tmp_path / "a\n.csv", rows)).told
    refused(
        "a?.csv line 42 has 1 values", table(tmp_path / "a\n.csv", [*reviews(), "x"])
    )
    names = ('"two\nlines"', "label")
    path = table(tmp_path / "b.csv", reviews(), header=names)
    refused("has the column 'two\\nlines'; the names of columns must be", path)


def test_quoted_values_hold_separators_quotes_and_line_breaks(tmp_path):
    texts = [f'one, "two"\nand; {n} three' for n in range(30)]
    with open(tmp_path / "a.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        rows.writerows([text, n % 2] for n, text in enumerate(texts))
    assert {row["text"].decode() for row in seen(tmp_path / "a.csv").rows()} == {*texts}
    with open(tmp_path / "a.csv", "a") as file:
        file.write("short,1,more\n")
    refused("a.csv line 62 has 3 values", tmp_path / "a.csv")


def test_a_cell_longer_than_the_reader_allows_is_read(tmp_path):
    before = csv.field_size_limit()
    rows = [*reviews(), ("x" * 200_000, "no")]
    found = seen(table(tmp_path / "a.csv", rows))
    assert max(len(row["text"]) for row in found.rows()) == 200_000
    assert csv.field_size_limit() == before
    assert "1 of 41 (2.4%) are longer than 1,024 and would be cut" in found.lines


DAMAGED = {
    "not utf-8": ("a.csv", b"text,label\ncaf\xe9,1\n", "0xe9 in position 14"),
    "a nul": ("a.csv", b"text,label\na\0b,1\n", "line 2 holds a NUL"),
    "an open quote": ("a.csv", b'text,label\na,1\n"b,1\n', "a.csv line 3 cannot be"),
    "two names": ("a.csv", b"text,text\na,1\n", "two columns 'text'"),
    "nothing": ("a.csv", b"", "its first line must name the columns"),
    "a header alone": ("a.csv", b"text,label\n", "has no rows"),
    "no JSON": ("a.jsonl", b'{"text": "a"}\n{"text": \n', "a.jsonl line 2 cannot be"),
    "no object": ("a.jsonl", b"[1]\n", "a.jsonl line 1 is list"),
    "nested deeply": ("a.jsonl", b"[" * 100_000, "a.jsonl line 1 cannot be"),
    "no list": ("a.json", b'{"text": "a"}', "must be a list of objects"),
    "no Parquet": ("a.parquet", b"PAR1 and no more", "must be Parquet"),
    "a list": (
        "a.jsonl", b'{"text": ["a", "b"], "label": 1}', "line 1 has list as its text"
    ),
    "another kind": ("a.xlsx", b"PK", "must end in one of .csv"),
    "a key twice": (
        "a.jsonl", b'{"text": "a", "text": "b", "label": 1}', "has the key 'text' twice"
    ),
    "a name twice": (
        "a.jsonl", b'{"a": {"b": 1}, "a.b": 2}', "line 1 has two values for a.b"
    ),
    "a nul in JSON": (
        "a.jsonl",
        b'{"text": "a\\u0000", "label": 1}\n{"text": "b", "label": 2}\n',
        "line 1 holds a NUL in its text",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_what_is_no_table_is_refused_with_its_line(name, tmp_path):
    file, content, words = DAMAGED[name]
    (tmp_path / file).write_bytes(content)
    refused(words, tmp_path / file)


def test_a_path_that_is_not_there_is_refused(tmp_path):
    refused("which is not there", tmp_path / "a.csv")


def test_parquet_without_pyarrow_names_the_extra(tmp_path, monkeypatch):
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a"], "label": [1]}), path)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(tables.BadInput, match=r"must be installed.*\[tables\]"):
        seen(path)


# --- which column is what ------------------------------------------------------------


def test_columns_are_found_by_usual_names_or_as_given(tmp_path):
    usual = table(tmp_path / "a.csv", reviews(), header=("Review", "sentiment"))
    found = seen(usual)
    assert "text is Review, label is sentiment" in found.told
    other = table(tmp_path / "b.csv", reviews(), header=("words", "stars"))
    named = seen(other, columns="text=words, label=stars")
    assert named.found.digest == found.found.digest
    assert "40 rows with the columns words, stars." in named.told
    assert "  text: apple number 0 is bad" in named.told


WRONG = {
    "text=revew,label=stars": "review, stars; did you mean 'review'?",
    "txt=review": "must be ROLE=COLUMN, and the roles of classification are text, "
    "label; did you mean 'text'?",
    "text": "must be ROLE=COLUMN",
    "text=review,text=stars": "names text twice",
    "text=stars,label=stars": "names stars twice, as text and as label; a column must",
    "text=review": "none that is usual for label; --columns must name it",
}


@pytest.mark.parametrize("given", WRONG)
def test_a_column_that_is_not_there_is_refused_with_those_that_are(given, tmp_path):
    path = table(tmp_path / "a.csv", reviews(), header=("review", "stars"))
    refused(WRONG[given], path, columns=given)


def test_columns_that_no_role_has_are_named(tmp_path):
    rows = [(*row, n, n % 5) for n, row in enumerate(reviews(60))]
    path = table(tmp_path / "a.csv", rows, header=("text", "label", "id", "who"))
    assert "Columns that are not used: id, who." in seen(path).told
    assert "Columns that are not used: id." in seen(path, group="who").told
    plain = table(tmp_path / "b.csv", reviews())
    assert "not used" not in seen(plain).lines


def test_two_columns_of_one_usual_name_are_refused(tmp_path):
    rows = [(text, "other", label) for text, label in reviews()]
    path = table(tmp_path / "a.csv", rows, header=("Text", "text", "label"))
    refused("has the columns Text and text; --columns must name one of them", path)
    assert len(seen(path, columns="text=Text").rows()) == 40


@pytest.mark.parametrize("option", ["split", "group"])
def test_other_columns_must_be_there_too(option, tmp_path):
    path = table(tmp_path / "a.csv", reviews())
    refused(f"--{option} names the column 'lable'", path, **{option: "lable"})


def test_a_row_without_a_value_is_refused_or_left_out(tmp_path):
    rows = [*reviews(), ("orphan", ""), ("  ", "yes"), ("", "")]
    path = table(tmp_path / "a.csv", rows)
    refused("a.csv line 42 has no label", path)
    found = seen(path, drop_missing=True)
    assert "2 rows are left out, first: a.csv line 42 has no label." in found.lines
    assert len(found.rows()) == 40


def test_classes_are_in_order_and_must_be_classes(tmp_path):
    rows = [(text, n % 12 + 1) for n, (text, _) in enumerate(reviews(72))]
    found = seen(table(tmp_path / "a.csv", rows))
    names = [str(n) for n in range(1, 13)]
    assert found.found.data.features["label"].names == tuple(names)
    assert [*found.found.statistics["classes"]["label"]] == names
    rows = [(text, n / 7) for n, (text, _) in enumerate(reviews())]
    refused("40 different values in 40 rows", table(tmp_path / "b.csv", rows))
    rows = [(text, "one") for text, _ in reviews()]
    refused("must be two or more classes", table(tmp_path / "c.csv", rows))


def test_blanks_around_labels_are_left_out(tmp_path):
    rows = [(text, f" {label}" if n % 5 == 3 else label)
            for n, (text, label) in enumerate(reviews())]  # fmt: skip
    found = seen(table(tmp_path / "a.csv", rows))
    assert found.found.data.features["label"].names == ("no", "yes")
    assert found.found.digest == seen(table(tmp_path / "b.csv", reviews())).found.digest
    assert (
        "8 labels have blanks around them, first that of a.csv line 5: they are left "
        "out." in found.lines
    )


def test_numbers_and_truths_of_json_are_classes(tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [{"text": text, "label": n % 2 > 0} for n, (text, _) in enumerate(reviews())]
    path.write_text("\n".join(map(json.dumps, rows)))
    assert seen(path).found.data.features["label"].names == ("false", "true")
    rows = [
        {"text": text, "label": n % 2 + 0.0} for n, (text, _) in enumerate(reviews())
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    assert seen(path).found.data.features["label"].names == ("0", "1")


# --- any table -----------------------------------------------------------------------

SIGNS = st.characters(codec="utf-8", exclude_characters="\0")
CELLS = st.text(SIGNS, max_size=9)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=6),
    separator=st.sampled_from(sorted(tables.SEPARATORS)),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_what_a_writer_writes_is_read(rows, separator, end):
    out = io.StringIO()
    writer = csv.writer(
        out, delimiter=separator, lineterminator=end, quoting=csv.QUOTE_ALL
    )
    writer.writerows([("text", "label"), *rows])
    wanted = [row for row in rows if any(cell.strip() for cell in row)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.csv")
        path.write_bytes(out.getvalue().encode())
        if not wanted:
            with pytest.raises(tables.BadInput, match="has no rows"):
                tables.read(path, "a.csv")
            return
        table = tables.read(path, "a.csv")
    assert [tuple(row.cells.values()) for row in table.rows] == wanted


@settings(max_examples=150, deadline=None)
@given(
    content=st.one_of(
        st.text(st.sampled_from('ab",;\n\r\t1'), max_size=40).map(str.encode),
        st.binary(max_size=40),
    ),
    ending=st.sampled_from([".csv", ".tsv", ".jsonl", ".json"]),
)
def test_anything_is_a_table_or_one_sentence(content, ending):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"a{ending}")
        path.write_bytes(content)
        try:
            table = tables.read(path, path.name)
        except tables.BadInput as error:
            assert "\n" not in str(error) and "must" in str(error)
            return
    for row in table.rows:
        assert tuple(row.cells) == table.columns
