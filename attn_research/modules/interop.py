"""Weights of other libraries as parameters of our models.

    loaded = bert("path/to/a/saved/BertModel", outputs=2)
    x_BD = loaded.model.apply(loaded.params, tokens_BT, segments_BT, method="pooled")

The result is an `Encoder` like any other: its trunk is the pretrained one, its head is
new, and it can be trained, saved and analysed.
"""

import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from attn_research.config import Model
from attn_research.modules.models import build
from attn_research.modules.sizes import Sizes
from attn_research.options import BadInput
from attn_research.pure import Functional

# Fields of a BertConfig that change what the model computes, and the value supported.
FIXED = {
    "is_decoder": False,
    "add_cross_attention": False,
    "position_embedding_type": "absolute",
}
NUMBERS = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "vocab_size",
    "max_position_embeddings",
)
EPSILON = 1e-5  # up to here another epsilon is within rounding of outputs


class Loaded(NamedTuple):
    """A model, its sizes and its pretrained parameters."""

    config: Model
    sizes: Sizes
    model: Functional
    params: dict[str, Any]


def bert(directory: str | os.PathLike[str], *, outputs: int, seed: int = 0) -> Loaded:
    """The `BertModel` that transformers saved in a directory, as our `Encoder`.

    The directory holds config.json and model.safetensors (Devlin et al., 2018,
    arXiv:1810.04805). The pooling of BERT itself is left out: ours is the mean over the
    tokens. The head of `outputs` is initialised from `seed`. Raises BadInput if a file
    is missing, is of another kind of model, or has a field that ours cannot honour.
    """
    facts, tensors = _read(Path(directory))
    width, layers = facts["hidden_size"], facts["num_hidden_layers"]
    config = Model(
        pattern=f"dense(heads={facts['num_attention_heads']},bias=true)",
        layers=layers,
        width=width,
        mlp="gelu",
        mlp_ratio=facts["intermediate_size"] / width,
        norm="layer",
        norm_at="post",
        positions="learned",
        embed_norm=True,
    )
    sizes = Sizes(
        inputs="tokens",
        features=facts["vocab_size"],
        outputs=outputs,
        length=facts["max_position_embeddings"],
        causal=False,
        per_sequence=True,
    )
    model = build(config, sizes)
    params = jax.jit(model.init)(jax.random.key(seed))
    blocks = {str(i): _layer(tensors, f"encoder.layer.{i}") for i in range(layers)}
    # Our tables are scaled by sqrt(D); every token has the first of BERT's types.
    scale = 1 / math.sqrt(width)
    place = tensors("embeddings.position_embeddings.weight")
    kind = tensors("embeddings.token_type_embeddings.weight")[:1]
    params["trunk"] = {
        "frontend": {
            "table": tensors("embeddings.word_embeddings.weight") * scale,
            "place": (place + kind) * scale,
        },
        "embed_norm": _norm(tensors, "embeddings.LayerNorm"),
        "groups": {"0": {"blocks": blocks}},
    }
    model.bind(params)  # refuses what does not fit
    # On a device: a traced index into an array of NumPy would be an error.
    return Loaded(config, sizes, model, jax.tree.map(jax.device_put, params))


Tensors = Callable[[str], np.ndarray]


def _read(directory: Path) -> tuple[Mapping[str, Any], Tensors]:
    try:
        # The extra `bench` has it; a type check need not.
        from safetensors.numpy import load_file  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise BadInput(
            "Reading pretrained weights needs safetensors; pip install safetensors"
        ) from None
    for name in ("config.json", "model.safetensors"):
        if not (directory / name).is_file():
            raise BadInput(
                f"{directory} has no {name}; it must be the directory of a saved "
                "BertModel"
            )
    facts = json.loads((directory / "config.json").read_text())
    kind, activation = facts.get("model_type"), facts.get("hidden_act")
    if (kind, activation) != ("bert", "gelu"):
        raise BadInput(
            f"{directory} holds a model of type {kind} with activation {activation}; "
            "it must be bert with gelu"
        )
    for name, wanted in FIXED.items():
        if facts.get(name, wanted) != wanted:
            raise BadInput(
                f"{directory} holds a BERT whose {name} is {facts[name]!r}; it must be "
                f"{wanted!r}"
            )
    epsilon = facts.get("layer_norm_eps", 1e-12)
    if not isinstance(epsilon, (int, float)) or not 0 <= epsilon <= EPSILON:
        raise BadInput(
            f"{directory} holds a BERT whose layer_norm_eps is {epsilon!r}; it must be "
            f"at most {EPSILON:g}, as ours is 1e-6"
        )
    for name in NUMBERS:
        if not isinstance(facts.get(name), int) or facts[name] < 1:
            raise BadInput(
                f"{directory} holds a BERT whose {name} is {facts.get(name)!r}; it "
                "must be a positive whole number"
            )
    held = {
        name.removeprefix("bert."): array
        for name, array in load_file(str(directory / "model.safetensors")).items()
    }

    def tensor(name: str) -> np.ndarray:
        if name not in held:
            raise BadInput(
                f"The weights of {directory} lack {name}; they must be those of a "
                "BertModel"
            )
        return held[name].astype(np.float32)

    return facts, tensor


def _layer(tensors: Tensors, name: str) -> dict[str, Any]:
    attention = f"{name}.attention"
    heads = {
        ours: _linear(tensors, f"{attention}.{theirs}")
        for ours, theirs in {
            "query": "self.query",
            "key": "self.key",
            "value": "self.value",
            "out": "output.dense",
        }.items()
    }
    return {
        "mixers": {"0": {"heads": heads}},
        "mlps": {
            "0": {
                "input": _linear(tensors, f"{name}.intermediate.dense"),
                "out": _linear(tensors, f"{name}.output.dense"),
            }
        },
        "norms": {
            "0": _norm(tensors, f"{attention}.output.LayerNorm"),
            "1": _norm(tensors, f"{name}.output.LayerNorm"),
        },
    }


def _linear(tensors: Tensors, name: str) -> dict[str, np.ndarray]:
    """PyTorch keeps the kernel of y = x W^T + b as W."""
    return {"kernel": tensors(f"{name}.weight").T, "bias": tensors(f"{name}.bias")}


def _norm(tensors: Tensors, name: str) -> dict[str, np.ndarray]:
    return {"scale": tensors(f"{name}.weight"), "bias": tensors(f"{name}.bias")}
