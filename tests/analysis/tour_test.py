"""The notebook: its outputs are those of one run, its cells say what they promise."""

import contextlib
import io
import json
import math
import re

import numpy as np
import pytest

from attn_research.modules import pattern
from tests.analysis.made import run_of
from tests.command import ROOT

TOUR = ROOT / "experiments" / "analysis_tour.ipynb"


def cells() -> list[dict]:
    return [
        cell
        for cell in json.loads(TOUR.read_text())["cells"]
        if cell["cell_type"] == "code"
    ]


def test_the_notebook_has_the_outputs_of_one_run():
    told = json.loads(TOUR.read_text())
    assert (told["nbformat"], told["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in told["cells"]}) == len(told["cells"])
    counts = [cell["execution_count"] for cell in cells()]
    assert counts == list(range(1, len(counts) + 1))
    drawn = {
        cell["id"]
        for cell in cells()
        if any("image/png" in output.get("data", {}) for output in cell["outputs"])
    }
    assert drawn == {"matrix", "gradients", "probes"}
    for cell in cells():
        for output in cell["outputs"]:
            assert output["output_type"] != "error", cell["id"]
            text = "".join(output.get("text", [])) + str(output.get("data", {}))
            assert not re.search(r"/(home|root|tmp|work)/|at 0x", text), cell["id"]


@pytest.fixture(
    scope="module", params=["given", pytest.param("trained", marks=pytest.mark.slow)]
)
def walked(request, tmp_path_factory):
    """The names of the notebook after its last cell, of a run of no or few steps."""
    folder = tmp_path_factory.mktemp("tour")
    task = "recall(length=32,pairs=4,vocabulary=32)"
    told = {"STEPS = None": "STEPS = 2"}
    if request.param == "given":
        told["RUN = None"] = (
            f"RUN = {str(run_of(folder, task, 'conv,dense', 32, 32))!r}"
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLBACKEND", "agg")
        patch.setattr("tempfile.tempdir", str(folder))
        names: dict = {}
        for cell in cells():
            source = "".join(cell["source"])
            if cell["id"] == "run":
                for ours, of_test in told.items():
                    assert ours in source
                    source = source.replace(ours, of_test)
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile(source, cell["id"], "exec"), names)
            # Training tells how far it is; looking inside is silent.
            assert cell["id"] == "train" or out.getvalue() == "", cell["id"]
        yield names


def test_the_cells_run_one_after_another(walked):
    M_TS = walked["M_TS"]
    assert M_TS.shape == (32, 32) and not np.triu(M_TS, 1).any()
    np.testing.assert_allclose(M_TS.sum(axis=1), 1, rtol=1e-5)
    assert walked["seen_NTS"].shape == (2, 32, 32)
    assert math.isfinite(walked["rate"].mean)
    assert {site.layer for _, site in walked["added"]} == {0, 1}
    assert {"embedding", "layer 0", "layer 1"} <= set(walked["kept"])
    resolved = pattern.resolve(walked["restored"].config.model.pattern)
    (heads,) = re.findall(r"dense\(heads=(\d)", resolved)
    assert len([one for one in walked["scores"] if one.layer == 1]) == int(heads)


def test_plots_are_axes_with_the_series(walked):
    from matplotlib.axes import Axes

    gradients, memory = walked["axis_of_gradients"], walked["axis_of_memory"]
    assert isinstance(gradients, Axes) and isinstance(memory, Axes)
    assert gradients.get_yscale() == "log"
    labels = [text.get_text() for text in gradients.get_legend().get_texts()]
    assert labels == ["trained", "untrained"]
    assert memory.get_xlabel() == "distance (tokens)"
