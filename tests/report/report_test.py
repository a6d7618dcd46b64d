"""The page of a study with everything in it: what it says and what it holds.

The results are planted. Drawing takes seconds, so one study serves all tests.
"""

import base64
import csv
import math
import re
import xml.etree.ElementTree as xml

import pytest

from attn_research import report
from attn_research.analysis import statistics as stats
from attn_research.report import axes, limits, page, plans
from attn_research.report.formatting import between, number
from attn_research.report.ranking import ranking
from attn_research.studies import results, store
from attn_research.studies.judging import judge
from attn_research.studies.study import Expectation
from tests import planted
from tests.browser import assert_reads_well, needs_chromium
from tests.pages import SCRIPT, STUDY, UNREAD, Page, gain, spoil


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Page:
    directory = tmp_path_factory.mktemp("planted")
    made = planted.written(directory, STUDY, spoil)
    planted.failed(directory, made[-1], f"It needs 9 GB {SCRIPT}")
    return Page(report.write(directory, STUDY).path)


@pytest.fixture(scope="module")
def rows(written):
    return plans.prepare(store.rows(written.folder.parent))


# --- what it says --------------------------------------------------------------------


def test_the_page_answers_the_question(written):
    assert STUDY.question in written.text and STUDY.claim in written.text
    assert "11 of 12 cells done" in written.text
    for words in ("0.3 to 0.7", "at least 0.9", "undecided", "unknown"):
        assert words in written.text
    for mixer in planted.PATTERNS:
        assert mixer in written.text


@pytest.mark.parametrize(
    ("expectations", "word"),
    [
        ([gain(0.3, 0.7)], "supported"),
        ([gain(0.9, math.inf), gain(-math.inf, 0.1)], "refuted"),
        ([gain(0.3, 0.7), gain(0.9, math.inf)], "mixed"),
        ([gain(0.3, 0.7), Expectation("?", lambda _: math.nan)], "undecided"),
    ],
)
def test_every_verdict_can_be_shown(rows, expectations, word):
    study = planted.study(*expectations)
    judged = judge(study, rows)
    shown = page._template().render(
        study={"name": "s", "question": "?", "claim": "."},
        judged=judged,
        findings=judged.findings,
        **dict.fromkeys(
            ("cells", "ranking", "gains", "groups", "failures", "diverged"),
            limits.Shown([], 0),
        ),
        figures=[],
        columns=[],
        environment={},
    )
    assert f'class="verdict {word}">{word}<' in shown


def test_headlines_stand_beside_what_was_expected(rows):
    first, second, third = page.headlines(judge(STUDY, rows))
    assert "(expected 0.3 to 0.7): holds" in first
    assert "(expected at least 0.9): does not hold" in second
    assert third.endswith("undecided")


def test_failures_and_diverged_members_are_listed(written):
    assert "memory_refused: It needs 9 GB" in written.text
    assert re.search(
        r"member 3 \(seed 1, learning rate 0\.004\) diverged", written.text
    )


def test_a_cell_is_listed_at_its_best_rate_with_its_interval(written, rows):
    own = [
        row
        for row in rows
        if row["mixer"] == "lstm" and row["task.length"] == 64 and row["lr"] == 1e-3
    ]
    interval = stats.mean_interval([row["test.accuracy"] for row in own])
    assert number(interval.mean) in written.text
    assert between(interval) in written.text


def test_further_scores_are_listed(written, rows):
    """The mean over the seeds, and nothing of cells that have none."""
    assert "macro F1" in written.text and written.text.count("0.9321") == 2
    table = csv.DictReader(results.as_csv(rows).splitlines())
    told = [line["model.pattern"] for line in table if line["test.macro_f1"]]
    assert told == ["linear"] * 8


def test_numbers_beside_a_figure_are_those_of_the_rows(written, rows):
    with open(written.folder / "quality_length.csv") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 11  # six mixers at two lengths, one of them unfinished
    for point in table:
        own = [
            row["test.accuracy"]
            for row in rows
            if row["mixer"] == point["series"]
            and row["task.length"] == float(point["task.length"])
            and row["lr"] == 1e-3
        ]
        wanted = stats.mean_interval(own)
        found = [float(point[name]) for name in ("accuracy", "low", "high")]
        assert found == pytest.approx(list(wanted))


def test_mixers_are_ranked_with_how_certain_their_order_is(rows):
    lines = [one for one in ranking(rows) if one["setting"] == "length 32"]
    order = [line["mixer"] for line in lines]
    assert order[2:] == ["window(window=16,positions=rope)", "linear", "lstm", "conv"]
    assert set(order[:2]) == {"dense(positions=rope)", "conv,dense"}, "planted equal"
    assert lines[0]["lead over the next"] == 0 and lines[0]["order holds"] == "50%"
    assert lines[4]["order holds"] == "99%" and lines[5]["order holds"] == ""
    gap = lines[4]["accuracy"] - lines[5]["accuracy"]
    assert lines[4]["lead over the next"] == pytest.approx(gap)
    worst = [{**row, "goal": "min"} for row in rows]
    turned = [one for one in ranking(worst) if one["setting"] == "length 32"]
    assert turned[0]["mixer"] == "conv" and turned[0]["lead over the next"] > 0
    assert not any("median steps" in line for line in lines)
    found = [{**row, "solved_step": 100 + row["seed"]} for row in rows]
    assert ranking(found)[0]["solved"] == "2 of 2"
    assert ranking(found)[0]["median steps"] == 100


# --- what it holds -------------------------------------------------------------------


def test_every_figure_is_there_as_png_svg_and_csv(written):
    names = [path.stem for path in written.folder.glob("*.svg")]
    assert {
        "quality_length",
        "by_gap",
        "by_position",
        "learning_rate",
        "cost_state_bytes",
        "cost_flops",
        "cost_step_seconds",
        "length_step_seconds",
        "length_peak_bytes",
        "length_state_bytes",
        "length_flops",
        "length_compile_seconds",
    } == set(names)
    for name in names:
        png = (written.folder / f"{name}.png").read_bytes()
        assert png.startswith(b"\x89PNG") and len(png) > 5000
        assert xml.parse(written.folder / f"{name}.svg").getroot().tag.endswith("svg")
        with open(written.folder / f"{name}.csv") as file:
            assert len(list(csv.reader(file))) > 2


def test_every_link_and_reference_resolves(written):
    ids = written.values("id")
    assert len(set(ids)) == len(ids)
    links = written.values("href", "xlink:href", "src")
    assert links
    for link in links:
        if link.startswith("#"):
            assert link[1:] in ids, link
        elif link.startswith("data:"):
            assert base64.b64decode(link.partition(",")[2])[1:4] == b"PNG"
        else:
            assert "//" not in link, "the page needs no network"
            assert (written.folder / link).exists(), link
    used = re.findall(r"url\(#([^)]+)\)", (written.folder / "index.html").read_text())
    assert set(used) <= set(ids)
    assert not [tag for tag, _ in written.tags if tag in ("script", "link", "iframe")]


def test_every_figure_has_words_and_labelled_axes(written):
    cards = [a for _, a in written.tags if "card" in str(a.get("class")).split()]
    assert len(cards) == len(list(written.folder.glob("*.svg")))
    assert all(a["role"] == "img" and len(a["aria-label"]) > 30 for a in cards)
    assert ("html", {"lang": "en"}) in written.tags
    for name in ("gap", "accuracy", "lr", "state_bytes", "step_seconds"):
        assert axes.unit(name) != name


def test_hostile_text_stays_text(written):
    source = (written.folder / "index.html").read_text()
    assert SCRIPT not in source and SCRIPT in written.text
    assert "<planted & quiet>" in written.text


def test_samples_are_listed_with_their_metrics(written):
    shown = written.text
    assert shown.count("exact match 0.25, BLEU 12.35, ROUGE-L 0.5 over 64") == 2
    assert f"two {SCRIPT}" in shown and "three\nlines & more" in shown
    assert "There is no chrF." in shown and "linear, length 32" in shown
    assert (
        shown.count("Generated by the model") == shown.count("From the test split") == 2
    )
    assert "7 of 64 images were misread; these are the first 1." in shown
    assert f"a, read as {SCRIPT}" in shown
    told = [a["alt"] for tag, a in written.tags if tag == "img"]
    assert "5 images from the model, linear, length 32" in told
    assert "3 images of the test split, linear, length 64" in told
    assert f"An image of the class a that was read as {SCRIPT}" in told
    assert shown.count(UNREAD) == 1 and "(linear, length 32; linear" in shown
    links = written.values("href")
    assert "#samples" in links and "#notes" in links


# --- looks ---------------------------------------------------------------------------


@needs_chromium
def test_on_a_phone_and_on_a_desk(written, tmp_path):
    assert_reads_well(written.folder / "index.html", tmp_path)
