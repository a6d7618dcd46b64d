"""The times of a user's series: zones, formats, numbers since 1970, months."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from tests.own_data.reading import refused, table
from tests.own_data.series_test import HOUR, WANTED, rows, series, values, written

SECOND = 1_700_006_400  # 2023-11-15 00:00 in UTC
UNITS = [(1, "seconds"), (1000, "milliseconds"), (1_000_000, "microseconds")]


def test_zones_are_one_line_of_time(tmp_path):
    """An hour that a clock shows twice is two hours; zones may differ by row."""
    east = timezone(2 * HOUR)
    zoned = [
        (time.replace(tzinfo=UTC).astimezone(east if n < 20 else UTC), *more)
        for n, (time, *more) in enumerate(rows())
    ]
    found = series(written(tmp_path / "a.csv", zoned))
    np.testing.assert_array_equal(values(found), WANTED)
    path = written(tmp_path / "b.csv", [*zoned[:39], rows()[39]])
    refused("b.csv line 41 has a time without a zone, b.csv line 2 a time with a zone",
            path, "forecasting")  # fmt: skip


def test_months_are_equal_steps(tmp_path):
    lines = [(datetime(2000 + n // 12, n % 12 + 1, 1).date(), n, n) for n in range(40)]
    found = series(written(tmp_path / "a.csv", lines))
    assert "The step of the series is 1 month." in found.told
    assert len(values(found)) == 40
    del lines[7]
    path = written(tmp_path / "b.csv", lines)
    refused("1 gap of 1 step, first between b.csv line 8 and", path, "forecasting")


@pytest.mark.parametrize(("per_second", "name"), UNITS)
def test_numbers_since_1970_say_what_they_count(per_second, name, tmp_path):
    for step, told in ((3600, "1:00:00"), (1, "0:00:01")):
        lines = [
            ((SECOND + n * step) * per_second, *more)
            for n, (_, *more) in enumerate(rows())
        ]
        found = series(written(tmp_path / "a.csv", lines))
        np.testing.assert_array_equal(values(found), WANTED)
        assert f"The step of the series is {told}." in found.told
        first = "2023-11-15 00:00:00"
        assert f"The times are {name} since 1970; the first is {first}." in found.told


def test_a_step_of_one_millisecond_is_exact(tmp_path):
    lines = [(SECOND * 1000 + n, *more) for n, (_, *more) in enumerate(rows(4000))]
    found = series(written(tmp_path / "a.csv", lines))
    assert len(values(found)) == 4000
    assert "The step of the series is 0:00:00.001000." in found.told


def test_months_may_end_on_other_days(tmp_path):
    ends = [datetime(2000 + n // 12, n % 12 + 1, 1) - 24 * HOUR for n in range(1, 41)]
    lines = [(end.date(), n, n) for n, end in enumerate(ends)]
    found = series(written(tmp_path / "a.csv", lines))
    assert "The step of the series is 1 month." in found.told
    assert len(values(found)) == 40
    lines[7] = (ends[7].date() - timedelta(1), 7, 7)
    refused("(months must all be on one day, or on their last)",
            written(tmp_path / "a.csv", lines), "forecasting")  # fmt: skip


def test_a_format_of_dates_needs_a_column_of_times(tmp_path):
    lines = [(t.strftime("%d.%m.%Y %H"), *more) for t, *more in rows()]
    path = table(tmp_path / "a.csv", lines, header=("when", "load", "heat"))
    refused("no column of", path, "forecasting", dates="%d.%m.%Y %H")
    refused("--columns=time=when", path, "forecasting", dates="%d.%m.%Y %H")
    found = series(path, dates="%d.%m.%Y %H", columns="time=when")
    np.testing.assert_array_equal(values(found), WANTED)


def test_a_format_of_dates(tmp_path):
    lines = [(t.strftime("%d.%m.%Y %H:%M"), *more) for t, *more in rows()]
    path = written(tmp_path / "a.csv", lines)
    refused("a.csv line 2 has the time '01.01.2024 00:00'; it must be a number or as",
            path, "forecasting")  # fmt: skip
    found = series(path, dates="%d.%m.%Y %H:%M")
    np.testing.assert_array_equal(values(found), WANTED)
    refused("it must be as --dates=%Y", path, "forecasting", dates="%Y")
    for form in ("%Q", "%d%d", "%"):
        refused(f"--dates is '{form}'; it must be a format such as", path,
                "forecasting", dates=form)  # fmt: skip
    refused("--length does nothing for forecasting", path, "forecasting", length=9)


def test_numbers_are_times_and_no_time_is_the_order_of_the_rows(tmp_path):
    lines = [(n * 0.25, *more) for n, (_, *more) in enumerate(rows())]
    found = series(written(tmp_path / "a.csv", lines))
    assert "The step of the series is 0.25." in found.told
    path = table(tmp_path / "b.csv", [r[1:] for r in rows()], header=("a", "b"))
    found = series(path)
    assert "No column is the time: the rows are taken in their order." in found.told
    np.testing.assert_array_equal(values(found), WANTED)


@pytest.mark.parametrize(
    "times",
    [
        (0, 1e300),
        (0, 1e-300, 1),
        ("9999-12-31", "0001"),
        ("0001-01-01T00:00+14:00", "0001-02-01T00:00+14:00"),
    ],
)
def test_times_beyond_all_measure_are_refused(times, tmp_path):
    lines = [(time, 1, 1) for time in times]
    refused("must", written(tmp_path / "a.csv", lines), "forecasting", gaps="fill")
