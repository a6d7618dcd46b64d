"""Every experiment is a question with a command, cells that can run, and a verdict."""

import html
import importlib
import math
import re

import pytest

from attn_research import tasks
from attn_research.config import Config
from attn_research.modules import pattern
from attn_research.options import BadInput
from attn_research.studies import selection
from attn_research.studies.judging import findings, verdict
from attn_research.studies.study import cells
from attn_research.training import program
from tests.command import ROOT

pytestmark = pytest.mark.usefixtures("data_sets")
FOLDER = ROOT / "experiments"
# Ours: what a user puts beside them is held to nothing here.
NAMES = (ROOT / "tests" / "experiments.txt").read_text().split()
CLAIMS = [name for name in NAMES if name.startswith("claims/")]


def module(name: str):
    return importlib.import_module(f"experiments.{name.replace('/', '.')}")


def last(name: str) -> str:
    return name.split("/")[-1]


def test_there_are_experiments_and_claims_each_with_a_name_of_its_own():
    assert set(NAMES) <= set(selection.experiments(FOLDER))
    assert len(NAMES) > len(CLAIMS) > 0
    assert len({last(name) for name in NAMES}) == len(NAMES)


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_has_a_source_and_says_what_is_held_equal(name):
    """Mixers are measured by the name that rows have: their pattern in brief."""
    for study in module(name).STUDIES.values():
        assert re.search(r"\b(19|20)\d\d\b", study.source), study.source
        assert study.confounds and all(one.endswith(".") for one in study.confounds)
        for one in study.axes["model.pattern"]:
            assert pattern.brief(pattern.resolve(one)) == one


def test_a_claim_is_found_by_its_path_with_a_dot_and_by_its_name():
    study = selection.experiment(FOLDER, "claims/state_tracking", "quick")
    assert selection.experiment(FOLDER, "claims.state_tracking", "quick") is study
    assert selection.named(FOLDER, "state_tracking", "quick") is study
    assert selection.named(FOLDER, "no_such_study", "quick") is None
    with pytest.raises(BadInput, match="'claims/state_trackin'.*did you mean"):
        selection.experiment(FOLDER, "claims/state_trackin", "quick")


@pytest.mark.parametrize("name", NAMES)
def test_the_docstring_has_the_question_and_the_commands(name):
    doc = module(name).__doc__ or ""
    assert doc.splitlines()[0].endswith("?")
    commands = " ".join(doc.replace("\\\n", " ").split())
    sweep = (
        rf"python scripts/sweep.py --experiment={name}( --\S+)* --out=runs/{last(name)}"
    )
    assert re.search(sweep, commands)
    assert f"python scripts/report.py runs/{last(name)}" in commands


@pytest.mark.parametrize("name", NAMES)
def test_there_is_a_quick_and_a_full_study(name):
    studies = module(name).STUDIES
    assert set(studies) >= {"quick", "full"}
    for study in studies.values():
        assert study.name == last(name)
        assert study.question.endswith("?") and study.claim.endswith(".")
        ids = [cell.id for cell in cells(study)]
        assert len(set(ids)) == len(ids) > 0


def sizeless(config: Config) -> tuple:
    """A model and the kind of task it is for, whatever the sizes of the task."""
    sizes = program.sizes(tasks.make(config.task))
    kinds = [None if type(size) is int else size for size in sizes]
    return config.model, *kinds


@pytest.mark.parametrize("name", CLAIMS)
def test_the_ledger_has_the_words_of_the_claim(name):
    """One row with the claim, its source and its expectations, in order.

    Its gates come first if it was judged by them.
    """
    study = module(name).STUDIES["quick"]
    ledger = html.unescape((FOLDER / "claims" / "LEDGER.md").read_text())
    start = f"| {study.claim} ({study.source}) |"
    (row,) = [line for line in ledger.splitlines() if line.startswith(start)]
    numbers = row.split(" | ")[2].split("<br>")
    measured = [number for number in numbers if ", expected " in number]
    gates = [f"Gate: {gate.claim}: " for gate in study.gates]
    if "‡" in row.split(" | ")[1]:
        gates = []
    wanted = [*gates, *(f"{one.claim}: " for one in study.expectations)]
    for number, words in zip(measured, wanted, strict=True):
        assert number.startswith(words)


BACKWARDS = re.compile(
    r"(and|but|so|it|its|they|their|that|those|the same)\b"
    r"|.*(does( not| too)?|: the worst)$",
    re.IGNORECASE,
)


@pytest.mark.parametrize("name", NAMES)
def test_an_expectation_reads_alone(name):
    """The report and the ledger show each without its neighbours: no `So does that`."""
    for study in module(name).STUDIES.values():
        for expectation in study.expectations:
            assert not BACKWARDS.match(expectation.claim), expectation.claim
            assert not expectation.claim.endswith("."), expectation.claim


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("once", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_every_cell_of_the_quick_study_can_be_built(name, once, monkeypatch):
    """Once: of cells that differ in the sizes of their task, the first."""
    built, cost = set(), program.cost

    def first(config):
        if sizeless(config) not in built:
            built.add(sizeless(config))
            cost(config)

    if once:
        monkeypatch.setattr(program, "cost", first)
    study = selection.experiment(FOLDER, name, "quick")
    found = selection.resolved(study)
    assert built or not once
    assert len(found) == len(cells(study))
    assert len({cell.id for cell in found}) == len(found)


@pytest.mark.parametrize("name", NAMES)
def test_every_cell_of_every_study_is_known(name):
    for study in module(name).STUDIES.values():
        for cell in cells(study):
            tasks.resolve(cell.config.task)
            pattern.resolve(cell.config.model.pattern)


@pytest.mark.parametrize("name", NAMES)
def test_every_bound_has_its_reason(name):
    for study in module(name).STUDIES.values():
        for one in (*study.expectations, *study.gates):
            assert one.why.endswith("."), one.claim


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_decided_before_anything_ran(name):
    for study in module(name).STUDIES.values():
        found = findings(study, [])
        assert found, "a study expects something"
        assert all(f.holds is None and math.isnan(f.value) for f in found)
        assert verdict(found) == "undecided"
