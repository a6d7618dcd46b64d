"""Plugins that installed packages announce: found by name, and by their runs."""

import sys
from pathlib import Path

import pytest

import attn_research as ar
from attn_research import plugins
from attn_research.host import layout
from attn_research.host.exits import DONE
from attn_research.modules import MIXERS
from attn_research.options import BadInput
from tests.command import assert_one_sentence, command
from tests.plugged import GOOD, own_tables
from tests.plugins_test import MINE

PACKAGE = "stranger_of_a_test"


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on the path in which a package with a plugin is installed."""
    folder = tmp_path / "site"
    package, told = folder / PACKAGE, folder / f"{PACKAGE}-1.0.dist-info"
    package.mkdir(parents=True)
    told.mkdir()
    (told / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.0\n"
    )
    (told / "entry_points.txt").write_text(
        f"[attn_research.plugins]\nstranger = {PACKAGE}.mixers\n"
    )
    (package / "__init__.py").write_text("")
    (package / "mixers.py").write_text(GOOD)
    monkeypatch.syspath_prepend(str(folder))
    with own_tables():
        yield package
    forget()


def forget() -> None:
    """As in a new process, the package is not imported yet."""
    for name in [n for n in sys.modules if n.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


def trained(out: Path) -> None:
    ended = command("train", *MINE, f"--out={out}")
    assert ended.code == DONE, ended.err


def test_an_installed_plugin_needs_no_flag(site, tmp_path):
    assert plugins.installed() == ["stranger"]
    with own_tables():
        trained(tmp_path / "run")
        (plugin,) = plugins.loaded()
    assert plugin.name == plugin.source == "stranger"
    assert layout.read_config(tmp_path / "run").plugins == {
        "stranger": {
            "source": "stranger",
            "digest": plugin.digest,
            "entries": "METRICS.second,MIXERS.mine,TASKS.echo",
        }
    }
    assert "mine" not in MIXERS
    restored = ar.load(tmp_path / "run")  # which finds it
    assert restored.step == 4 and "mine" in MIXERS


def test_it_is_known_by_its_module_and_by_its_source_too(site, tmp_path):
    with own_tables():
        (known,) = plugins.load([f"{PACKAGE}.mixers"])
        assert known.name == known.source == f"{PACKAGE}.mixers"
    with own_tables():
        names = ["stranger", f"{PACKAGE}.mixers", str(site / "mixers.py")]
        assert {one.name for one in plugins.load(names)} == {"stranger"}
    ended = command("train", "--plugin=strangr", f"--out={tmp_path / 'x'}")
    assert "strangr is not found" in ended.err and "(stranger)" in ended.err


def test_every_file_of_a_package_counts_in_its_digest(site):
    first = plugins.source.find("stranger").plugin.digest
    (site / "helper.py").write_text("X = 1\n")
    assert plugins.source.find("stranger").plugin.digest != first
    (site / "helper.py").unlink()
    assert plugins.source.find("stranger").plugin.digest == first


def test_another_version_is_loaded_only_if_it_is_given(site, tmp_path):
    with own_tables():
        trained(tmp_path / "run")
    (site / "mixers.py").write_text(f"{GOOD}\n# changed\n")
    forget()
    with pytest.raises(BadInput, match="needs the plugin 'stranger', which was"):
        ar.load(tmp_path / "run")
    assert ar.load(tmp_path / "run", plugins=["stranger"]).step == 4


def test_a_broken_installed_plugin_is_one_sentence_with_its_line(site, tmp_path):
    (site / "mixers.py").write_text("\nMIXERS = 1 / 0\n")
    ended = command("train", *MINE, f"--out={tmp_path / 'x'}")
    assert_one_sentence(ended, "line 2: ZeroDivisionError: division by zero; a plugin")
    assert str(site / "mixers.py") in ended.err
    (site / "__init__.py").write_text("\n\nimport nowhere_at_all\n")
    forget()
    ended = command("train", *MINE, f"--out={tmp_path / 'x'}")
    assert_one_sentence(ended, "line 3: ModuleNotFoundError: No module named 'nowhere")
