"""A user's time series: order, zones, steps, gaps, decimals, splits."""

from datetime import datetime, timedelta

import numpy as np
import pytest

from attn_research.tasks.contract import SPLITS
from tests.own_data.reading import Seen, refused, seen, table

START = datetime(2024, 1, 1)
HOUR = timedelta(hours=1)


def rows(count=40, step=HOUR, start=START):
    return [(start + n * step, n, n % 7 + 0.5) for n in range(count)]


def written(path, lines, **more):
    return table(path, lines, header=("date", "load", "heat"), **more)


def series(path, **asked) -> Seen:
    return seen(path, "forecasting", **asked)


def values(found: Seen) -> np.ndarray:
    """The values of all splits, one after another."""
    return np.concatenate([found.found.splits[s][0]["values"] for s in SPLITS])


WANTED = np.array([row[1:] for row in rows()], float)


def test_a_series_is_divided_in_time(tmp_path):
    found = series(written(tmp_path / "a.csv", rows()))
    np.testing.assert_array_equal(values(found), WANTED)
    assert [len(found.found.splits[s][0]["values"]) for s in SPLITS] == [28, 6, 6]
    assert found.found.data.features["values"].about == "load, heat"
    assert "time is date, values is load+heat" in found.told
    assert "load: 0 to 39, 19.5 in the mean." in found.told
    assert "Steps: 28 train, 6 validation, 6 test." in found.told


def test_columns_and_order_may_be_given(tmp_path):
    path = written(tmp_path / "a.csv", rows())
    found = series(path, columns="time=date,values=heat+load")
    np.testing.assert_array_equal(values(found), WANTED[:, ::-1])
    refused("names the column 'het'", path, "forecasting", columns="values=het")


def test_rows_in_another_order_are_sorted_and_copies_left_out(tmp_path):
    mixed = rows()[20:] + rows()[:20] + rows()[3:5]
    found = series(written(tmp_path / "a.csv", mixed))
    np.testing.assert_array_equal(values(found), WANTED)
    assert "sorted by time, the first moved is a.csv line 22." in found.lines
    assert "2 rows repeat the time and the values of another, first a.csv line 42" in (
        found.lines
    )


def test_a_time_with_two_values_is_refused(tmp_path):
    path = written(tmp_path / "a.csv", [*rows(), (START, 7, 7)])
    refused("a.csv line 42 has the time of a.csv line 2 and other values", path,
            "forecasting")  # fmt: skip


GAPPED = [row for n, row in enumerate(rows()) if n not in (5, 6, 30)]


def test_gaps_are_refused_with_their_rows(tmp_path):
    path = written(tmp_path / "a.csv", GAPPED)
    refused("has 2 gaps of 3 steps, first between a.csv line 6 and a.csv line 7; "
            "--gaps must be fill", path, "forecasting")  # fmt: skip


def test_gaps_are_filled_or_the_longest_stretch_is_taken(tmp_path):
    path = written(tmp_path / "a.csv", GAPPED)
    filled = series(path, gaps="fill")
    assert "2 gaps of 3 steps" in filled.lines
    assert "filled on a line between neighbours" in filled.lines
    np.testing.assert_allclose(values(filled)[:, 0], np.arange(40))
    between = np.interp([5, 6], [4, 7], [4.5, 0.5])
    np.testing.assert_allclose(values(filled)[5:7, 1], between)
    longest = series(path, gaps="longest")
    np.testing.assert_array_equal(values(longest), WANTED[7:30])
    assert "23 rows without any are kept, of 37" in longest.lines


@pytest.mark.parametrize("empty", ["", "NaN", "null", "n/a"])
def test_a_missing_number_is_a_gap(empty, tmp_path):
    lines = rows()
    lines[8] = (lines[8][0], empty, 1.5)
    path = written(tmp_path / "a.csv", lines)
    refused("has 1 row without a number, first a.csv line 10", path, "forecasting")
    np.testing.assert_allclose(values(series(path, gaps="fill"))[:, 0], np.arange(40))
    longest = values(series(path, gaps="longest"))
    np.testing.assert_array_equal(longest, WANTED[9:])


def test_more_missing_than_there_is_are_not_filled(tmp_path):
    lines = [*rows(30), (START + 90 * HOUR, 1, 1)]
    path = written(tmp_path / "a.csv", lines)
    refused("must be at most as many as the 31 rows", path, "forecasting", gaps="fill")


def test_an_irregular_step_is_refused_with_its_row(tmp_path):
    lines = rows()
    lines[9] = (lines[9][0] + timedelta(minutes=7), 9, 9)
    path = written(tmp_path / "a.csv", lines)
    for gaps in ("refuse", "fill"):
        refused("a.csv line 11 is 1:07:00 after the row before it; the step of the "
                "series is 1:00:00, and times must be whole steps apart: bring the "
                "series to equal steps", path, "forecasting", gaps=gaps)  # fmt: skip


def test_decimal_commas_are_read_and_reported(tmp_path):
    lines = [(t, a, str(b).replace(".", ",")) for t, a, b in rows()]
    found = series(written(tmp_path / "a.csv", lines, separator=";"))
    np.testing.assert_array_equal(values(found), WANTED)
    assert "Commas in numbers are decimal ones, first in a.csv line 2." in found.told
    lines[5] = (*lines[5][:2], "1.5")
    path = written(tmp_path / "b.csv", lines, separator=";")
    refused("a comma in b.csv line 2 and a point in b.csv line 7", path, "forecasting")
    for wrong in ("1.234,5", "1,234,567", "12 kW", "inf", "1_0", "1e31"):
        lines[5] = (*lines[5][:2], wrong)
        path = written(tmp_path / "c.csv", lines, separator=";")
        refused(f"c.csv line 7 has '{wrong}' in the column heat", path, "forecasting")


def test_thousands_are_not_taken_for_decimals(tmp_path):
    lines = [(t, f'"{f"{a + 970:,}"}"', b) for t, a, b in rows()]
    path = written(tmp_path / "a.csv", lines)
    refused("The column load has '1,000' in a.csv line 32, and each of its commas",
            path, "forecasting")  # fmt: skip
    for fine, value in (("0,125", 0.125), ("1000,125", 1000.125), ("1,5", 1.5)):
        lines[3] = (lines[3][0], f'"{fine}"', lines[3][2])
        found = series(written(tmp_path / "b.csv", lines))
        assert values(found)[3, 0] == value and values(found)[30, 0] == 1
        assert "Commas in numbers are decimal ones" in found.lines


def test_columns_without_numbers_are_named_and_mixed_ones_refused(tmp_path):
    header = ("date", "id", "load", "ok", "part")
    words = ["train"] * 20 + ["val"] * 12 + ["test"] * 8
    lines = [
        (t, f"x{n}", n, n % 2 > 0, word)
        for (t, n, _), word in zip(rows(), words, strict=True)
    ]
    found = series(table(tmp_path / "a.csv", lines, header=header), split="part")
    assert "Columns that are not used: id, ok." in found.told
    np.testing.assert_array_equal(values(found), WANTED[:, :1])
    for place in (0, 12):
        wrong: list[tuple] = list(lines)
        wrong[place] = (*lines[place][:2], "?", *lines[place][3:])
        path = table(tmp_path / "b.csv", wrong, header=header)
        refused(f"b.csv line {place + 2} has '?' in the column load", path,
                "forecasting", split="part")  # fmt: skip


def test_numbers_that_are_missing_at_an_edge_are_left_out(tmp_path):
    lines = [
        (t, "" if n < 3 or n == 9 else n, "" if n > 37 else b) for t, n, b in rows()
    ]
    found = series(written(tmp_path / "a.csv", lines), gaps="fill")
    wanted = WANTED[3:38].copy()
    np.testing.assert_allclose(values(found), wanted)
    assert "3 rows at the start and 2 at the end are left out" in found.lines
    lines = [(t, n if n < 9 else "", "" if n < 9 else b) for t, n, b in rows()]
    path = written(tmp_path / "b.csv", lines)
    refused("must have numbers at the same time", path, "forecasting", gaps="fill")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("values=load+load", "names load twice, as values and as values"),
        ("time=load,values=heat+load", "names load twice, as time and as values"),
    ],
)
def test_a_column_has_one_role(given, words, tmp_path):
    refused(words, written(tmp_path / "a.csv", rows()), "forecasting", columns=given)


def test_splits_of_a_series_follow_each_other(tmp_path):
    words = ["train"] * 20 + ["val"] * 12 + ["test"] * 8
    lines = [(*row, word) for row, word in zip(rows(), words, strict=True)]
    header = ("date", "load", "heat", "part")
    path = table(tmp_path / "a.csv", lines[::-1], header=header)
    found = series(path, split="part")
    assert [len(found.found.splits[s][0]["values"]) for s in SPLITS] == [20, 12, 8]
    np.testing.assert_array_equal(values(found), WANTED)
    lines[3] = (*lines[3][:3], "test")
    path = table(tmp_path / "b.csv", lines, header=header)
    refused("in the order of time they must be train, then validation, then test",
            path, "forecasting", split="part")  # fmt: skip


def test_what_has_no_numbers_or_too_few_is_refused(tmp_path):
    path = table(tmp_path / "a.csv", [("x", "y")], header=("a", "b"))
    refused("has no column of numbers among a, b", path, "forecasting")
    refused(
        "must have at least 20", written(tmp_path / "b.csv", rows(9)), "forecasting"
    )
    refused("--group does nothing for forecasting", written(tmp_path / "c.csv", rows()),
            "forecasting", group="load")  # fmt: skip
