"""Every flag of every command refuses a wrong value in one sentence."""

import importlib
import types
import typing

import pytest

from attn_research.commands import COMMANDS
from attn_research.config import Config, Population
from attn_research.host import layout
from attn_research.options import BOUNDS, leaves
from tests.command import assert_one_sentence, command

TAKING = {"report": ["x"], "analyze": ["x"], "track": ["x"], "export": ["x"]}
TAKING |= {"check": ["dense"], "prepare": ["listops"]}
# Texts that are parsed after the flags: a wrong one, what goes with it, what is said.
RUN = ["--out=run"]
SWEEP = ["--out=study", "--experiment=recall_distance"]
TARGET = ["--platform=h100", "--experiment=recall_distance"]
TEXTS: dict[tuple[str, str], tuple[str, list[str], str]] = {
    ("train", "scale"): ("x", RUN, "Unknown scale 'x' (known: base, nano, small"),
    ("train", "architecture"): ("x", RUN, "Unknown architecture 'x'"),
    ("train", "task"): ("x", RUN, "Unknown task 'x'"),
    ("train", "model.pattern"): ("x", RUN, "Unknown mixer 'x'"),
    ("train", "model.stem"): ("x", RUN, "Unknown mixer 'x'"),
    ("train", "train.optimizer"): ("x", RUN, "Unknown optimizer 'x'"),
    ("train", "train.metrics"): ("x", RUN, "Unknown metric"),
    ("train", "train.mesh"): ("x", RUN, "its axes must be data or fsdp"),
    ("train", "init.path"): ("nowhere", RUN, "nowhere"),
    ("train", "init.digest"): (
        "x",
        RUN,
        "--init.digest does nothing without --init_from",
    ),
    ("sweep", "experiment"): ("x", ["--out=study"], "Unknown experiment 'x'"),
    ("sweep", "size"): ("x", SWEEP, "Unknown size of the experiment"),
    ("sweep", "scale"): ("x", SWEEP, "Unknown scale 'x'"),
    ("sweep", "architecture"): ("x", SWEEP, "Unknown architecture 'x'"),
    ("sweep", "ahead"): ("x", [*SWEEP, "--submit=slurm"], "`compile --out` wrote"),
    ("sweep", "slurm"): ("x", [*SWEEP, "--submit=slurm"], "must be options of sbatch"),
    ("sweep", "only"): ("x", SWEEP, "--only is 'x'; it must be i/n"),
    ("compile", "platform"): ("x", [], "Unknown platform 'x'"),
    ("compile", "experiment"): ("x", TARGET[:1], "Unknown experiment 'x'"),
    ("compile", "size"): ("x", TARGET, "Unknown size of the experiment"),
    ("compile", "only"): ("x", TARGET, "--only is 'x'; it must be i/n"),
    ("compile", "architecture"): ("x", TARGET, "Unknown architecture 'x'"),
    ("compile", "scale"): ("x", TARGET, "Unknown scale 'x'"),
    ("report", "size"): ("x", [], "x"),
    ("report", "out"): ("x", [], "--out does nothing without --ledger"),
    ("analyze", "what"): ("x", [], "Unknown analysis 'x'"),
    ("analyze", "member"): ("x", [], "--member is 'x'; it must be a whole number"),
    ("analyze", "step"): ("x", [], "--step is 'x'; it must be a list of step numbers"),
    ("analyze", "file"): ("nowhere", [], "--file must be a readable file"),
    ("check", "law"): ("x", [], "Unknown law 'x'"),
    ("export", "out"): ("x", [], "its name must end in .safetensors"),
    ("export", "member"): ("x", ["--out=x.safetensors"], "it must be a whole number"),
    ("export", "mixer"): ("x", ["--out=x.safetensors"], "is not a study"),
}
# Names of directories and texts to look at: there is no wrong one until it is read.
FREE = {
    ("train", "out"), ("sweep", "out"), ("analyze", "text"), ("analyze", "out"),
    ("compile", "out"), ("prepare", "raw_dir"), ("prepare", "data_dir"),
    ("completion", "out"),
}  # fmt: skip


def flags(name: str):
    """(flag, its type, its bounds) of every flag of a command that is declared."""
    module = importlib.import_module(f"attn_research.commands.{name}")
    trees = [(module.Options, "")] if hasattr(module, "Options") else []
    if name == "train":
        groups = ("model", "train", "init")
        hints = typing.get_type_hints(Config)
        trees += [(Config, ""), (Population, "")]
        trees += [(hints[group], f"{group}.") for group in groups]
    for tree, prefix in trees:
        for flag, field, kind in leaves(tree):
            yield prefix + flag, _inner(kind), field.metadata


def _inner(kind):
    """The type without None and without the list around it."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        (kind,) = (one for one in typing.get_args(kind) if one is not type(None))
    return typing.get_args(kind)[0] if typing.get_origin(kind) is tuple else kind


def wrong(kind, metadata):
    """Wrong values of a type, and what is said of each."""
    if typing.get_origin(kind) is typing.Literal:
        yield "x", f"must be one of {', '.join(typing.get_args(kind))}"
    elif kind is bool:
        yield "maybe", "must be true or false"
    elif kind in (int, float):
        number = "a whole number" if kind is int else "a number"
        bounds = [
            f"{words} {metadata[name]:g}"
            for name, words, _ in BOUNDS
            if metadata.get(name) is not None
        ]
        more = ", " + " and ".join(bounds) if bounds else ""
        yield "x", f"must be {number}{more}\n"
        yield "nan", "must be a"
        if metadata.get("low") is not None:
            yield f"{metadata['low'] - 1:g}", f"must be at least {metadata['low']}"
        if metadata.get("above") is not None:
            yield f"{metadata['above']:g}", f"must be more than {metadata['above']}"
        if metadata.get("high") is not None:
            yield f"{metadata['high'] + 1:g}", f"must be at most {metadata['high']}"
        if metadata.get("below") is not None:
            yield f"{metadata['below']:g}", f"must be less than {metadata['below']}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_refuses_a_wrong_value(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if name in ("analyze", "export"):
        (tmp_path / "x").mkdir()
        layout.write_config("x", Config(), Population())
    before = list(tmp_path.rglob("*"))
    script = "prepare_data" if name == "prepare" else name
    checked = 0
    for flag, kind, metadata in flags(name):
        cases = [(value, [], words) for value, words in wrong(kind, metadata)]
        if kind is str and (name, flag) not in FREE:
            assert (name, flag) in TEXTS, f"--{flag} of {name} is checked by no test"
            cases = [TEXTS[name, flag]]
        for value, beside, words in cases:
            given = [*TAKING.get(name, []), *beside, f"--{flag}={value}"]
            ended = command(script, *given)
            assert_one_sentence(ended, words)
            checked += 1
    assert checked or name not in TAKING and name not in ("train", "sweep")
    assert list(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x", "must be FIELD=VALUE,VALUE,..."),
        ("a=", "must be FIELD=VALUE,VALUE,..."),
        ("model.widht=3", "did you mean 'model.width'?"),
        ("model.width=x", "must be a whole number, at least 1"),
        ("seed=x", "must be --seed=x"),
    ],
)
def test_a_wrong_axis_of_a_sweep_is_one_sentence(text, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_one_sentence(command("sweep", *SWEEP, f"--set={text}"), words)


@pytest.mark.parametrize("name", ["train", "sweep", "check"])
def test_a_plugin_that_is_not_there_is_one_sentence(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = {"train": RUN, "sweep": SWEEP, "check": ["dense"]}[name]
    ended = command(name, *given, "--plugin=nowhere.py")
    assert_one_sentence(ended, "nowhere.py")
