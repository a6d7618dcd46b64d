"""Any damage to any file of a study is named, and stops nothing else of it."""

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from attn_research import checkpoint, loop, report
from attn_research.config import Config, Model, Population, Train
from attn_research.host import layout
from attn_research.host.durable import Damaged
from attn_research.options import BadInput
from attn_research.studies import store
from attn_research.studies.described import read_study
from attn_research.studies.selection import resolved
from attn_research.studies.study import Study
from tests.faults.damage_test import KINDS, _older

SMALL = Config(
    task="recall(length=8,pairs=1,vocabulary=16)",
    model=Model(layers=1, width=4),
    train=Train(
        steps=2, batch=2, eval_every=1, checkpoint_every=1, eval_batches=1,
        test_batches=1, decode=0,
    ),
)  # fmt: skip
STUDY = Study(
    name="small",
    question="Is damage found?",
    claim="It is.",
    base=SMALL,
    axes={"model.pattern": ("conv", "linear", "lstm")},
    population=Population(seed=(0, 1)),
    expectations=(),
)
NAMES = (
    layout.STUDY, layout.CONFIG, layout.RESULT, layout.METRICS, layout.ERROR,
    layout.FLAGFILE,
)  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A study of three cells: two are done, one failed."""
    directory = tmp_path_factory.mktemp("whole") / "study"
    made = resolved(STUDY)
    store.open_study(directory, STUDY, made)
    for cell in made[:2]:
        loop.run(cell.config, cell.population, store.place(directory, cell.id))
    place = store.place(directory, made[2].id)
    layout.write_error(place, "memory_refused", "It needs 1 TB", 65)
    return directory


def values(directory: Path) -> tuple[dict, dict, list[str]]:
    """cell -> state, (cell, member) -> row, and what was said of damage."""
    said: list[str] = []
    states = {one.id: one for one in store.status(directory)}
    found = {
        (row["cell"], row["member"]): row for row in store.rows(directory, said.append)
    }
    said += [one.message for one in states.values() if one.state == "damaged"]
    return states, found, said


def same(one, other) -> bool:
    def plain(value):
        return json.dumps(value, sort_keys=True, default=str)

    return plain(one) == plain(other)


def trial(whole: Path, directory: Path, seed: int) -> str:
    """Damages one file; what it did, if anything can be told from the study's answers.

    Raises AssertionError if it changed an answer without a word or stopped the rest.
    """
    draw = random.Random(seed)
    shutil.copytree(whole, directory)
    before = values(directory)
    files = sorted(p for p in directory.rglob("*") if p.is_file() and p.stat().st_size)
    # Checkpoints have most of the files, and a quarter of the draws.
    groups = [[p for p in files if p.name == name] for name in NAMES]
    groups += [[p for p in files if layout.CHECKPOINTS in p.parts]] * 2
    file = draw.choice(draw.choice(groups))
    kind = draw.choice([kind for kind in KINDS if kind is not _older])
    kind(file, draw)
    what = f"{kind.__name__} of {file.relative_to(directory)}, seed {seed}"
    hit = next((p.name for p in file.parents if p.parent.name == layout.CELLS), None)
    try:
        states, rows, said = values(directory)
    except BadInput as error:
        assert hit is None and layout.STUDY in str(error), what
        assert len(str(error).splitlines()) == 1, what
        return "refused"
    for id, state in before[0].items():
        if id != hit:
            assert same(state, states[id]), what
    for key, row in before[1].items():
        if key[0] != hit:
            assert same(row, rows[key]), what
        elif not same(row, rows.get(key)):
            again = states[hit].state in ("stopped", "waiting")
            assert again or any(str(directory) in line for line in said), what
    if hit is not None and not same(before[0][hit], states[hit]):
        # What is shown of the cell differs: it is damaged, or waits to be run again.
        assert states[hit].state in ("damaged", "stopped", "waiting"), what
        gone = kind.__name__ in ("_delete", "_directory") or not file.exists()
        assert states[hit].state == "damaged" or gone, what
    steps = [
        (step, p)
        for p in (directory / layout.CELLS).iterdir()
        for step in checkpoint.steps(p / layout.CHECKPOINTS)
    ]
    for step, place in steps:
        _check_step(whole, directory, place, step, what)
    return "named" if said else "not read"


def _check_step(whole: Path, directory: Path, place: Path, step: int, what: str):
    def read(root: Path):
        found = root / place.relative_to(directory) / layout.CHECKPOINTS
        return checkpoint.read(found, ["params", "optimizer"], step=step)[1]

    try:
        found = read(directory)
    except BadInput as error:  # `Damaged` is one too
        assert str(place) in str(error) and "\n" not in str(error), what
        return
    wanted = checkpoint.tree.paths(read(whole))
    for path, leaf in checkpoint.tree.paths(found).items():
        assert np.array_equal(leaf, wanted[path], equal_nan=True), f"{what}: {path}"


@pytest.mark.parametrize(
    "seeds",
    [range(25), *(pytest.param(range(n, n + 50), marks=pytest.mark.slow)
     for n in range(50, 1050, 50))],
    ids=lambda seeds: f"{seeds[0]}-{seeds[-1]}",
)  # fmt: skip
def test_no_damage_is_silent_or_stops_the_rest(whole, tmp_path, seeds):
    outcomes = [trial(whole, tmp_path / str(seed), seed) for seed in seeds]
    assert "named" in outcomes, "no damage landed in what is read"
    print({name: outcomes.count(name) for name in sorted({*outcomes})})


def test_the_report_shows_the_rest(whole, tmp_path):
    directory = shutil.copytree(whole, tmp_path / "study")
    damaged, *others = [cell["id"] for cell in read_study(directory)["cells"]]
    path = store.place(directory, damaged) / layout.RESULT
    path.write_bytes(path.read_bytes().replace(b'"best"', b'"bust"', 1) + b" ")
    with pytest.raises(Damaged, match="sealed"):
        layout.read_result(path.parent)
    page = report.write(directory, STUDY).path.read_text()
    assert "differs from what was sealed" in page
    assert all(other in page for other in others)
