"""The output of a trained model for a batch, in the form that its task calls for.

| model | output |
|---|---|
| decoder that reads a source | its answer, greedily |
| language model of text, code or images | continued prompts, completed names, images |
| encoder with a string as its target | the string of the likeliest path |
| encoder with a span as its target | the likeliest span, cut from the input |
| classifier of images | the likeliest class |
"""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from attn_research.decoding import pictures
from attn_research.decoding.generate import Sampling, generate
from attn_research.losses import best_span, collapsed
from attn_research.pure import Functional, Params
from attn_research.tasks import Batch, Spec
from attn_research.tasks.parts.sets import END
from attn_research.training import predictions

SAMPLING = Sampling(temperature=0.8)
CONTINUED = 512  # tokens after a prompt, at least
Kind = Literal["answer", "continuation", "name", "string", "span", "picture", "class"]


class Written(NamedTuple):
    """Rows of tokens: what was written, wanted and read, and which rows count.

    `END` fills the rows. `wanted_BT` is None after a prompt; `read_BS` is None for real
    values, except images, which come back as bytes. A class is one token per row.
    """

    text_BT: Any
    wanted_BT: Any
    read_BS: Any
    real_B: Any


def kind(spec: Spec) -> Kind | None:
    """The kind of output that a model of a task writes, None if "
    "there is none to show."""
    if spec.target == "string":
        return "string"
    if spec.target == "span":
        return "span" if spec.inputs == "tokens" and spec.features == 256 else None
    if spec.picture:
        return "class" if spec.target == "class" else "picture"
    # bits_per_byte is a metric only of tokens that spell bytes.
    written = spec.target == "token" and spec.causal and spec.inputs == "tokens"
    if not written or "bits_per_byte" not in spec.metrics:
        return None
    if spec.completes:
        return "name"
    return "answer" if spec.source_features else "continuation"


def answers(module: Any, batch: Batch, length: int, unrepeated: int = 0) -> jax.Array:
    """text_BT: the likeliest tokens, one by one, after reading the source.

    At most the trained length without the end: the model may have positions for no
    more.
    """
    assert batch.source is not None and batch.source_segments is not None
    rows = batch.source.shape[0]
    tokens_BT = generate(
        module,
        jnp.full((rows, 1), END, jnp.int32),
        jnp.ones(rows, jnp.int32),
        length=length,
        end=END,
        context=(batch.source, batch.source_segments),
        unrepeated=unrepeated,
    )
    return tokens_BT[:, 1:]


def continuations(
    module: Any, inputs_BT: jax.Array, key: jax.Array, wanted: int = CONTINUED
) -> tuple[jax.Array, jax.Array]:
    """text_BT sampled after the first half of each row, and that half, read_BS.

    A prompt begins with the last of its files, as no file sees another in training. A
    model runs at its trained length: if more tokens are `wanted`, the last half of the
    text is the prompt of the next part.
    """
    length = inputs_BT.shape[1]
    half = max(1, length // 2)
    first_key, key = jax.random.split(key)
    place_1S, place_1T = jnp.arange(half)[None], jnp.arange(length)[None]
    opens_BS = inputs_BT[:, :half] == END
    start_B1 = jnp.max(jnp.where(opens_BS, place_1S, 0), axis=1, keepdims=True)
    size_B1 = half - start_B1

    def shifted(tokens: jax.Array, by_B1: jax.Array, within: jax.Array) -> jax.Array:
        at = jnp.minimum(by_B1 + within, tokens.shape[1] - 1)
        inside = by_B1 + within < tokens.shape[1]
        return jnp.where(inside, jnp.take_along_axis(tokens, at, axis=1), END)

    prompt_BS = shifted(inputs_BT[:, :half], start_B1, place_1S)
    tokens_BT = generate(
        module,
        prompt_BS,
        size_B1[:, 0],
        length=length,
        key=first_key,
        sampling=SAMPLING,
        end=END,
    )
    room = length - half
    rounds = max(0, -(-wanted // room) - 1) if room else 0
    whole_B = jnp.full(tokens_BT.shape[0], half)

    def more(read_BS: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        next_BT = generate(
            module, read_BS, whole_B, length=length, key=key, sampling=SAMPLING, end=END
        )
        return next_BT[:, -half:], next_BT[:, half:]

    keys = jax.random.split(key, rounds)
    _, later_RBT = jax.lax.scan(more, tokens_BT[:, -half:], keys)
    later_BRT = jnp.moveaxis(later_RBT, 0, 1).reshape(tokens_BT.shape[0], -1)
    written_BT = jnp.concatenate([tokens_BT, later_BRT], axis=1)
    place_1T = jnp.arange(written_BT.shape[1])[None]
    return shifted(written_BT, size_B1, place_1T), prompt_BS


def names(module: Any, batch: Batch, length: int) -> jax.Array:
    """text_BT: the likeliest bytes after each prompt, up to the longest name."""
    size_B = jnp.maximum(jnp.sum(batch.segments, axis=1), 1)
    tokens_BT = generate(module, batch.inputs, size_B, length=length)
    at_BT = size_B[:, None] + jnp.arange(batch.targets.shape[1])[None]
    return jnp.take_along_axis(tokens_BT, jnp.minimum(at_BT, length - 1), axis=1)


def stretch(token_BT: jax.Array, span_B2: jax.Array) -> jax.Array:
    """text_BT: the tokens from the first to the last position of a span."""
    length = token_BT.shape[1]
    at_BT = span_B2[:, :1] + jnp.arange(length)[None]
    token_BT = jnp.take_along_axis(token_BT, jnp.minimum(at_BT, length - 1), axis=1)
    return jnp.where(at_BT <= span_B2[:, 1:], token_BT, END)


def written(
    spec: Spec, model: Functional, params: Params, batch: Batch, key: jax.Array
) -> Written:
    """What the model writes for a batch."""
    real_B = jnp.any(batch.weights.reshape(len(batch.weights), -1) > 0, axis=1)
    match kind(spec):
        case "string":
            outputs_BTV, _, _ = predictions.predict(spec, model, params, batch, None)
            stride = -(-batch.segments.shape[1] // outputs_BTV.shape[1])
            string_BT = collapsed(
                jnp.argmax(outputs_BTV, axis=-1), batch.segments[:, ::stride] > 0
            )
            return Written(string_BT, batch.targets, None, real_B)
        case "span":
            logits_BT2, _, _ = predictions.predict(spec, model, params, batch, None)
            real_BT1 = (batch.segments > 0)[..., None]
            scored_BT2 = jnp.where(real_BT1, logits_BT2, -jnp.inf)
            best_B2 = best_span(scored_BT2, spec.longest)
            text_BT, wanted_BT = (
                stretch(batch.inputs, span_B2) for span_B2 in (best_B2, batch.targets)
            )
            return Written(text_BT, wanted_BT, batch.inputs, real_B)
        case "class":
            outputs_BV, _, _ = predictions.predict(spec, model, params, batch, None)
            said_B = jnp.argmax(outputs_BV, axis=-1)
            shown_BS = pictures.pixels(batch.inputs)
            return Written(said_B, batch.targets, shown_BS, real_B)
        case "picture":
            rows = batch.targets.shape[0]
            image_BT = pictures.sampled(model.bind(params), rows, spec.length, key)
            return Written(image_BT, batch.targets, None, real_B)
        case "answer":
            text_BT = answers(model.bind(params), batch, spec.length, spec.unrepeated)
            read_BS = batch.source if spec.source_inputs == "tokens" else None
            return Written(
                text_BT, batch.targets[:, : spec.length - 1], read_BS, real_B
            )
        case "name":
            text_BT = names(model.bind(params), batch, spec.length)
            return Written(text_BT, batch.targets, batch.inputs, real_B)
        case _:
            text_BT, read_BS = continuations(model.bind(params), batch.inputs, key)
            return Written(text_BT, None, read_BS, real_B)
