"""scripts/analyze.py on checkpoints alone: its page, its files, its sentences."""

import csv
import json
import re
import shutil
import xml.etree.ElementTree as xml

import jax.numpy as jnp
import numpy as np
import pytest

from attn_research.analysis import subject
from attn_research.analysis.runs import Member
from attn_research.host import layout
from attn_research.host.durable import write_json
from attn_research.host.exits import DONE
from attn_research.options import BadInput
from attn_research.report import matrices
from attn_research.report.inside import ANALYSES, Analysis, Display, page
from attn_research.report.inside.page import View
from attn_research.report.matrices import Images
from tests.analysis.made import restored, run_of
from tests.browser import assert_reads_well, needs_chromium
from tests.command import assert_one_sentence, command

SLOW = pytest.mark.slow


@pytest.fixture(scope="module")
def recall(tmp_path_factory):
    task = "recall(length=16,pairs=2,vocabulary=16)"
    return run_of(tmp_path_factory.mktemp("recall"), task, "dense,lstm", 16, 16)


FEW = {"mixing", "heads", "receptive_field"}
FIGURES = {"mixing_0_0", "mixing_1_0", "heads", "receptive_field"}
WORDS = (
    "Layer 0 (dense)", "Layer 1 (lstm)", "norm of the Jacobian", "the token after it",
    "theoretical, after layer 1", "effective, untrained",
)  # fmt: skip
ALL_FIGURES = {
    *FIGURES, "gradients", "ablation", "ablation_heads", "context", "memory",
    "capacity", "stream_norm", "effective_rank", "cka", "eigenvalues", "gates",
    *(f"loss_by_{x}" for x in ("gap", "position", "rarity", "length")),
    *(f"accuracy_by_{x}" for x in ("gap", "position", "rarity", "length")),
}  # fmt: skip
ALL_WORDS = (
    *WORDS, "whole model", "layer 1 (lstm)", "loss", "dense, head 3",
    "attention mask", "state 1 (lstm)", "below 0.05", "largest modulus",
)  # fmt: skip


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((FEW, FIGURES, WORDS), id="few"),
        pytest.param((ANALYSES, ALL_FIGURES, ALL_WORDS), id="all", marks=SLOW),
    ],
)
def seen(request, recall):
    """The folder of the analysis of a few things, or of all that there is to see."""
    what, figures, words = request.param
    ended = command(
        "analyze", str(recall), "--sequences=2", "--length=12",
        f"--what={','.join(what)}",
    )  # fmt: skip
    assert ended.code == DONE, ended.err
    assert str(recall / "analysis" / "index.html") in ended.out
    return recall / "analysis", figures, words


@pytest.fixture(scope="module")
def language(tmp_path_factory):
    task = "text(path=/nowhere,length=16)"
    return run_of(tmp_path_factory.mktemp("text"), task, "linear", 256, 16)


def test_the_page_of_a_run_has_its_figures_and_tables(seen):
    folder, names, words = seen
    page = (folder / "index.html").read_text()
    assert "2 sequences of the test split" in page and "12 positions" in page
    assert {path.stem for path in folder.glob("*.svg")} == names
    for name in names:
        assert f'id="{name}"' in page and f'href="{name}.csv"' in page
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert xml.parse(folder / f"{name}.svg").getroot().tag.endswith("svg")
    assert [word for word in words if word not in page] == []
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(set(ids)) == len(ids)
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)
    with open(folder / "mixing_0_0.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 12 and {row["panel"] for row in rows} == {
        f"head {h}" for h in range(4)
    }
    for row in rows:
        weights = [float(row[f"s{s}"]) for s in range(int(row["t"]) + 1)]
        assert sum(weights) == pytest.approx(1, abs=1e-5)


@pytest.fixture(scope="module")
def together(recall, tmp_path_factory):
    """The page of two runs and two members of each, asked for twice, and one run.

    No other test has looked inside of that one.
    """
    task = "recall(length=16,pairs=2,vocabulary=16)"
    other = run_of(tmp_path_factory.mktemp("other"), task, "conv", 16, 16)
    folder = tmp_path_factory.mktemp("together")
    own = folder / "run"
    shutil.copytree(recall, own, ignore=shutil.ignore_patterns("analysis"))
    asked = [
        command(
            "analyze", str(own), str(other), "--member=0,1", f"--out={folder}",
            "--what=representations", "--sequences=2", "--length=12",
        )
        for _ in range(2)
    ]  # fmt: skip
    for ended in asked:
        assert ended.code == DONE, ended.err
    return folder, asked, own


def test_several_runs_have_a_line_each_in_one_figure(together):
    folder, _, _ = together
    with open(folder / "effective_rank.csv") as file:
        rows = list(csv.DictReader(file))
    mixers = ("dense,lstm", "conv")
    runs = {f"{one} (member {member})" for one in mixers for member in (0, 1)}
    assert {row["run"] for row in rows} == runs
    assert {row["panel"] for row in rows} == {"trained", "untrained"}
    page = (folder / "index.html").read_text()
    assert "4 models compared" in page and "Inside dense,lstm, conv" in page
    assert page.count("The run is not finished: it is at step 7 of") == 4
    assert "conv (member 1): trained" in (folder / "cka.csv").read_text()


def test_steps_along_training_have_a_line_each(tmp_path):
    task = "recall(length=16,pairs=2,vocabulary=16)"
    run = run_of(tmp_path / "run", task, "conv", 16, 16, steps=(7, 9))
    ended = command(
        "analyze", str(run), "--step=all", "--what=representations", "--sequences=2"
    )
    assert ended.code == DONE, ended.err
    with open(run / "analysis" / "effective_rank.csv") as file:
        rows = list(csv.DictReader(file))
    assert {row["run"] for row in rows} == {"conv (step 7)", "conv (step 9)"}


def test_results_are_cached_in_the_directory_of_their_run(together):
    _, (first, second), own = together
    assert "cached" not in first.out
    assert second.out.count("cached") == 4
    files = list((own / "analysis" / "cache").rglob("representations-*.json"))
    assert len(files) == 2


@needs_chromium
def test_a_comparison_on_a_phone_and_on_a_desk(together, tmp_path):
    assert_reads_well(together[0] / "index.html", tmp_path)


@needs_chromium
def test_on_a_phone_and_on_a_desk(seen, tmp_path):
    assert_reads_well(seen[0] / "index.html", tmp_path)


def test_the_claim_on_gradients_measures_the_checkpoints_of_its_rows(recall):
    from experiments.claims.gradients_by_distance import rate

    row = {"directory": str(recall), "member": 1}
    after, before = rate(row), rate(row, trained=False)
    assert np.isfinite([after, before]).all() and after != before


@pytest.mark.slow
def test_a_text_needs_the_checkpoint_alone(language, tmp_path):
    ended = command("analyze", str(language), "--what=mixing", "--text=What sees?")
    assert ended.code == DONE, ended.err
    page = (language / "analysis" / "index.html").read_text()
    assert "the text &#39;What sees?&#39;" in page and "Layer 0 (linear)" in page
    (tmp_path / "long.txt").write_bytes(b"abc" * 9)
    ended = command(
        "analyze", str(language), "--what=mixing", f"--file={tmp_path / 'long.txt'}",
        "--length=8", "--member=0",
    )  # fmt: skip
    assert ended.code == DONE, ended.err
    assert "first 8 bytes" in (language / "analysis" / "index.html").read_text()


def test_the_list_names_every_analysis_and_needs_no_run():
    told = command("analyze", "--list")
    assert told.code == DONE
    for name, analysis in ANALYSES.items():
        assert f"{name} " in told.out and analysis.sentence in told.out


def test_an_analysis_that_does_not_apply_says_so_on_the_page(tmp_path, monkeypatch):
    def nothing(seen):
        raise BadInput("conv has nothing of the kind")

    def one(seen):
        return [Display(Images("one", "One", "One matrix.", {"": np.eye(2)}), [])]

    monkeypatch.setitem(ANALYSES, "nothing", Analysis("What is not there.", nothing))
    monkeypatch.setitem(ANALYSES, "one", Analysis("What is there.", one))
    of = restored("conv")
    text = subject.of_text(of, b"\x01\x02")
    seen = [View(tmp_path, Member(of, 0, "digest", ["A note."]), text, "Seen.")]
    written = page.write(tmp_path / "page", seen, ["nothing", "one"]).read_text()
    assert "conv has nothing of the kind." in written and 'id="one"' in written
    assert "Seen. A note." in written
    with pytest.raises(BadInput, match="conv has nothing of the kind"):
        page.write(tmp_path / "page", seen, ["nothing"])


@pytest.mark.slow
def test_a_model_without_states_or_gates_has_no_dynamics():
    seen = subject.of_text(restored("dense"), b"\x01\x02")
    with pytest.raises(BadInput, match="mixers of dense have no gates, and their"):
        ANALYSES["dynamics"].show(seen)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "0 arguments are given; there must be a directory of a run"),
        (["--what=mixng"], "did you mean 'mixing'?"),
        (["--text=a", "--file=b"], "--text and --file exclude each other"),
        (["--file=/nowhere/at/all"], "/nowhere/at/all cannot be read"),
        (["--text="], "The text has 0 bytes; they must be 1 or more"),
        (
            ["--text=\x01\x02", "--length=1"],
            "The text has 2 bytes; it must have at most --length, 1",
        ),
        (
            ["--text=a"],
            "has the byte 97 at 0; in the vocabulary of this model it must be 0 to 15",
        ),
        (["--member=second"], "--member is 'second'; it must be a whole number"),
        (["--member=2"], "it must be 'best' or 0 to 1"),
        (["--step=8"], "no step 8"),
        (["--step=last"], "--step is 'last'; it must be a list of step numbers"),
        (["--split=tests"], "--split is 'tests'; it must be one of train"),
        (["--sequences=0"], "--sequences"),
    ],
)
def test_known_mistakes_get_a_sentence(recall, arguments, words):
    run = [str(recall)] if arguments else []
    assert_one_sentence(command("analyze", *run, *arguments), words)


def test_several_runs_need_a_place_for_their_page(recall, language):
    ended = command("analyze", str(recall), str(language))
    assert_one_sentence(ended, "2 runs are given and no --out")


def test_a_config_of_another_version_is_refused(recall, tmp_path):
    told = json.loads((recall / layout.CONFIG).read_text())
    told["config"]["model"]["gravity"] = 9.8
    told.pop("seal")
    write_json(tmp_path / layout.CONFIG, told)
    ended = command("analyze", str(tmp_path))
    assert_one_sentence(ended, "'gravity'")


def test_an_image_shows_signs_moduli_and_letters():
    from matplotlib.figure import Figure

    axes = Figure().subplots(1, 3)
    weight_TS = np.tril(np.ones((3, 3)))
    plain = matrices.image(axes[0], weight_TS, list("abc")).images[0]
    signed = matrices.image(axes[1], weight_TS - 0.5).images[0]
    turned = matrices.image(axes[2], jnp.asarray(weight_TS * 2j)).images[0]
    assert plain.get_clim() == (0, 1) and signed.get_clim() == (-0.5, 0.5)
    assert turned.get_clim() == (0, 2)
    assert [label.get_text() for label in axes[0].get_xticklabels()] == list("abc")
    assert axes[1].get_xlabel() == "input s (tokens)"


def test_a_few_large_numbers_do_not_leave_the_others_dark():
    from matplotlib.figure import Figure

    weight_TS = np.full((100, 100), 0.25)
    weight_TS[0] = 1
    large = matrices.image(Figure().subplots(), weight_TS, tokens=800)
    assert large.images[0].get_clim() == (0, 1)  # one in a hundred is not few
    weight_TS[0, 20:] = 0.25
    axis = matrices.image(Figure().subplots(), weight_TS, tokens=800)
    assert axis.images[0].get_clim() == (0, 0.25)
    assert tuple(axis.images[0].get_extent()) == (-0.5, 799.5, 799.5, -0.5)
