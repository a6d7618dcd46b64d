"""Any character of any small file of a run that changes is found when it is read."""

import dataclasses
import random
import shutil
from pathlib import Path

import pytest

import attn_research as ar
from attn_research import loop
from attn_research.checkpoint import step as steps
from attn_research.config import Config, Model, Population, Train
from attn_research.host import layout
from attn_research.host.durable import Damaged
from attn_research.host.journal import read_journal
from attn_research.options import BadInput

CONFIG = Config(
    model=Model(pattern="dense(cap=1.0)", layers=1, width=8),
    train=Train(
        steps=4, batch=2, eval_every=2, checkpoint_every=2, eval_batches=1,
        test_batches=1, decode=0,
    ),
)  # fmt: skip
LINES = [f"Line {n}: the quick brown fox jumps over it.\n" for n in range(200)]


def trained(directory: Path, config: Config) -> Path:
    assert loop.run(config, Population(), directory) == 0
    return directory


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    task = "recall(length=8,pairs=1,vocabulary=16)"
    directory = tmp_path_factory.mktemp("whole") / "run"
    return trained(directory, dataclasses.replace(CONFIG, task=task))


def read(run: Path) -> None:
    """Everything that a status, a report, an analysis and a resume read of a run."""
    config, result = layout.read_config(run), layout.read_result(run)
    assert result is not None
    read_journal(run / layout.METRICS, result["log"])
    for step in sorted((run / layout.CHECKPOINTS).glob("0*")):
        facts = steps.read_facts(step)
        layout.check_identity(step, facts.facts, config)


def small(run: Path) -> list[Path]:
    newest = max((run / layout.CHECKPOINTS).glob("0*"))
    names = layout.CONFIG, layout.RESULT, layout.METRICS
    parts = newest / "facts.json", newest / "facts.digest"
    return [*(run / name for name in names), *parts]


def test_every_byte_of_every_small_file_is_covered(whole, tmp_path):
    run = shutil.copytree(whole, tmp_path / "run")
    read(run)
    draw = random.Random(0)
    for file in small(run):
        data = file.read_bytes()
        for place in range(len(data)):
            changed = bytes([data[place] ^ (1 << draw.randrange(8))])
            file.write_bytes(data[:place] + changed + data[place + 1 :])
            with pytest.raises(Damaged):
                read(run)
        file.write_bytes(data)
    read(run)


def test_another_option_in_the_config_is_not_another_model(whole, tmp_path):
    """Whoever writes it with a seal of its own is told apart by the checkpoint."""
    run = shutil.copytree(whole, tmp_path / "run")
    ar.load(run)
    text = (run / layout.CONFIG).read_text()
    assert "cap=1.0" in text
    (run / layout.CONFIG).write_text(text.replace("cap=1.0", "cap=4.0"))
    with pytest.raises(Damaged, match="sealed"):
        ar.load(run)
    (run / layout.CONFIG).write_text(text)
    there = layout.read_config(run)
    model = dataclasses.replace(there.config.model, pattern="dense(cap=4.0)")
    other = dataclasses.replace(there.config, model=model)
    layout.write_config(run, other, there.population, there.sizes, there.data)
    with pytest.raises(Damaged, match="another run"):
        ar.load(run)
    (run / layout.RESULT).unlink()
    with pytest.raises(Damaged, match="another run"):
        loop.run(other, there.population, run)


def test_a_run_goes_on_with_the_data_that_it_began_with_only(tmp_path):
    text = tmp_path / "corpus.txt"
    text.write_text("".join(LINES))
    task = f"text(path={text},length=16)"
    config = dataclasses.replace(CONFIG, task=task)
    run = trained(tmp_path / "run", config)
    result = layout.read_result(run)
    assert result and result["data"] == layout.read_config(run).data != ""
    (run / layout.RESULT).unlink()
    text.write_text("".join(random.Random(0).sample(LINES, len(LINES))))
    with pytest.raises(BadInput, match="differ from those that the run"):
        loop.run(config, Population(), run)
    text.write_text("".join(LINES))
    assert loop.run(config, Population(), run) == 0
    assert layout.read_result(run) is not None


def test_a_run_that_is_done_says_that_its_data_have_changed(tmp_path, capsys):
    text = tmp_path / "corpus.txt"
    text.write_text("".join(LINES))
    config = dataclasses.replace(CONFIG, task=f"text(path={text},length=16)")
    run = trained(tmp_path / "run", config)
    result = (run / layout.RESULT).read_bytes()

    def again() -> str:
        capsys.readouterr()
        assert loop.run(config, Population(), run) == 0
        assert (run / layout.RESULT).read_bytes() == result
        return capsys.readouterr().out

    assert again() == f"{run} is done already; nothing was run.\n"
    text.write_text("".join(random.Random(0).sample(LINES, len(LINES))))
    assert "Its data have changed since: the result is of those it was" in again()
    text.unlink()
    assert "Its data are not there to be compared" in again()


def test_a_log_that_lost_evaluations_is_not_gone_on_with(whole, tmp_path):
    run = shutil.copytree(whole, tmp_path / "run")
    there = layout.read_config(run)
    (run / layout.RESULT).unlink()
    lines = (run / layout.METRICS).read_bytes().splitlines(keepends=True)
    (run / layout.METRICS).write_bytes(b"".join(lines[:-1]))
    with pytest.raises(Damaged, match="lacks evaluations"):
        loop.run(there.config, there.population, run)
