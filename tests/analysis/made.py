"""Restored models that no run has trained."""

from typing import Any

import jax
import numpy as np
import pytest

from attn_research.checkpoint import Restored, Writer
from attn_research.config import Config, Population, edit
from attn_research.host import layout
from attn_research.modules.models import Sizes, build
from attn_research.tasks.contract import Batch, Spec
from tests.checkpoints import population_of

WIDTH, LENGTH, VOCABULARY = 8, 9, 16
TOKENS = (np.arange(LENGTH) * 7 + 3) % VOCABULARY
TWO = np.stack([TOKENS, TOKENS[::-1]])
# Every family of mixers in few models: what stands in one layer is compiled together.
FAMILIES = {
    "some": "delta|rnn",
    "attention": "window(window=3)+bigbird(window=2,globals=1,random=1)+topk(count=3)",
    "linear": "linear+gla+gated_delta+mamba2(state=4)",
    "state": "mamba(state=2)+diagonal+s4d(state=2)+s5",
    "gated": "mlstm|lstm+conv+hyena(hidden=4)",
    "both ways": "reformer(span=2,buckets=4)+nystrom(landmarks=3)+delta+gru",
}


def families() -> list[Any]:
    """(pattern, causal) of each for a test: one quick, the others in the slow tier."""
    return [
        pytest.param(
            pattern,
            name != "both ways",
            id=name,
            marks=() if name == "some" else pytest.mark.slow,
        )
        for name, pattern in FAMILIES.items()
    ]


def restored(
    pattern: str, *, causal: bool = True, length=LENGTH, classes: int = 0, **more: Any
):
    """A model of tokens with this pattern, once, its parameters drawn without JAX.

    With classes it has one answer per sequence. `more` are fields of `Model`.
    """
    chosen = {"pattern": pattern, "width": WIDTH, "layers": 1, **more}
    config = edit(Config(), {f"model.{name}": x for name, x in chosen.items()})
    outputs = classes or VOCABULARY
    sizes = Sizes("tokens", VOCABULARY, outputs, length, causal, classes > 0)
    model = build(config.model, sizes)
    draw = np.random.default_rng(0)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    params = jax.tree.map(
        lambda leaf: draw.normal(size=leaf.shape, scale=0.5).astype(leaf.dtype), shapes
    )
    return Restored(config, {"seed": 0}, model, params, 0)


def run_of(
    directory, task: str, pattern: str, vocabulary: int, length: int, steps=(7,)
):
    """A run whose parameters were drawn, not trained; its data is nowhere."""
    config = edit(Config(), {"task": task, "model.pattern": pattern, "model.width": 8})
    sizes = Sizes("tokens", vocabulary, vocabulary, length, True)
    params_P = population_of(build(config.model, sizes), 2)
    with Writer(directory / layout.CHECKPOINTS) as writer:
        for step in steps:
            writer.save(step, {"params": params_P}, {"best": 1})
    layout.write_config(directory, config, Population(seed=(0, 1)), sizes._asdict())
    return directory


def with_zeros(of: Restored, *names: str) -> Restored:
    """The model with every parameter under one of these names at zero."""

    def changed(path: Any, leaf: Any) -> Any:
        parts = {getattr(part, "key", None) for part in path}
        return np.zeros_like(leaf) if parts & set(names) else leaf

    return of._replace(params=jax.tree_util.tree_map_with_path(changed, of.params))


def with_arrays(of: Restored, arrays: dict[str, Any]) -> Restored:
    """The model with the parameters whose path ends so, "out.kernel", as these arrays.

    A number fills a parameter; every name must be found.
    """
    met = set()

    def changed(path: Any, leaf: Any) -> Any:
        whole = ".".join(str(getattr(part, "key", "")) for part in path)
        for name, array in arrays.items():
            if f".{whole}".endswith(f".{name}"):
                met.add(name)
                return np.broadcast_to(array, leaf.shape).astype(leaf.dtype)
        return leaf

    found = of._replace(params=jax.tree_util.tree_map_with_path(changed, of.params))
    assert met == set(arrays), f"{set(arrays) - met} are not in the model"
    return found


def copier(lag: int, mixer: str) -> Restored:
    """A model that answers with the token so many positions back, and tells of none.

    By a convolution of one tap or by attention to that distance; tokens and channels
    are one, and what is copied is five times what is there.
    """
    one, zero = np.eye(VOCABULARY), 0.0
    pattern, arrays = {
        "conv": (
            f"conv(width={lag + 3},gate=false)",
            {
                "input.kernel": one,
                "mixers.0.kernel": np.eye(lag + 3)[lag][:, None],
                "out.kernel": 5 * one,
            },
        ),
        "dense": (
            "dense(heads=1,positions=t5)",
            {
                "query.kernel": zero,
                "value.kernel": one,
                "bias_NH": 50 * np.eye(32)[lag][:, None],
                "out.kernel": 5 * one,
            },
        ),
    }[mixer]
    of = restored(pattern, width=VOCABULARY, norm="rms", length=4 * LENGTH)
    sharp = {"table": one, "trunk.norm.scale": 10.0, "norms.0.scale": 1.0}
    return with_arrays(of, {**arrays, **sharp})


def asking(tokens_BT: np.ndarray, lag: int = -1, **more: Any) -> tuple[Spec, Batch]:
    """A task that asks at every position for the token `lag` back, by default the next.

    Where there is none the answer has no weight.
    """
    time_T = np.arange(tokens_BT.shape[1])
    known_T = (time_T >= lag) & (time_T - lag < len(time_T))
    ones_BT = np.ones(tokens_BT.shape, np.int32)
    batch = Batch(
        tokens_BT,
        np.roll(tokens_BT, lag, axis=1),
        (ones_BT * known_T).astype(np.float32),
        ones_BT,
        lag * ones_BT,
    )
    length = len(time_T)
    chosen = {"causal": True, "metrics": ("loss",), "labels": length, **more}
    sizes = ("tokens", VOCABULARY, "token", VOCABULARY, length)
    return Spec(*sizes, **chosen), batch  # type: ignore
