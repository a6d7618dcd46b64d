"""The configuration tree, its dotted names, its JSON and its hash.

`Config` shapes the compiled program; `Population` lists what may differ between the
members that one program trains. The task and the pattern of mixers are specs
(`name(option=value,...)`), so that the tree is the same for every family.
"""

import dataclasses
import math
import struct
from typing import Literal

from attn_research.config.fields import content_hash, edit, flatten, to_dict
from attn_research.options import BadInput, declared, option

__all__ = [
    "Config",
    "Model",
    "Population",
    "Start",
    "Train",
    "content_hash",
    "edit",
    "flatten",
    "to_dict",
]


@declared
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
        None,
        "Pattern of layers used once, below the others: a convolutional stem, say.",
    )
    scan: bool = option(
        False,
        "Run the repeats of the pattern as one compiled loop, so that deep models "
        "compile as fast as shallow ones.",
    )
    width: int = option(64, "Width D of the residual stream.", low=1)
    mlp: Literal["none", "gelu", "swiglu"] = option(
        "none", "Kind of MLP after each mixer."
    )
    mlp_ratio: float = option(
        4.0, "Ratio of the MLP's hidden width to the model's width.", above=0
    )
    macaron: bool = option(
        False, "Put half an MLP before the mixers and half after, as in the Conformer."
    )
    norm: Literal["layer", "rms"] = option("layer", "Kind of normalisation.")
    norm_at: Literal["pre", "post"] = option(
        "pre",
        "Normalise the input of a branch, or the stream after its addition.",
    )
    residual: Literal["serial", "parallel"] = option(
        "serial", "Apply the branches of a layer one after another, or all to one norm."
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
        "What a classification head reads of a sequence: the mean over positions, the "
        "maximum of each channel, the last position, or all positions side by side.",
    )
    rescale: bool = option(
        False,
        "Standardise each real-valued sequence before the model reads it, and undo "
        "that in the output.",
    )
    spread: int = option(
        0,
        "Number of positions to choose from: training takes a random ordered subset, "
        "evaluation and decoding evenly spaced ones; 0: plain 0, 1, 2, ...",
        low=0,
    )
    tied: bool = option(True, "Let the output head share the token embedding.")
    embed_norm: bool = option(False, "Normalise the input of the first layer.")
    embed_dropout: float = option(
        0.0, "Dropout rate on the input embedding.", low=0, below=1
    )
    dropout: float = option(
        0.0, "Dropout rate on each residual branch.", low=0, below=1
    )
    dtype: Literal["float32", "bfloat16"] = option(
        "float32", "Dtype of the computation; parameters are always float32."
    )
    remat: bool = option(
        False, "Recompute each layer in the backward pass instead of storing it."
    )


@declared
class Train:
    """How long, how large, how often; shapes the compiled program."""

    steps: int = option(1000, "Optimizer steps of each member.", low=1)
    batch: int = option(64, "Sequences in a batch, B.", low=1)
    distinct_batches: int = option(
        0,
        "Distinct training batches, reshuffled every epoch; 0: always new ones.",
        low=0,
    )
    schedule: Literal["constant", "cosine", "wsd"] = option(
        "cosine",
        "Schedule of the rate after warm-up; wsd holds, then decays linearly.",
    )
    warmup: float = option(
        0.1, "Fraction of the steps in which the rate rises.", low=0, below=1
    )
    decay: float = option(
        0.2,
        "Fraction of the steps in which the rate falls, under wsd.",
        low=0,
        high=1,
    )
    optimizer: str = option(
        "adamw",
        "adamw, lion, sgd, adafactor, muon (matrices of the trunk; Adam's moments for "
        "the rest), or an optimizer of a plugin.",
        later=True,
    )
    accumulate: int = option(
        1,
        "Parts of a batch that are seen one after another, in the memory of one, their "
        "gradients summed before the step.",
        low=1,
        later=True,
    )
    average: float = option(
        0.0,
        "Decay of a moving average of the parameters, which is what is evaluated and "
        "kept; 0: none.",
        low=0,
        below=1,
        later=True,
    )
    metrics: tuple[str, ...] | None = option(
        None,
        "Metrics of plugins to report beside those of the task, with commas.",
        later=True,
    )
    mesh: str | None = option(
        None,
        "Devices of each member, as data=2,fsdp=4: both share the rows of a batch, and "
        "fsdp also divides parameters and the optimizer's state; none: one device.",
        later=True,
    )
    data: Literal["auto", "device", "host"] = option(
        "auto",
        "Where the text of a task lies: whole on each device, or in its files, from "
        "which the host sends the rows of coming steps (auto: if it is too large).",
        later=True,
    )
    clip: float = option(1.0, "Largest gradient norm of a member; 0: none.", low=0)
    eval_every: int = option(100, "Steps between evaluations.", low=1)
    eval_batches: int = option(4, "Batches in an evaluation on validation.", low=1)
    test_batches: int = option(16, "Batches in the final test.", low=1)
    decode: int = option(
        64,
        "Number of test examples for which the best member writes text or draws "
        "images; 0: none.",
        low=0,
    )
    checkpoint_every: int = option(
        500, "Steps between checkpoints, taken at evaluations; the last is kept too.",
        low=1,
    )  # fmt: skip
    checkpoint_minutes: float = option(
        0.0,
        "Minutes between checkpoints beside those, at any step; 0: none.",
        low=0.0,
        later=True,
    )
    keep: int = option(
        2,
        "Newest checkpoints to keep; 0: all, to analyse along training.",
        low=0,
    )
    stop_at: float = option(
        0.0,
        "Stop a member as solved once its headline metric reaches this; 0: never.",
        low=0,
    )
    execution: Literal["map", "vmap", "auto"] = option(
        "auto",
        "How members run: one after another (map, the default on CPU) or all at once "
        "(vmap, the default elsewhere).",
    )


@declared
class Start:
    """Where a model starts from, and how much of it learns; shapes the program.

    The checkpoint is named by its content: a resolved config holds the member, the step
    and the digest of the checkpoint in `path`.
    """

    path: str | None = option(
        None,
        "Run to start from: all parameters but the head are copied from its best "
        "member. If it is a study, from the cell with the same model. none: initialise "
        "everything.",
    )
    member: int | None = option(
        None, "Member of that run; none: the best in validation.", low=0
    )
    step: int | None = option(
        None, "Step of that run to start from; none: the newest.", low=0
    )
    digest: str = option(
        "", "Digest of the parameters in that checkpoint; written by the run."
    )
    trunk: Literal["all", "frozen"] = option(
        "all", "Which part of the model learns: all of it, or the head alone (frozen)."
    )
    rate: float = option(
        1.0,
        "Ratio of a layer's learning rate to that of the layer above; the embedding "
        "counts as the lowest layer.",
        above=0,
        high=1,
    )


@declared
class Config:
    """One compiled program: a task, a model, a way to train, a start.

    `model`, `train` and `init` are groups of options: `Model`, `Train` and `Start`.
    """

    task: str = option("recall", "Task, as name(option=value,...).")
    model: Model = Model()
    train: Train = Train()
    init: Start = Start()


@declared
class Population:
    """The axes of a population: its members are the product of these lists."""

    seed: tuple[int, ...] = option(
        (0,), "Seeds of the initialisation and of the data order.", low=0
    )
    lr: tuple[float, ...] = option((1e-3,), "Peak learning rates.", above=0)
    weight_decay: tuple[float, ...] = option(
        (0.1,), "Weight decays, on matrices only.", low=0
    )

    @property
    def size(self) -> int:
        """Number of members."""
        return math.prod(len(values) for values in dataclasses.asdict(self).values())

    def check(self) -> None:
        """Raises `BadInput` if two members are equal: they would count as a sample.

        Numbers are compared as the float32 that a member gets.
        """
        for name, values in dataclasses.asdict(self).items():
            form = "f" if isinstance(values[0], float) else "q"
            bits = [struct.pack(form, value) for value in values]
            for index, (one, value) in enumerate(zip(bits, values, strict=True)):
                if (first := bits.index(one)) < index:
                    said = f"{name} has {values[first]} and {value}, which are equal"
                    raise BadInput(f"{said}; its values must differ")
