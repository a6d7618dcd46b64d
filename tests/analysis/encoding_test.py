"""Cached displays: the same to the last bit, and measured again if they are damaged."""

import json
import math

import numpy as np
import pytest

from attn_research.analysis.cache import cached
from attn_research.analysis.statistics import Interval
from attn_research.report.figures import Plan
from attn_research.report.inside.contract import Display
from attn_research.report.inside.encoding import decode, encode
from attn_research.report.matrices import Images

LINE = (1.0, Interval(1 / 3, float("nan"), math.inf))
SHOWN = [
    Display(
        Plan("a", "A", "Of a.", {"p": {"s": [LINE]}}, "lr", "loss", levels={"p": 0.5}),
        [{"of": "a", "value": np.float32(0.1), "count": 3, "none": None}],
    ),
    Display(
        Images("b", "B", "Of b.", {"": np.array([[np.nan, 1 / 3]])}, ["x", "y"]), []
    ),
]


class Measured:
    """A measurement that counts its calls."""

    def __init__(self, shown=SHOWN):
        self.shown, self.times = shown, 0

    def __call__(self):
        self.times += 1
        return self.shown


def again(folder, measure, code="code", name="name", **key):
    return cached(folder, name, key or {"params": "1"}, measure, encode, decode, code)


def test_a_cached_result_is_the_measured_one(tmp_path):
    measure = Measured()
    first, known = again(tmp_path, measure)
    second, later = again(tmp_path, measure)
    assert (known, later, measure.times) == (False, True, 1)
    assert repr(first) == repr(second)  # NaN is not equal to itself
    lines, images = second
    assert lines.plan._replace(panels={}) == SHOWN[0].plan._replace(panels={})
    ((at, value),) = lines.plan.panels["p"]["s"]
    assert at == 1.0 and value.mean == 1 / 3 and math.isnan(value.low)
    assert value.high == math.inf and isinstance(value, Interval)
    np.testing.assert_array_equal(images.plan.panels[""], SHOWN[1].plan.panels[""])
    assert lines.summary[0]["value"] == float(np.float32(0.1))


def test_another_key_analysis_or_code_is_measured(tmp_path):
    measure = Measured()
    again(tmp_path, measure)
    for other in ({"params": "2"}, {"params": "1", "member": 1}):
        assert not again(tmp_path, measure, **other)[1]
    assert not again(tmp_path, measure, name="other")[1]
    assert again(tmp_path, measure)[1] and measure.times == 4
    assert not again(tmp_path, measure, code="newer")[1]
    assert [path.name for path in tmp_path.iterdir()] == ["newer"]


def spoiled(text: str, how: str) -> str:
    entry = json.loads(text)
    if how == "a number":
        entry["result"][0]["plan"]["panels"]["p"]["s"][0][1][0] = 0.25
    elif how == "another key":
        entry["key"]["params"] = "2"
    elif how == "an unknown kind":
        entry["result"][0]["kind"] = "sounds"
    return {"cut": text[:40], "a list": "[]"}.get(how) or json.dumps(entry)


@pytest.mark.parametrize(
    "how", ["cut", "a list", "a number", "another key", "an unknown kind", "gone"]
)
def test_damaged_results_are_measured_again(tmp_path, how):
    measure = Measured()
    again(tmp_path, measure)
    (path,) = tmp_path.rglob("*.json")
    path.write_text(spoiled(path.read_text(), how))
    if how == "gone":
        path.unlink()
    displays, known = again(tmp_path, measure)
    assert not known and measure.times == 2
    assert displays[0].plan.panels["p"]["s"][0][1].mean == 1 / 3
    assert again(tmp_path, measure)[1]
