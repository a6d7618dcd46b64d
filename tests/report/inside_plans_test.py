"""What the figures of a model's inside leave out and how they label, piece by piece."""

import numpy as np

from attn_research.analysis.statistics import Interval
from attn_research.report import matrices
from attn_research.report.inside import dynamics, mixing, parts, states


def curve(*bits: float) -> list[Interval]:
    return [Interval(value, value, value) for value in bits]


def test_parts_that_hold_nothing_have_no_line_unless_none_does():
    found = {
        "trained": {"layer 0": curve(0.01, 0.0), "state 0 lstm": curve(2.0, 0.0)},
        "untrained": {"layer 0": curve(0.02, 0.0), "state 0 lstm": curve(0.0, 0.0)},
    }
    assert states._silent(found) == ["layer 0"]
    found["untrained"]["layer 0"] = curve(0.0, 0.2)
    assert states._silent(found) == []
    nothing = {"trained": {"layer 0": curve(0.0), "layer 1": curve(0.0)}}
    assert states._silent(nothing) == []


def test_flat_spectra_are_named_as_left_out():
    assert dynamics._flat([]) == ""
    said = dynamics._flat(["layer 0 (conv)", "layer 2 (conv)"])
    assert said.startswith(" Left out: layer 0 (conv), layer 2 (conv), ")


def test_tokens_label_a_matrix():
    assert mixing._letters(np.array([72, 105, 10]), of_text=True) == ["H", "i", "·"]
    assert mixing._letters(np.array([7, 15]), of_text=False) == ["7", "15"]
    assert mixing._letters(np.array([0.5, 1.0]), of_text=False) is None
    assert mixing._letters(np.ones((3, 2), int), of_text=False) is None


def test_colours_and_ablations_have_names():
    plan = matrices.Images("m", "M", "c", {"": np.eye(3)}, scale="weight")
    image, bar = matrices.draw(plan).drawing.axes
    assert bar.get_ylabel() == "weight" and image.get_ylabel() != ""
    assert list(parts.FILLS.values()) == ["zero ablation", "mean ablation"]
