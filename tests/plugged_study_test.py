"""A study with a plugin: its cells, its ids, its page, and a plugin that changes."""

from pathlib import Path

import pytest

import attn_research as ar
from attn_research import plugins
from attn_research.host import layout
from attn_research.host.exits import DONE
from attn_research.options import BadInput
from attn_research.studies import store
from tests.command import assert_one_sentence, command
from tests.plugged import GOOD, own_tables

STUDY = """
from attn_research.config import Config, Model, Population, Train
from attn_research.studies.study import Study

STUDIES = {
    "quick": Study(
        "plugged",
        "Does it run?",
        "It runs.",
        Config(
            task="recall(length=8,pairs=1,vocabulary=16)",
            model=Model(width=8, layers=1),
            train=Train(
                steps=2, batch=2, eval_every=1, eval_batches=1, test_batches=1, decode=0
            ),
        ),
        {"model.pattern": ("mine", "dense(heads=2)")},
        Population(seed=(0,)),
    )
}
"""


def run(script: str, *flags: str):
    """A command in tables of its own, as a process has them."""
    with own_tables():
        return command(script, *flags)


@pytest.fixture(scope="module")
def swept(tmp_path_factory) -> tuple[Path, Path]:
    """The plugin, and the directory of a study that was swept with it."""
    folder = tmp_path_factory.mktemp("plugged")
    plugin, study, out = (folder / n for n in ("good.py", "plugged_study.py", "out"))
    plugin.write_text(GOOD)
    study.write_text(STUDY)
    ended = run("sweep", f"--experiment={study}", f"--plugin={plugin}", f"--out={out}")
    assert ended.code == DONE, ended.out + ended.err
    return plugin, out


def cell_of(out: Path, mixer: str) -> layout.Run:
    runs = [store.read_cell(out, one["id"]) for one in store.read_study(out)["cells"]]
    (found,) = [run for run in runs if run.config.model.pattern.startswith(mixer)]
    return found


def test_the_cells_that_need_a_plugin_name_it(swept):
    plugin, out = swept
    assert cell_of(out, "mine").plugins["good"]["source"] == str(plugin)
    assert cell_of(out, "dense").plugins == {}
    assert store.read_study(out)["plugins"] == cell_of(out, "mine").plugins


def test_a_study_goes_on_with_its_plugin(swept):
    plugin, out = swept
    words = f"{out} needs the plugin 'good', which was {plugin}; it must be given"
    assert_one_sentence(run("sweep", f"--out={out}"), words)
    ended = run("sweep", f"--out={out}", f"--plugin={plugin}")
    assert ended.code == DONE, ended.err


def test_the_page_and_the_inside_need_the_plugin(swept):
    plugin, out = swept
    cell = store.place(out, cell_of(out, "mine").id)
    for mode in ("--status", "--collect"):
        words = "needs the plugin 'good'"
        assert_one_sentence(run("sweep", f"--out={out}", mode), words)
    ended = run("sweep", f"--out={out}", "--status", f"--plugin={plugin}")
    assert ended.code == DONE and "2 done" in ended.out, ended.err
    for script, where in (("report", out), ("analyze", cell)):
        assert_one_sentence(run(script, str(where)), "needs the plugin 'good'")
    ended = run("report", str(out), f"--plugin={plugin}")
    assert ended.code == DONE, ended.err
    more = ["--what=receptive_field", "--sequences=1", f"--plugin={plugin}"]
    ended = run("analyze", str(cell), *more)
    assert ended.code == DONE, ended.err


def test_a_cell_is_loaded_with_the_plugin(swept):
    plugin, out = swept
    with own_tables():
        with pytest.raises(BadInput, match="needs the plugin 'good'"):
            ar.load(out, mixer="dense(heads=2)")
        restored = ar.load(out, mixer="mine", plugins=[str(plugin)])
        assert restored.step == 2 and plugins.loaded()[0].name == "good"


def test_a_study_goes_on_with_a_changed_plugin_only_if_asked(swept):
    plugin, out = swept
    study = plugin.with_name("plugged_study.py")
    source = plugin.read_text()
    flags = [f"--experiment={study}", f"--plugin={plugin}", f"--out={out}"]
    try:
        plugin.write_text(f"{source}\n# changed\n")
        assert_one_sentence(
            run("sweep", *flags), "The plugin good has changed since the study in"
        )
        ended = run("sweep", *flags, "--allow_inexact_resume")
        assert ended.code == DONE, ended.err
    finally:
        plugin.write_text(source)
