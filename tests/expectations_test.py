"""Every expectation of every study can be measured on the rows of its cells."""

import importlib
import math

import numpy as np
import pytest

from attn_research import tasks
from attn_research.config import Config, edit
from attn_research.host.layout import Run
from attn_research.modules import pattern
from attn_research.report.plans import prepare
from attn_research.studies import results
from attn_research.studies.judging import findings, gates
from attn_research.studies.study import Cell, Interval, Study, cells, variant
from attn_research.training import metrics
from tests.command import ROOT

pytestmark = pytest.mark.usefixtures("data_sets")
NAMES = (ROOT / "tests" / "experiments.txt").read_text().split()


def module(name: str):
    return importlib.import_module(f"experiments.{name.replace('/', '.')}")


STUDIES = [(name, size) for name in NAMES for size in module(name).STUDIES]
# The results of measures that read checkpoints, and the starts of a run.
PLANTED = {
    "convolution_window": ("field", lambda *asked: (0.1, 2.0, 3.0)),
    "gradients_by_distance": ("fitted", lambda *asked: (0.1, -2.0)),
    "attention_to_antecedent": ("measured", lambda *asked: (0.1, 0.1)),
}
STARTS = {"init.path": (None, "somewhere")}
MORE = dict.fromkeys(("own_pretraining", "transfer"), STARTS)
WRITTEN = ("exact_match", "error_rate", "bleu", "chrf", "rouge1", "words_f1")


def resolved(config: Config) -> Config:
    """The config as its cell has it, except for its start."""
    spelled = pattern.resolve(config.model.pattern)
    return edit(config, {"task": tasks.resolve(config.task), "model.pattern": spelled})


def table(spec: tasks.Spec, draw: np.random.Generator) -> dict[str, list]:
    """A value of each metric in every bin of distance."""
    ranges = metrics.edges(spec.length)
    names = {"low": [a for a, _ in ranges], "high": [b for _, b in ranges]}
    values = {name: list(draw.uniform(size=len(ranges))) for name in spec.metrics}
    return {**names, "count": [1.0] * len(ranges), **values}


def rows(cell: Cell, draw: np.random.Generator) -> list[dict]:
    """The rows of a cell whose members were never trained."""
    config, population = resolved(cell.config), cell.population
    spec = tasks.make(config.task).spec

    def metrics() -> dict[str, float]:
        return {name: float(draw.uniform()) for name in spec.metrics}

    members = [
        {
            "member": index,
            "seed": seed,
            "lr": lr,
            "weight_decay": population.weight_decay[0],
            "status": "done",
            "step": config.train.steps,
            "validation": metrics(),
            "test": metrics(),
            "by_gap": table(spec, draw),
            "by_position": table(spec, draw),
        }
        for index, (seed, lr) in enumerate(
            (seed, lr) for seed in population.seed for lr in population.lr
        )
    ]
    costs = {name: spec.length * float(draw.uniform(0.5, 2)) for name in results.COSTS}
    result = {
        "metric": spec.metrics[0],
        "goal": spec.goal,
        "chance": spec.chance,
        "decoded": {"metrics": dict.fromkeys(WRITTEN, 0.5)},
    }
    measured = results.member_rows(
        cell.id,
        Run(config, population, {}),
        {**result, **costs, "members": members},
        [{"step": 1, "member": i, "train_loss": 0.5} for i in range(len(members))],
    )
    return [{**row, "directory": cell.id} for row in measured]


def collected(study: Study) -> list[dict]:
    draw = np.random.default_rng(0)
    return prepare([row for cell in cells(study) for row in rows(cell, draw)])


@pytest.mark.parametrize(("name", "size"), STUDIES)
def test_every_expectation_is_measured_once_all_cells_are_there(
    name, size, monkeypatch
):
    """The first expectation of a claim has an interval."""
    experiment, last = module(name), name.split("/")[-1]
    if last in PLANTED:
        monkeypatch.setattr(experiment, *PLANTED[last])
    study = experiment.STUDIES[size]
    study = variant(study, axes={**study.axes, **MORE.get(last, {})})
    rows = collected(study)
    measured = findings(study, rows)
    for one in measured:
        bounded = one.interval is not None and not math.isnan(one.interval.low)
        assert math.isfinite(one.value) or bounded, one.expectation.claim
        assert not one.error
    for gate in gates(study, rows):
        assert math.isfinite(gate.value), gate.expectation.claim
    if name.startswith("claims/"):
        first = measured[0].interval
        assert isinstance(first, Interval)
        if len(study.population.seed) > 1:  # a single seed has no interval
            assert first.low <= first.mean <= first.high
