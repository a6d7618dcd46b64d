"""Training steps compiled for hardware that is not here."""

import json
import subprocess
from types import SimpleNamespace

import jax
import pytest

from attn_research.config import Config, Model, Population, Train
from attn_research.options import BadInput
from attn_research.studies.study import Cell
from attn_research.training import ahead, placed, population, program, targets
from tests.command import ROOT

SMALL = Config(
    "recall(length=24,pairs=4)",
    Model(width=16, layers=1, pattern="linear"),
    Train(steps=3, batch=4, eval_batches=1),
)


@pytest.fixture
def here(monkeypatch):
    """This machine as a target of the name `here`."""
    target = targets.Target("cpu", "")
    monkeypatch.setitem(targets.TARGETS, "here", target)
    monkeypatch.setattr(targets, "mesh", lambda name: (target, population.mesh()))
    return lambda **changed: monkeypatch.setitem(
        targets.TARGETS, "here", target._replace(**changed)
    )


def test_the_bytes_are_those_of_the_state(here):
    config = program.resolve(SMALL)
    trace, devices = ahead.traced(config, 3, "here")
    made = ahead.compiled(trace, devices, "here")
    assert made.fits and made.devices == jax.local_device_count() == 2
    state = placed.shapes(program.make(config, population.mesh()), 2)
    bytes_of = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))
    assert 0 <= made.argument_bytes - bytes_of < 64  # and the count of steps
    assert made.argument_bytes < made.total_bytes
    assert made.temporary_bytes < made.total_bytes


def test_a_device_that_is_too_small_is_told(here):
    here(bytes=10_000)
    trace, devices = ahead.traced(program.resolve(SMALL), 2, "here")
    made = ahead.compiled(trace, devices, "here")
    assert not made.fits
    assert made.refused.endswith("GB and here has 0.00")


def test_a_refusal_of_the_compiler_is_an_answer():
    words = "RESOURCE_EXHAUSTED: out of\nmemory\n\nThe rest"

    def refuse():
        raise jax.errors.JaxRuntimeError(words)

    trace = SimpleNamespace(lower=lambda: SimpleNamespace(compile=refuse))
    made = ahead.compiled(trace, 1, "v5e-1")
    assert (made.fits, made.refused) == (False, "RESOURCE_EXHAUSTED: out of memory")


def test_a_platform_without_its_extra_is_one_sentence(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BadInput, match="needs libtpu, which is not installed"):
        targets.mesh("v5e-4")
    with pytest.raises(BadInput, match="jax_cuda12_plugin.*the extra aot-cuda"):
        targets.mesh("h100")
    with pytest.raises(BadInput, match="did you mean 'v5e-4'"):
        targets.mesh("v5e4")


def test_a_row_of_the_table(here, capsys):
    from attn_research.commands.compile import row, show

    cells = [
        Cell(program.resolve(SMALL), Population(seed=(0, 1))),
        Cell(
            program.resolve(Config(SMALL.task, Model(width=32, layers=1), SMALL.train)),
            Population(),
        ),
    ]
    rows = [row(cell, "here") for cell in cells]
    assert rows == json.loads(json.dumps(rows))
    assert [one["members"] for one in rows] == [2, 1]
    assert all(one["fits"] and one["flops"] > 0 for one in rows)
    show(cells, rows)
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split()[:3] == ["cell", "model.pattern", "model.width"]
    assert [line.split()[0] for line in lines] == [cell.id for cell in cells]


def compile_for(target: str, out, *flags: str) -> dict:
    """The JSON of one cell, from the environment of a target."""
    ready = subprocess.run([ROOT / "scripts/aot.sh", "ready", target], check=False)
    if ready.returncode:
        pytest.skip(f"scripts/aot.sh {target} has not been run")
    command = [ROOT / "scripts/aot.sh", target, "scripts/compile.py", f"--out={out}"]
    base = ["--task=recall(length=512,pairs=8)", "--model.dtype=bfloat16"]
    sizes = ["--model.width=128", "--model.layers=1", "--train.batch=8"]
    done = subprocess.run(
        [*command, *base, *sizes, *flags], capture_output=True, text=True, check=False
    )
    assert out.exists(), done.stderr
    return json.loads(out.read_text())["cells"][0]


@pytest.mark.slow
@pytest.mark.parametrize("mixer", ["dense(heads=2)", "window(heads=2)"])
def test_attention_calls_its_kernel_on_a_tpu(mixer, tmp_path):
    made = compile_for(
        "tpu", tmp_path / "out.json", "--platform=v5e-1", f"--model.pattern={mixer}"
    )
    assert made["fits"] and made["kernels"]["tpu_custom_call"] == 3


@pytest.mark.slow
def test_a_tpu_that_is_too_small_is_told_in_its_compilers_words(tmp_path):
    wide = ["--model.width=4096", "--train.batch=512", "--model.pattern=linear"]
    made = compile_for("tpu", tmp_path / "out.json", "--platform=v5e-1", *wide)
    assert not made["fits"] and "exceeds available HBM" in made["refused"]


@pytest.mark.slow
@pytest.mark.parametrize("mixer", ["dense(heads=2)", "window(heads=2)"])
def test_attention_calls_cudnn_on_an_h100(mixer, tmp_path):
    made = compile_for(
        "cuda", tmp_path / "out.json", "--platform=h100", f"--model.pattern={mixer}"
    )
    assert made["fits"] and any("fmha" in name for name in made["kernels"])
