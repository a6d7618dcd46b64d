"""Mixers, models and tasks from the words that flags use."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
from flax import nnx

from attn_research import tasks
from attn_research.config import Model
from attn_research.modules import models, pattern
from attn_research.modules.contract import Mixer
from attn_research.modules.models import LM, Encoder, Sizes
from attn_research.modules.seq2seq import EncoderDecoder
from attn_research.options import BadInput, unknown
from attn_research.tasks import Task
from attn_research.training import program

PROBED = 48, 3_000  # lengths at which a mixer that no length sizes looks the same
FIELDS = tuple(field.name for field in dataclasses.fields(Model))
SIZES = "task", "vocabulary", "channels", "outputs", "length", "causal", "pooled"


def mixer(
    spec: str,
    *,
    width: int,
    causal: bool,
    length: int | None = None,
    rngs: nnx.Rngs,
) -> Mixer:
    """The mixer that a spec such as `"gated_delta(heads=4)"` names, as an NNX module.

    `y_BTD = mixer(x_BTD, segments_BT)` with D = `width`; `causal=False` lets a token
    see those after it. Several mixers between | run side by side. `length` is the
    number of tokens it is built for, which only some mixers need: those with learned
    positions, sums over positions, buckets, or filters that span the sequence. `rngs`
    draws the parameters.

    Raises `BadInput` for an unknown mixer or option, with the nearest name; for a value
    outside its bounds, a width that the heads do not divide, a mixer without a causal
    form if `causal`, and if `length` is missing and needed.
    """
    _check_rngs(rngs)
    layers = pattern.layers(spec)
    if len(layers) != 1 or len(layers[0]) != 1:
        raise BadInput(
            f"{spec!r} has several layers or stages; it must be one mixer, or several "
            "between |, and attn_research.model builds whole patterns"
        )
    (stage,) = layers[0]

    def built(length: int, rngs: nnx.Rngs) -> Mixer:
        return pattern.mixer(
            stage, width=width, causal=causal, length=length, rngs=rngs
        )

    if length is None:
        few, many = (_shape(built, probed) for probed in PROBED)
        if few != many:
            raise BadInput(
                f"{spec!r} is sized by the length of its sequences; length must be "
                "given, in tokens"
            )
        length = PROBED[0]
    return built(length, rngs)


def model(
    pattern: str,
    *,
    task: str | Task | None = None,
    vocabulary: int | None = None,
    channels: int | None = None,
    outputs: int | None = None,
    length: int | None = None,
    causal: bool = True,
    pooled: bool = False,
    rngs: nnx.Rngs,
    **fields: Any,
) -> LM | Encoder | EncoderDecoder:
    """A whole model, as flags describe it: layers of mixers between embedding and head.

    `pattern` names the mixers from the first layer up, `"conv,dense"`. `fields` are
    those of `config.Model` by name: `width=64, layers=4, mlp="gelu"`. What goes in and
    out is that of a `task` (a spec, or what `task` returns), or is given here:
    `vocabulary` tokens or `channels` of real values in, `outputs` numbers out (by
    default one for each token of the vocabulary), `length` positions at most, `causal`
    or not, one answer for each position or, if `pooled`, one for the sequence.

    The model is an NNX module, `logits_BTV = model(tokens_BT, segments_BT)`, or _BV if
    pooled; `functional` makes it pure. `rngs` draws the parameters.

    Raises `BadInput` for an unknown mixer, option or field, with the nearest name, for
    a value outside its bounds, and for sizes that are missing or given twice.
    """
    _check_rngs(rngs)
    for name in fields:
        if name not in FIELDS:
            raise unknown("field of a model", name, (*FIELDS, *SIZES))
    given = {
        "vocabulary": vocabulary,
        "channels": channels,
        "outputs": outputs,
        "length": length,
    }
    if task is None:
        sizes = _sizes(**given, causal=causal, pooled=pooled)
    else:
        twice = [name for name, value in given.items() if value is not None]
        if twice or not causal or pooled:
            name = (*twice, "pooled" if pooled else "causal")[0]
            raise BadInput(
                f"{name} is given beside a task, which decides it; it must be left out"
            )
        made = tasks.make(task) if isinstance(task, str) else task
        if not isinstance(getattr(made, "spec", None), tasks.Spec):
            raise BadInput(
                f"task is {task!r}; it must be a spec or what task() returns"
            )
        sizes = program.sizes(made)
    return models.constructor(Model(pattern=pattern, **fields), sizes)(rngs=rngs)


def task(spec: str) -> Task:
    """The task that a spec such as `"recall(length=64)"` names.

    `batch = task.batch(key, "train", size)` has inputs, targets, weights, segments and
    gap; `task.spec` says what it asks of a model. A task of real data needs
    `task.arrays()`, the last argument of `batch`, which refuses to go without them.

    Raises `BadInput` for an unknown task or option, with the nearest name, and for a
    value outside its bounds.
    """
    return tasks.make(spec)


def _check_rngs(rngs: Any) -> None:
    if not isinstance(rngs, nnx.Rngs):
        raise BadInput(f"rngs is {rngs!r}; it must be flax.nnx.Rngs(seed)")


def _shape(built: Callable[[int, nnx.Rngs], Any], length: int) -> tuple[Any, Any]:
    """What a length decides of a mixer: its structure and the shapes it holds."""
    abstract = nnx.eval_shape(lambda: built(length, nnx.Rngs(0)))
    graph, state = nnx.split(abstract)
    return graph, jax.tree.map(lambda leaf: leaf.shape, nnx.to_pure_dict(state))


def _sizes(
    *,
    vocabulary: int | None,
    channels: int | None,
    outputs: int | None,
    length: int | None,
    causal: bool,
    pooled: bool,
) -> Sizes:
    if (vocabulary is None) == (channels is None):
        raise BadInput(
            f"vocabulary is {vocabulary} and channels is {channels}; one of them must "
            "be given, or a task"
        )
    for name, value in (("causal", causal), ("pooled", pooled)):
        if not isinstance(value, bool):
            raise BadInput(f"{name} is {value!r}; it must be True or False")
    if outputs is None and (vocabulary is None or pooled):
        raise BadInput(
            "outputs is missing; it must be the number of values that come out"
        )
    if length is None:
        raise BadInput("length is missing; it must be the largest number of positions")
    features = channels if vocabulary is None else vocabulary
    return Sizes(
        inputs="values" if vocabulary is None else "tokens",
        features=features,  # type: ignore
        outputs=features if outputs is None else outputs,  # type: ignore
        length=length,
        causal=causal and not pooled,
        per_sequence=pooled,
    )
