"""A restored model opened: its mixers by layer, and what each of them is given.

Layers count from the first one up, those of the stem first; within a layer mixers have
a place in the order of the pattern, those side by side one by one. Positions are those
that the layers have: a model with strides has fewer of them than tokens.
"""

import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.analysis.compiled import shared
from attn_research.checkpoint import Restored
from attn_research.modules import pattern
from attn_research.modules.contract import Mixer
from attn_research.modules.models import moments
from attn_research.modules.seq2seq import EncoderDecoder
from attn_research.options import BadInput
from attn_research.program import INIT


class Named(NamedTuple):
    """A mixer and its name in `MIXERS`."""

    name: str
    mixer: Mixer


class Opened(NamedTuple):
    """A model of one sequence: the module, its trunk, and the mixers of each layer.

    `stages` has them grouped, within a layer, by those that stand side by side.
    """

    module: Any
    trunk: Any
    stages: list[list[list[Named]]]

    @property
    def layers(self) -> list[list[Named]]:
        """The mixers of each layer, by place."""
        return [list(itertools.chain(*layer)) for layer in self.stages]


def opened(restored: Restored) -> Opened:
    """The layers of a restored model; raises `BadInput` for an encoder-decoder."""
    module = restored.model.bind(restored.params)
    model = restored.config.model
    if isinstance(module, EncoderDecoder):
        raise BadInput(
            f"The model of {restored.config.task} reads one sequence and writes "
            "another; a model of one sequence is allowed"
        )
    period = pattern.layers(model.pattern)
    chosen = pattern.layers(model.stem) if model.stem else []
    chosen = [*chosen, *(period[i % len(period)] for i in range(model.layers))]
    stages = [
        [_named(*part) for part in zip(layer, block.mixers, strict=True)]
        for layer, block in zip(chosen, module.trunk.blocks(), strict=True)
    ]
    return Opened(module, module.trunk, stages)


def _named(stage: pattern.Stage, mixer: Any) -> list[Named]:
    parts = [mixer] if len(stage) == 1 else mixer.mixers
    return [Named(name, part) for (name, _), part in zip(stage, parts, strict=True)]


def untrained(restored: Restored) -> Restored:
    """The model as its own seed drew it, before the first step.

    Where a run started from another checkpoint that is not what it started from.
    """
    key = jax.random.fold_in(jax.random.key(restored.hypers["seed"]), INIT)
    return restored._replace(params=jax.jit(restored.model.init)(key), step=0)


def tokens(restored: Restored, text: str | bytes) -> np.ndarray:
    """tokens_T: the bytes of a text; raises `BadInput` for those not in the vocabulary.

    Text as str is written in UTF-8.
    """
    raw = text.encode() if isinstance(text, str) else text
    found_T = np.frombuffer(raw, np.uint8).astype(np.int32)
    of = opened(restored)
    sizes = of.trunk.sizes
    if sizes.inputs != "tokens":
        raise BadInput(
            f"The model of {restored.config.task} reads real values; a text is allowed "
            "for a model of tokens"
        )
    foreign_T = np.flatnonzero(found_T >= sizes.features)
    if foreign_T.size:
        at = int(foreign_T[0])
        raise BadInput(
            f"The text has the byte {found_T[at]} at {at}; the vocabulary of this "
            f"model is 0 to {sizes.features - 1}"
        )
    return checked(of, found_T)[0] if found_T.size else found_T


def checked(of: Opened, inputs: Any) -> np.ndarray:
    """inputs_BT (tokens) or inputs_BTF (values) as the model takes them, or `BadInput`.

    A single sequence gets a batch axis.
    """
    sizes, inputs = of.trunk.sizes, np.asarray(inputs)
    words = sizes.inputs == "tokens"
    if inputs.ndim == (1 if words else 2):
        inputs = inputs[None]
    fits = inputs.ndim == (2 if words else 3) and inputs.size
    if not fits or (not words and inputs.shape[2] != sizes.features):
        wanted = "tokens (T,)" if words else f"values (T, {sizes.features})"
        raise BadInput(
            f"The inputs have the shape {inputs.shape}; {wanted} are allowed, or a "
            "batch of them"
        )
    places = of.trunk.positions(np.ones(inputs.shape[:2], np.int32)).shape[1]
    of.trunk.frontend.stride(places)  # a table of positions ends somewhere
    if not words:
        return inputs.astype(np.float32)
    whole = np.issubdtype(inputs.dtype, np.integer)
    if not whole or inputs.min() < 0 or inputs.max() >= sizes.features:
        raise BadInput(
            f"The inputs are {inputs.dtype} from {inputs.min()} to {inputs.max()}; "
            f"whole numbers from 0 to {sizes.features - 1} are allowed"
        )
    return inputs.astype(np.int32)


def within(what: str, index: int, count: int, of: str) -> None:
    """Raises `BadInput` for an index that is not 0 to count - 1."""
    if not 0 <= index < count:
        allowed = "0 is allowed" if count == 1 else f"0 to {count - 1} are allowed"
        raise BadInput(f"The {what} is {index}; {allowed} ({of})")


def embedded(
    trunk: Any, inputs: jax.Array, segments_BT: jax.Array | None
) -> tuple[jax.Array, jax.Array | None]:
    """x_BTD that the first layer is given, and the segments of its positions."""
    if trunk.model.rescale:
        real_BT = jnp.ones(inputs.shape[:2]) if segments_BT is None else segments_BT > 0
        real_BT1 = real_BT.astype(inputs.dtype)[..., None]
        mean_B11, deviation_B11 = moments(inputs, real_BT1)
        inputs = real_BT1 * (inputs - mean_B11) / deviation_B11
    return trunk.embedded(inputs, segments_BT), trunk.positions(segments_BT)


def given(restored: Restored, inputs: Any) -> list[list[jax.Array]]:
    """x_TD that each mixer is given of one sequence, by layer and place."""
    of = opened(restored)
    inputs = checked(of, inputs)
    if len(inputs) != 1:
        raise BadInput(f"{len(inputs)} sequences are given; one is allowed")

    return _given(restored, inputs)


@shared()
def _given(restored: Restored, inputs: jax.Array) -> list[list[jax.Array]]:
    of = opened(restored)
    found = fed(of.trunk, of.stages, inputs)
    return jax.tree.map(lambda x_1TD: x_1TD[0], found)


def fed(
    trunk: Any,
    stages: list[list[list[Named]]],
    inputs: jax.Array,
    segments_BT: jax.Array | None = None,
) -> list[list[jax.Array]]:
    """x_BTD that each mixer is given, by layer and place; may be traced."""
    x_BTD, segments_BT = embedded(trunk, inputs, segments_BT)
    found = []
    for layer, block in zip(stages, trunk.blocks(), strict=True):
        seen, x_BTD = block.given(x_BTD, segments_BT)
        # Mixers side by side are given the same.
        pairs = zip(layer, seen, strict=True)
        found.append([x_BTD for stage, x_BTD in pairs for _ in stage])
    return found
