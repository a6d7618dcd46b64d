"""The configuration tree, its dotted names, its JSON and its hash.

`Config` shapes the compiled program; `Population` lists what may differ between the
members that one program trains. The task and the pattern of mixers are specs
(`name(option=value,...)`), so that the tree is the same for every family.
"""

import dataclasses
import hashlib
import json
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from attn_research.options import (
    BadInput,
    check,
    convert,
    option,
    parse,
    spell,
    unknown,
)

T = TypeVar("T")


@dataclass(frozen=True)
class Model:
    """The network around the mixers; shapes the compiled program."""

    pattern: str = option(
        "dense",
        "Mixers from the first layer up, as name(option=value,...), separated by "
        "commas; the pattern repeats over the depth. Within a layer + puts mixers one "
        "after another and | side by side.",
    )
    layers: int = option(2, "Number of layers of the pattern.", low=1, high=1000)
    stem: str | None = option(
        None, "A pattern of layers below the others, once: a convolutional stem, say."
    )
    scan: bool = option(
        False,
        "Run the repeats of the pattern as one compiled loop: deep models compile as "
        "fast as shallow ones.",
    )
    width: int = option(64, "Width D of the residual stream.", low=1)
    mlp: Literal["none", "gelu", "swiglu"] = option(
        "none", "Kind of MLP after each mixer."
    )
    mlp_ratio: float = option(4.0, "Hidden width of the MLP over the width.", above=0)
    macaron: bool = option(
        False, "Half of an MLP before the mixers, half after, as in the Conformer."
    )
    norm: Literal["layer", "rms"] = option("layer", "Kind of normalisation.")
    norm_at: Literal["pre", "post"] = option(
        "pre", "Normalise what a branch reads, or the stream after it was added."
    )
    residual: Literal["serial", "parallel"] = option(
        "serial", "Branches of a layer one after another, or all from one norm."
    )
    positions: Literal["none", "learned", "sinusoid"] = option(
        "none", "Positions added to the input of the first layer."
    )
    strides: tuple[int, ...] | None = option(
        None,
        "Strides of convolutions below the first layer of an encoder; the sequence "
        "shortens by their product.",
        low=1,
    )
    pool: Literal["mean", "max", "last", "all"] = option(
        "mean",
        "What a head with one answer per sequence reads: the mean over the positions, "
        "the largest of each channel, the last position, or all of them side by side.",
    )
    rescale: bool = option(
        False,
        "A model of real values reads each sequence less its mean and over its "
        "deviation, and answers in the scale it was given.",
    )
    spread: int = option(
        0,
        "Positions among which training draws those of a sequence, in order, and "
        "evaluation and decoding space them evenly; 0: counted from 0.",
        low=0,
    )
    tied: bool = option(True, "The output head shares the token embedding.")
    embed_norm: bool = option(False, "Normalise the input of the first layer.")
    embed_dropout: float = option(
        0.0, "Dropout rate on the input embedding.", low=0, below=1
    )
    dropout: float = option(
        0.0, "Dropout rate on each residual branch.", low=0, below=1
    )
    dtype: Literal["float32", "bfloat16"] = option(
        "float32", "Type computed in; parameters are always float32."
    )
    remat: bool = option(
        False, "Recompute each layer in the backward pass instead of storing it."
    )


@dataclass(frozen=True)
class Train:
    """How long, how large, how often; shapes the compiled program."""

    steps: int = option(1000, "Optimizer steps of each member.", low=1)
    batch: int = option(64, "Sequences in a batch, B.", low=1)
    distinct_batches: int = option(
        0, "Training batches that exist, reshuffled every epoch; 0: always new.", low=0
    )
    schedule: Literal["constant", "cosine", "wsd"] = option(
        "cosine", "Learning rate after warm-up; wsd holds, then decays linearly."
    )
    warmup: float = option(
        0.1, "Fraction of the steps with rising rate.", low=0, below=1
    )
    decay: float = option(
        0.2, "Fraction of the steps with falling rate, under wsd.", low=0, high=1
    )
    clip: float = option(
        1.0, "Largest gradient norm of a member; 0 does not clip.", low=0
    )
    eval_every: int = option(100, "Steps between evaluations.", low=1)
    eval_batches: int = option(4, "Batches in a validation evaluation.", low=1)
    test_batches: int = option(16, "Batches in the one final test.", low=1)
    decode: int = option(
        64,
        "Test examples for which the best member writes its text, or reads or draws "
        "images; 0: none.",
        low=0,
    )
    checkpoint_every: int = option(
        500, "Steps between checkpoints, at evaluations; the last is always kept.",
        low=1,
    )  # fmt: skip
    keep: int = option(
        2, "Newest checkpoints that are kept; 0: all, to look along training.", low=0
    )
    stop_at: float = option(
        0.0,
        "A member whose headline metric reaches this is solved and stops; 0: never.",
        low=0,
    )
    execution: Literal["map", "vmap", "auto"] = option(
        "auto",
        "How members run: map (one after another, the default on CPU) or vmap (at "
        "once, the default elsewhere).",
    )


@dataclass(frozen=True)
class Start:
    """Where a model starts from, and what of it learns; shapes the compiled program.

    The checkpoint is named by its content: a config that was resolved holds the member,
    the step and the digest of what was found in `path`.
    """

    path: str | None = option(
        None,
        "Directory of a run that this one starts from: all but the head is its best "
        "member's; of a study: its cell with the same model; none: everything is "
        "drawn.",
    )
    member: int | None = option(
        None, "Member of that run; none: the best in validation.", low=0
    )
    step: int | None = option(None, "Step of that run; none: the newest.", low=0)
    digest: str = option("", "Names the parameters found there; written by the run.")
    trunk: Literal["all", "frozen"] = option(
        "all", "What of the model learns: all of it, or the head alone."
    )
    rate: float = option(
        1.0,
        "Learning rate of a layer over that of the layer above it; below the first "
        "layer stands the embedding.",
        above=0,
        high=1,
    )


@dataclass(frozen=True)
class Config:
    """One compiled program: a task, a model, a way to train, a start."""

    task: str = option("recall", "Task, as name(option=value,...).")
    model: Model = Model()
    train: Train = Train()
    init: Start = Start()


@dataclass(frozen=True)
class Population:
    """The axes of a population: its members are the product of these lists."""

    seed: tuple[int, ...] = option(
        (0,), "Seeds of initialisation and data order.", low=0
    )
    lr: tuple[float, ...] = option((1e-3,), "Peak learning rates.", above=0)
    weight_decay: tuple[float, ...] = option(
        (0.1,), "Weight decays, on matrices only.", low=0
    )


def to_dict(config: Any) -> dict[str, Any]:
    """A dataclass tree, or what was read from the JSON of one, as JSON values."""
    tree = config if isinstance(config, dict) else dataclasses.asdict(config)
    return json.loads(json.dumps(tree))


def replace(config: T, changes: Mapping[str, Any]) -> T:
    """A copy with dotted fields changed: `{"model.width": 64, "task.length": 128}`.

    A dotted name below a spec (`task.length`) changes that option of the spec.
    """
    for name, value in changes.items():
        config = _replace_one(config, name.split("."), value, name)
    return config


def _replace_one(node: Any, path: list[str], value: Any, name: str) -> Any:
    head, *rest = path
    if isinstance(node, str):
        if rest:
            raise BadInput(f"{name!r} is no field; a spec has options of one name")
        spec, options = parse(node)
        return spell(spec, {**options, head: value})
    fields = {f.name: f for f in dataclasses.fields(node)}
    if head not in fields:
        raise unknown("field", name, flatten_names(type(node), name, head))
    child = getattr(node, head)
    if rest and (dataclasses.is_dataclass(child) or isinstance(child, str)):
        return dataclasses.replace(
            node, **{head: _replace_one(child, rest, value, name)}
        )
    if rest or dataclasses.is_dataclass(child):
        raise BadInput(f"{name!r} is no single field of the configuration")
    kind = typing.get_type_hints(type(node))[head]
    value = convert(value, kind, name)
    check(value, fields[head].metadata, name)
    return dataclasses.replace(node, **{head: value})


def flatten_names(cls: type, name: str, head: str) -> list[str]:
    """The dotted names beside `name`, for the error that it is unknown."""
    prefix = name[: name.rindex(head)] if "." in name else ""
    return [prefix + f.name for f in dataclasses.fields(cls)]  # type: ignore


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted name -> value of every leaf; the options of `task` are leaves too."""
    flat: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            flat |= flatten(value, f"{prefix}{field.name}.")
        elif prefix + field.name == "task":
            flat["task"], options = parse(value)
            flat |= {f"task.{k}": v for k, v in options.items()}
        else:
            flat[prefix + field.name] = value
    return flat


def content_hash(*parts: Any) -> str:
    """16 hexadecimal digits that name the content of dataclass trees."""
    text = json.dumps([to_dict(part) for part in parts], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
