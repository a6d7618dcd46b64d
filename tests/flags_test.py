"""Flags made from dataclasses, and back: what is written is what is read."""

import pytest
from absl import flags as absl_flags

from attn_research import flags
from attn_research.config import Config, Population, edit, flatten
from attn_research.host import exits
from attn_research.options import BadInput
from tests.command import forget

CHANGED = edit(
    Config(),
    {
        "task": 'text(path="a, (b)",length=9)',
        "model.pattern": 'conv(width=3),dilated(dilations="1,2"),dense(heads=2)',
        "model.width": 24,
        "model.tied": False,
        "model.mlp_ratio": 2.5,
        "train.schedule": "wsd",
        "train.stop_at": 0.125,
        "train.warmup": 1e-7,
        "init.path": "runs/a, b",
        "init.step": 3,
        "init.trunk": "frozen",
    },
)
MEMBERS = Population(seed=(3, 1), lr=(1e-5, 0.1, 3.0), weight_decay=(0.0,))


@pytest.fixture(autouse=True)
def defined():
    """The flags of a run, undone after the test."""
    before = set(flags.FLAGS)
    flags.define_run()
    yield
    forget(before)


def parsed(*arguments: str):
    flags._parse(["script", *arguments], "", "")
    return flags.given_run()


def test_no_flag_is_the_default():
    assert parsed() == (Config(), Population())


def test_there_is_one_flag_for_every_leaf():
    for name in (*flatten(Config()), *flatten(Population())):
        assert name in flags.FLAGS
        assert flags.FLAGS[name].help.endswith(".")


def test_what_is_written_is_what_is_read():
    assert parsed(*flags.lines(CHANGED), *flags.lines(MEMBERS)) == (CHANGED, MEMBERS)


def test_a_flagfile_repeats_a_run_and_a_later_flag_changes_it(tmp_path):
    path = tmp_path / "flags.txt"
    path.write_text("\n".join([*flags.lines(CHANGED), *flags.lines(MEMBERS)]) + "\n")
    assert parsed(f"--flagfile={path}") == (CHANGED, MEMBERS)
    flags.FLAGS.unparse_flags()
    changed, _ = parsed(f"--flagfile={path}", "--model.width=48")
    assert changed == edit(CHANGED, {"model.width": 48})


def test_a_switch_alone_is_true():
    assert parsed("--model.scan", "--model.width=8")[0].model.scan
    assert parsed("--model.scan")[0].model.scan
    assert not parsed("--model.scan", "false")[0].model.scan
    assert not parsed("--model.scan=false", "--model.remat")[0].model.scan


def test_the_run_to_start_from_has_a_flag_of_its_own():
    config, _ = parsed("--init_from=runs/first", "--init.member=2")
    assert (config.init.path, config.init.member) == ("runs/first", 2)
    assert parsed("--init_from=none")[0].init.path is None


def test_options_of_the_task_are_flags_too():
    config, _ = parsed("--task=recall(pairs=2)", "--task.length=32", "-task.pairs=3")
    assert config.task == "recall(pairs=3,length=32)"
    config, _ = parsed("--task=text", "--task.path=/some path/x,y")
    assert flatten(config)["task.path"] == "/some path/x,y"


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("--model.widht=3", "did you mean '--model.width'?"),
        ("--width=3", "did you mean '--model.width'?"),
        ("--sede=3", "did you mean '--seed'?"),
        ("--model.width=x", "--model.width is 'x'; it must be a whole number"),
        ("--model.width", "--model.width"),
        (
            "--task.length",
            "--task.length lacks a value; it must be --task.length=VALUE",
        ),
        ("--nomodel.tied", "nomodel.tied"),
        ("--" + "a" * 5000 + "=3", "Unknown flag --aaa"),
        ("--flagfile=nowhere", "nowhere"),
        ("more", "Unknown argument 'more'; every option is a flag"),
    ],
)
def test_a_mistake_is_one_sentence(argument, sentence):
    with pytest.raises(BadInput) as caught:
        parsed(argument)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadInput("A mistake"), exits.BAD_INPUT),
        (OSError(28, "No space left"), exits.DISK),
        (KeyboardInterrupt(), 130),
        (RuntimeError("A bug"), exits.INTERNAL),
    ],
)
def test_every_error_has_its_exit_code(error, code, monkeypatch, capsys):
    def run():
        raise error

    monkeypatch.setattr("sys.argv", ["script"])
    with pytest.raises(SystemExit) as ended:
        flags.main(run, "A script.")
    assert ended.value.code == code
    said = capsys.readouterr().err
    assert ("Traceback" in said) == (code == exits.INTERNAL)


@pytest.mark.parametrize("returned", [0, 3, None])
def test_the_code_of_a_run_is_that_of_the_process(returned, monkeypatch):
    monkeypatch.setattr("sys.argv", ["script"])
    with pytest.raises(SystemExit) as ended:
        flags.main(lambda: returned, "A script.")
    assert ended.value.code == (returned or 0)


def test_help_lists_the_flags_their_defaults_and_what_is_allowed(capsys):
    with pytest.raises(SystemExit) as ended:
        parsed("--help")
    told = capsys.readouterr().out
    assert ended.value.code == 0
    assert "--train.schedule (default cosine)" in told
    assert "One of constant, cosine, wsd." in told
    assert "--task.OPTION=VALUE" in told and "task_option" not in told
    assert absl_flags.FLAGS is flags.FLAGS
