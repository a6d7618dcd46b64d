"""The ledger of studies whose results are planted, so that each verdict comes out."""

import csv
import dataclasses
import math
import re

import pytest

from attn_research.host.exits import DONE
from attn_research.options import BadInput
from attn_research.report import ledger
from attn_research.studies import store
from attn_research.studies.study import Expectation, Gate, Interval, cells
from experiments import audio
from tests import planted
from tests.browser import assert_reads_well, needs_chromium
from tests.command import assert_one_sentence, command
from tests.pages import SCRIPT, Page

DENSE, CONV = "dense(positions=rope)", "conv"


def ahead(low: float, high: float = math.inf) -> Expectation:
    """How far attention is ahead of a convolution: planted at 0.48, from 0.45 on."""

    def measure(rows):
        def at(mixer, seed):
            own = [r for r in rows if r["mixer"] == mixer and r["seed"] == seed]
            return sum(row["test.accuracy"] for row in own) / len(own)

        found = [at(DENSE, seed) - at(CONV, seed) for seed in (0, 1)]
        return Interval(sum(found) / 2, min(found) - 0.03, max(found) + 0.03)

    return Expectation("Attention is ahead", measure, low, high, unit="of accuracy")


# The interval is the same everywhere; only what is expected of it differs.
EXPECTED = {
    "supported": (ahead(0.3), ahead(0.0, 0.9)),
    "refuted": (ahead(0.9), ahead(0.0, 0.1)),
    "mixed": (ahead(0.3), ahead(0.9)),
    "undecided": (ahead(0.3), ahead(0.48)),
    "not tested": (ahead(0.3),),
    "error": (ahead(0.3), Expectation("It reads a column", lambda rows: rows[0]["x"])),
}
GATES = {
    "not tested": (
        Gate("A convolution solves it", lambda rows: 0.25, low=0.9, control="positive"),
    )
}


def study(word: str, **more):
    made = planted.study(*EXPECTED[word], patterns=(DENSE, CONV), lengths=(32, 64))
    return dataclasses.replace(
        made,
        name=f"claim_{word.replace(' ', '_')}",
        question=f"Is it {word}?",
        claim=f"What is said to be {word} {SCRIPT} | and more.",
        source="A. Nyone, 1999, arXiv:9901.00001",
        gates=GATES.get(word, ()),
        **more,
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Page:
    """A study of each verdict that has ended, and one that has hardly begun."""
    root = tmp_path_factory.mktemp("ledger")
    given = []
    for word in EXPECTED:
        one = study(word, figure="length_step_seconds" if word == "mixed" else "")
        planted.written(root / word, one)
        given.append((root / word, one))
    begun = study("supported")
    planted.written(root / "begun", begun, lambda cell, result: None)
    begun = dataclasses.replace(begun, expectations=EXPECTED["mixed"])
    (root / "refuted" / "report").mkdir()
    (root / "refuted" / "report" / "index.html").write_text("The report.")
    entries = ledger.gather([*given, (root / "begun", begun)])
    return Page(ledger.write(root / "all", entries))


@pytest.mark.parametrize("word", EXPECTED)
def test_every_verdict_comes_out_of_the_data(written, word):
    source = (written.folder / "index.html").read_text()
    name = word.replace(" ", "_")
    part = source[source.index(f'<section id="claim_{name}"') :]
    part = part[: part.index("</section>")]
    assert f'class="verdict {word}">{word}<' in part
    assert "A. Nyone, 1999" in part and "16 members, 4 of 4 cells done" in part


def test_the_page_counts_and_measures(written):
    counts = "1 supported, 1 refuted, 1 mixed, 2 undecided, 1 not tested, 1 error."
    assert counts in written.text
    assert (
        "Gate: A convolution solves it: 0.25 expected at least 0.9: no" in written.text
    )
    assert "Its measure raised KeyError: 'x')" in written.text
    effect = re.search(r"(0\.\d+) of accuracy \((0\.\d+) to (0\.\d+)\)", written.text)
    assert effect
    mean, low, high = map(float, effect.groups())
    assert 0.4 < low < mean < high < 0.6
    assert "0 members, 0 of 4 cells done" in written.text
    assert "No cell has finished yet." in written.text
    moved = "when the study began, but not now: Attention is ahead, 0 to 0.9."
    assert written.text.count(moved) == 1
    assert SCRIPT in written.text
    assert SCRIPT not in (written.folder / "index.html").read_text()


def test_a_study_has_its_figure_with_numbers_and_a_link_to_its_report(written):
    names = {path.stem for path in written.folder.glob("*.svg")}
    assert names == {f"claim_{word.replace(' ', '_')}" for word in EXPECTED}
    with open(written.folder / "claim_mixed.csv") as file:
        assert "step_seconds" in next(csv.reader(file)), "the one that the study names"
    with open(written.folder / "claim_refuted.csv") as file:
        points = list(csv.DictReader(file))
    assert {point["series"] for point in points} == {DENSE, CONV}
    links = written.values("href")
    assert links.count("../refuted/report/index.html") == 1
    assert "../mixed/report/index.html" not in links, "it was never written"
    ids = written.values("id")
    assert len(ids) == len(set(ids)) and "claim_supported_2" in ids
    cards = [a for _, a in written.tags if "card" in str(a.get("class")).split()]
    assert len(cards) == len(EXPECTED)
    assert all(a["role"] == "img" and len(a["aria-label"]) > 30 for a in cards)


def test_the_table_of_the_repository_says_the_same(written):
    lines = (written.folder / "LEDGER.md").read_text().splitlines()
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines if line[:1] == "|"]
    assert len(rows) == 2 + len(EXPECTED) + 1 and {len(row) for row in rows} == {6}
    verdicts = [row[1].strip() for row in rows[2:]]
    assert verdicts == [*EXPECTED, "undecided"]
    assert "python scripts/sweep.py --experiment=claim_mixed" in rows[4][4]
    assert " of accuracy (0." in rows[4][2]
    assert "expected at least 0.9: no" in rows[4][2]
    scope = "16 members; 20 k parameters, width 64, 2 layers, length 32 to 64"
    assert scope in rows[4][3]
    assert "1,500 steps, 2 seeds, 2 rates" in rows[4][3]
    assert (
        rows[6][2].strip().startswith("Gate: A convolution solves it: 0.25, expected")
    )
    assert "<script>" not in "".join(lines)


@needs_chromium
def test_on_a_phone_and_on_a_desk(written, tmp_path):
    assert_reads_well(written.folder / "index.html", tmp_path)


# --- what was asked for --------------------------------------------------------------


def small(name: str, unit: str):
    expected = Expectation("So it is", lambda rows: len(rows), low=0.5, unit=unit)
    one = planted.study(expected, patterns=(CONV,), lengths=(32,))
    return dataclasses.replace(one, name=name)


def test_one_claim_is_measured_in_one_unit(tmp_path):
    nats, bits = small("nats", "nats"), small("bits", "bits")
    for one in (nats, bits):
        planted.written(tmp_path / one.name, one)
    given = [(tmp_path / one.name, one) for one in (nats, bits)]
    with pytest.raises(BadInput) as caught:
        ledger.gather(given)
    told = str(caught.value)
    assert "in nats" in told and "in bits" in told and str(tmp_path / "nats") in told
    other = dataclasses.replace(bits, claim="Another claim.")
    assert len(ledger.gather([given[0], (tmp_path / "bits", other)])) == 2


def test_one_study_with_two_metrics_is_refused_by_the_command(tmp_path):
    """Of one experiment, run on two tasks: the one in accuracy, the other in bits."""

    def in_bits(cell, result):
        for member in result["members"]:
            for split in ("validation", "test"):
                member[split] = {"bits_per_byte": 2.0, "loss": 1.0}
            member |= {"by_gap": None, "by_position": None}
        return {**result, "metric": "bits_per_byte", "goal": "min"}

    one = small("planted", "")
    planted.written(tmp_path / "first", one)
    planted.written(tmp_path / "second", one, in_bits)
    ended = command(
        "report",
        "--ledger",
        str(tmp_path / "first"),
        str(tmp_path / "second"),
        f"--out={tmp_path / 'all'}",
    )
    # The experiment is not among those of the repository: its rows alone tell.
    assert_one_sentence(ended, "in accuracy, and")
    assert not (tmp_path / "all").exists() and not list(tmp_path.rglob("report"))


def test_the_command_writes_reports_and_the_ledger(tmp_path):
    """Of a study of no experiment: nothing is expected, and nothing decided."""
    one = small("planted", "")
    planted.written(tmp_path / "first", one, lambda cell, result: None)
    store.open_study(tmp_path / "first", one, [], command="python sweep it")
    given = f"--out={tmp_path / 'all'}"
    ended = command("report", "--ledger", str(tmp_path / "first"), given)
    assert ended.code == DONE, ended.err
    assert f"no verdict: {one.claim}" in ended.out
    assert f"Ledger: {tmp_path / 'all' / 'index.html'}" in ended.out
    page = Page(tmp_path / "all" / "index.html")
    assert "../first/report/index.html" in page.values("href")
    assert "No expectations were stated." in page.text
    assert "python sweep it" in (tmp_path / "all" / "LEDGER.md").read_text()
    assert_one_sentence(command("report", "--ledger"), "0 arguments are given")


def test_the_size_that_was_swept_states_what_is_expected(tmp_path):
    strings = audio.STUDIES["strings"]
    store.open_study(tmp_path, strings, cells(strings), size="strings")
    (expected,) = strings.expectations
    (whole, *_) = audio.STUDIES["quick"].expectations
    for arguments, claim in (([], expected.claim), (["--size=quick"], whole.claim)):
        ended = command("report", str(tmp_path), *arguments)
        assert ended.code == DONE, ended.err
        assert f"{claim}: unknown" in ended.out and "undecided" in ended.out
