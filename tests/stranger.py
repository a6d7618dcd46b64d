"""What someone does who has the wheel and no checkout: `python stranger.py`.

Imports every module, builds a mixer inside a model of his own in NNX and in Linen, and
trains, loads, sweeps, reports and analyses by the console command. Runs in the working
directory, which must be empty.
"""

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
from flax import linen, nnx
from flax.nnx import bridge

import attn_research as ar

STUDY = """
from attn_research.config import Config, Model, Population, Train
from attn_research.studies.study import Study

STUDIES = {
    "quick": Study(
        "tiny",
        "Does it run?",
        "It runs.",
        Config(
            task="recall(length=8,pairs=1,vocabulary=16)",
            model=Model(width=8, layers=1),
            train=Train(steps=4, batch=2, eval_every=2, eval_batches=1, test_batches=1),
        ),
        {"model.pattern": ("dense(heads=2)", "conv")},
        Population(seed=(0, 1)),
    )
}
"""
TRAIN = (
    "--task=recall(length=16,pairs=2,vocabulary=16)",
    "--model.pattern=conv,gated_delta",
    "--model.width=8",
    "--train.steps=4",
    "--train.batch=2",
    "--train.eval_every=2",
    "--train.eval_batches=1",
    "--train.test_batches=1",
    "--seed=0,1",
)


def modules() -> int:
    """Imports every module of the package; returns how many there are."""
    root = Path(ar.__file__).parent
    assert root.is_relative_to(sys.prefix), f"{root} is not installed in {sys.prefix}"
    names = [
        module.name for module in pkgutil.walk_packages([str(root)], "attn_research.")
    ]
    files = [path for path in root.rglob("*.py") if path != root / "__init__.py"]
    assert len(names) == len(files), "a folder with code is not a package"
    for name in names:
        importlib.import_module(name)
    return len(names)


def mixer(rngs: nnx.Rngs) -> nnx.Module:
    """A mixer of the table, for sequences of width 8."""
    kind = ar.MIXERS["gated_delta"]
    return kind(kind.Options(heads=2), width=8, causal=True, length=16, rngs=rngs)


class Foreign(nnx.Module):
    """A model in NNX that is not ours."""

    def __init__(self, rngs: nnx.Rngs):
        self.embed = nnx.Embed(16, 8, rngs=rngs)
        self.mixer = mixer(rngs)
        self.head = nnx.Linear(8, 16, rngs=rngs)

    def __call__(self, tokens_BT: jax.Array) -> jax.Array:
        x_BTD = self.embed(tokens_BT)
        return self.head(x_BTD + self.mixer(x_BTD))


class ForeignLinen(linen.Module):
    """A model in Linen that is not ours."""

    @linen.compact
    def __call__(self, x_BTD: jax.Array) -> jax.Array:
        def build(*, rngs: nnx.Rngs) -> nnx.Module:
            return mixer(rngs)

        return linen.Dense(4)(bridge.ToLinen(build)(x_BTD))


def models() -> None:
    """Both foreign models give finite outputs and gradients."""
    tokens_BT = jnp.arange(32).reshape(2, 16) % 16
    model = Foreign(nnx.Rngs(0))
    grads = nnx.grad(lambda model: jnp.mean(model(tokens_BT) ** 2))(model)
    assert all(jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(grads))
    x_BTD = jax.random.normal(jax.random.key(0), (2, 16, 8))
    y_BTV, _ = ForeignLinen().init_with_output(jax.random.key(1), x_BTD)
    assert y_BTV.shape == (2, 16, 4) and jnp.all(jnp.isfinite(y_BTV))


def command(*arguments: str) -> str:
    """What the console command prints; it must end with exit code 0."""
    program = Path(sys.executable).with_name("attn-research")
    done = subprocess.run([str(program), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout


def commands() -> None:
    """From flags to checkpoints and pages."""
    assert "Usage: attn-research" in command("--help")
    assert "--model.width" in command("train", "--help")
    command("train", *TRAIN, "--out=runs/first")
    restored = ar.load("runs/first", member="best")
    logits_BTV = restored.model.apply(restored.params, jnp.zeros((1, 16), jnp.int32))
    assert logits_BTV.shape == (1, 16, 16) and restored.step == 4
    Path("experiments").mkdir()
    Path("experiments/tiny.py").write_text(STUDY)
    command("sweep", "--experiment=tiny", "--out=runs/tiny")
    assert "2 done" in command("sweep", "--out=runs/tiny", "--status")
    command("report", "runs/tiny")
    assert Path("runs/tiny/report/index.html").stat().st_size > 10_000
    command("analyze", "runs/first", "--what=mixing", "--sequences=1")
    assert Path("runs/first/analysis/index.html").exists()
    assert "wikitext2" in command("prepare", "--list")


def main() -> None:
    assert not any(Path.cwd().iterdir()), "the working directory must be empty"
    count = modules()
    models()
    commands()
    print(f"{count} modules, two foreign models, five commands: all work.")


if __name__ == "__main__":
    main()
