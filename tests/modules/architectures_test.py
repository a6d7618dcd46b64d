"""Published architectures: each is built, learns from a step, decodes, has a name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research.config import Config, Model
from attn_research.modules import pattern as patterns
from attn_research.modules.architectures import ARCHITECTURES, architecture
from attn_research.modules.models import Sizes, build
from attn_research.options import BadInput
from attn_research.studies import blueprint
from attn_research.studies.study import Study
from tests.command import assert_one_sentence, command
from tests.parameters import drawn

VOCABULARY, LENGTH = 11, 24
QUICK = ("griffin", "qwen3_next", "bert")


def model(name: str) -> Model:
    built = ARCHITECTURES[name]
    one = Config(model=Model(width=32))
    return blueprint.config(one, built).model


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
        for name in ARCHITECTURES
    ],
)
def test_each_is_built_learns_from_a_step_and_decodes(name):
    built, causal = model(name), ARCHITECTURES[name].causal
    sizes = Sizes("tokens", VOCABULARY, VOCABULARY, LENGTH, causal=causal)
    made = build(built, sizes)
    params = drawn(made, deviation=0.1)
    tokens_BT = np.random.default_rng(0).integers(0, VOCABULARY, (2, LENGTH))
    tokens_BT = tokens_BT.astype(np.int32)
    segments_BT = np.ones_like(tokens_BT)

    @jax.jit
    def loss(params):
        logits_BTV = made.apply(params, tokens_BT, segments_BT)
        chosen_BTV = jax.nn.log_softmax(logits_BTV.astype(jnp.float32))
        return -jnp.take_along_axis(chosen_BTV, tokens_BT[..., None], axis=2).mean()

    before, slopes = jax.value_and_grad(loss)(params)
    leaves = jax.tree.leaves(slopes)
    assert all(np.isfinite(leaf).all() for leaf in leaves)
    norm = float(jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in leaves)))
    after = jax.tree.map(lambda p, s: p - 1e-2 / norm * s, params, slopes)
    assert loss(after) < before
    if not causal:
        return
    want_BTV = made.apply(params, tokens_BT, segments_BT)
    module = made.bind(params)
    carry, stepped = module.start(2, LENGTH), []
    step = jax.jit(module.step)
    for token_B in tokens_BT.T:
        logits_BV, carry = step(token_B, carry)
        stepped.append(logits_BV)
    np.testing.assert_allclose(
        np.stack(stepped, axis=1), want_BTV, rtol=2e-3, atol=2e-3
    )


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_each_says_what_it_is(name):
    built = ARCHITECTURES[name]
    fields = Model.__dataclass_fields__
    assert set(built.fields) <= set(fields) - {"width", "layers", "pattern"}
    assert built.source and (not built.left_out or built.left_out.endswith("."))
    assert patterns.resolve(built.pattern)
    assert model(name).layers == len(patterns.layers(built.pattern))


def test_what_is_given_goes_before_it_but_not_the_pattern():
    one = Config(model=Model(layers=6, mlp="none"))
    given = {"model.layers", "model.mlp"}
    made = blueprint.config(one, architecture("griffin"), given).model
    assert (made.layers, made.mlp, made.norm) == (6, "none", "rms")
    assert made.pattern == ARCHITECTURES["griffin"].pattern
    with pytest.raises(BadInput, match=r"model\.pattern both say which mixers"):
        blueprint.config(one, architecture("griffin"), {"model.pattern"})
    with pytest.raises(BadInput, match="Unknown architecture 'grifin'.*mean 'griffin'"):
        architecture("grifin")


def test_a_study_of_one_mixer_takes_it_and_one_of_several_refuses():
    study = Study("s", "?", ".", axes={"model.width": (8, 16), "model.mlp": ("none",)})
    made = blueprint.study(study, architecture("samba"))
    assert made.base.model.pattern == ARCHITECTURES["samba"].pattern
    assert made.base.model.mlp == Model().mlp and made.axes == study.axes
    several = Study("s", "?", ".", axes={"model.pattern": ("dense", "lstm")})
    with pytest.raises(BadInput, match="compares mixers must be run without it"):
        blueprint.study(several, architecture("samba"))


def test_the_depth_of_a_scale_is_rounded_up_to_whole_passes():
    made = blueprint.config(Config(), architecture("griffin"), {"model.layers"})
    assert blueprint.whole(made).model.layers == 3


def test_commands_take_its_name(tmp_path):
    asked = ["--task=recall(length=16,pairs=2)", "--scale=nano", "--train.steps=1"]
    name = "--architecture=gpt_oss"
    ended = command("train", name, *asked, f"--out={tmp_path / 'run'}")
    assert ended.code == 0, ended.err
    assert f"{name}: window(window=128" in ended.out
    assert "Left out: Experts" in ended.out
    wrong = command("train", name, "--model.pattern=dense", f"--out={tmp_path / 'no'}")
    assert_one_sentence(wrong, "must be left out")
    experiment = "--experiment=recall_distance"
    compared = command("sweep", experiment, name, "--dry_run", f"--out={tmp_path}")
    assert_one_sentence(compared, "must be run without it")
