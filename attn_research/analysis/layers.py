"""The layers of a restored model: their mixers, and the input of each mixer.

Layers count from 0, those of the stem first. Within a layer a mixer's place is its
order in the pattern, parallel mixers counted one by one. Positions are those of the
layers: a model with strides has fewer positions than tokens.
"""

import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.analysis.sharing import shared
from attn_research.checkpoint import Restored
from attn_research.modules import pattern
from attn_research.modules.contract import Mixer
from attn_research.modules.models import moments
from attn_research.modules.seq2seq import EncoderDecoder
from attn_research.options import BadInput
from attn_research.training.program import INIT


class Named(NamedTuple):
    """A mixer and its name in `MIXERS`."""

    name: str
    mixer: Mixer


class OpenModel(NamedTuple):
    """A model of one sequence: the module, its trunk, and the mixers of each layer.

    `stages` groups the mixers of a layer: those of one stage run in parallel.
    """

    module: Any
    trunk: Any
    stages: list[list[list[Named]]]

    @property
    def layers(self) -> list[list[Named]]:
        """The mixers of each layer, by place."""
        return [list(itertools.chain(*layer)) for layer in self.stages]


def open_model(restored: Restored) -> OpenModel:
    """The layers of a restored model; raises `BadInput` for an encoder-decoder."""
    module = restored.model.bind(restored.params)
    model = restored.config.model
    if isinstance(module, EncoderDecoder):
        raise BadInput(
            f"The model of {restored.config.task} reads one sequence and writes "
            "another; it must be a model of one sequence"
        )
    period = pattern.layers(model.pattern)
    chosen = pattern.layers(model.stem) if model.stem else []
    chosen = [*chosen, *(period[i % len(period)] for i in range(model.layers))]
    stages = [
        [_named(*part) for part in zip(layer, block.mixers, strict=True)]
        for layer, block in zip(chosen, module.trunk.blocks(), strict=True)
    ]
    return OpenModel(module, module.trunk, stages)


def _named(stage: pattern.Stage, mixer: Any) -> list[Named]:
    parts = [mixer] if len(stage) == 1 else mixer.mixers
    return [Named(name, part) for (name, _), part in zip(stage, parts, strict=True)]


def untrained(restored: Restored) -> Restored:
    """The model as its own seed initialises it, before the first step.

    A run that started from another checkpoint did not start from these parameters.
    """
    key = jax.random.fold_in(jax.random.key(restored.hypers["seed"]), INIT)
    return restored._replace(params=jax.jit(restored.model.init)(key), step=0)


def tokens(restored: Restored, text: str | bytes) -> np.ndarray:
    """tokens_T: the bytes of a text, a str in UTF-8.

    Raises `BadInput` for bytes that are not in the vocabulary.
    """
    raw = text.encode() if isinstance(text, str) else text
    byte_T = np.frombuffer(raw, np.uint8).astype(np.int32)
    model = open_model(restored)
    sizes = model.trunk.sizes
    if sizes.inputs != "tokens":
        raise BadInput(
            f"The model of {restored.config.task} reads real values; for a text it "
            "must be a model of tokens"
        )
    foreign_T = np.flatnonzero(byte_T >= sizes.features)
    if foreign_T.size:
        at = int(foreign_T[0])
        raise BadInput(
            f"The text has the byte {byte_T[at]} at {at}; in the vocabulary of this "
            f"model it must be 0 to {sizes.features - 1}"
        )
    return check_inputs(model, byte_T)[0] if byte_T.size else byte_T


def check_inputs(model: OpenModel, inputs: Any) -> np.ndarray:
    """inputs_BT (tokens) or inputs_BTF (values) as the model takes them.

    A single sequence gets a batch axis. Raises `BadInput` for inputs that do not fit.
    """
    sizes, inputs = model.trunk.sizes, np.asarray(inputs)
    words = sizes.inputs == "tokens"
    if inputs.ndim == (1 if words else 2):
        inputs = inputs[None]
    fits = inputs.ndim == (2 if words else 3) and inputs.size
    if not fits or (not words and inputs.shape[2] != sizes.features):
        wanted = "tokens (T,)" if words else f"values (T, {sizes.features})"
        raise BadInput(
            f"The inputs have the shape {inputs.shape}; they must be {wanted}, or a "
            "batch of these"
        )
    places = model.trunk.positions(np.ones(inputs.shape[:2], np.int32)).shape[1]
    model.trunk.frontend.stride(places)  # raises beyond a table of positions
    if not words:
        return inputs.astype(np.float32)
    whole = np.issubdtype(inputs.dtype, np.integer)
    if not whole or inputs.min() < 0 or inputs.max() >= sizes.features:
        raise BadInput(
            f"The inputs are {inputs.dtype} from {inputs.min()} to {inputs.max()}; "
            f"they must be whole numbers from 0 to {sizes.features - 1}"
        )
    return inputs.astype(np.int32)


def check_index(what: str, index: int, count: int, of: str) -> None:
    """Raises `BadInput` for an index that is not 0 to count - 1."""
    if not 0 <= index < count:
        bounds = "0" if count == 1 else f"0 to {count - 1}"
        raise BadInput(f"The {what} is {index}; it must be {bounds} ({of})")


def embed(
    trunk: Any, inputs: jax.Array, segments_BT: jax.Array | None
) -> tuple[jax.Array, jax.Array | None]:
    """The input x_BTD of the first layer, and the segments of its positions."""
    if trunk.model.rescale:
        real_BT = jnp.ones(inputs.shape[:2]) if segments_BT is None else segments_BT > 0
        real_BT1 = real_BT.astype(inputs.dtype)[..., None]
        mean_B11, deviation_B11 = moments(inputs, real_BT1)
        inputs = real_BT1 * (inputs - mean_B11) / deviation_B11
    return trunk.embedded(inputs, segments_BT), trunk.positions(segments_BT)


def mixer_inputs(restored: Restored, inputs: Any) -> list[list[jax.Array]]:
    """The input x_TD of each mixer for one sequence, by layer and place."""
    inputs = check_inputs(open_model(restored), inputs)
    if len(inputs) != 1:
        raise BadInput(f"{len(inputs)} sequences are given; there must be one")

    return _mixer_inputs(restored, inputs)


@shared()
def _mixer_inputs(restored: Restored, inputs: jax.Array) -> list[list[jax.Array]]:
    model = open_model(restored)
    x_1TD = feed(model.trunk, model.stages, inputs)
    return jax.tree.map(lambda x_1TD: x_1TD[0], x_1TD)


def feed(
    trunk: Any,
    stages: list[list[list[Named]]],
    inputs: jax.Array,
    segments_BT: jax.Array | None = None,
) -> list[list[jax.Array]]:
    """The input x_BTD of each mixer, by layer and place; may be traced."""
    x_BTD, segments_BT = embed(trunk, inputs, segments_BT)
    by_layer = []
    for layer, block in zip(stages, trunk.blocks(), strict=True):
        by_stage, x_BTD = block.given(x_BTD, segments_BT)
        # Parallel mixers have the same input.
        pairs = zip(layer, by_stage, strict=True)
        by_layer.append([x_BTD for stage, x_BTD in pairs for _ in stage])
    return by_layer
