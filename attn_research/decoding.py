"""What a trained model writes, for a person to judge, and the metrics of its field.

    told(program, params, arrays) -> {"decoded": {"examples", "metrics", "samples",
                                                  "notes", "pictures", "misread"}}

A decoder of text that reads a source writes its answer greedily; a language model over
text continues prompts, one over images draws some; an encoder that answers with a
string is heard, one that answers with a stretch of its text shows that; of one that
reads images those that it misreads are shown. All examples are of the test split.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attn_research import memory, pictures, program, text_metrics
from attn_research.functional import Functional, Params
from attn_research.losses import BLANK, best_span, collapsed, edits
from attn_research.modules.generate import Sampling, generate
from attn_research.tasks import SPLITS, Batch, Spec
from attn_research.tasks.sets import END, spelled

SAMPLES, SHOWN = 8, 1000  # examples kept in a result, and letters of a text of theirs
PROMPTS, SAMPLING = 4, Sampling(temperature=0.8)
Kind = Literal["answer", "continuation", "string", "span", "picture", "class"]


class Written(NamedTuple):
    """Rows of tokens: what was written, asked for and read, and which rows count.

    `END` fills the rows. Nothing is asked for after a prompt, and values that were read
    are not told but for those of images, as bytes; of a class there is one a row.
    """

    text_BT: Any
    wanted_BT: Any
    read_BS: Any
    real_B: Any


def kind(spec: Spec) -> Kind | None:
    """What a model of a task writes, None where that is nothing to look at."""
    if spec.target == "string":
        return "string"
    if spec.target == "span":
        return "span" if spec.inputs == "tokens" and spec.features == 256 else None
    if spec.picture:
        return "class" if spec.target == "class" else "picture"
    # Only of tokens that are bytes are the bits counted by the byte.
    written = spec.target == "token" and spec.causal and spec.inputs == "tokens"
    if not written or "bits_per_byte" not in spec.metrics:
        return None
    return "answer" if spec.source_features else "continuation"


def answers(module: Any, batch: Batch, length: int) -> jax.Array:
    """text_BT: the likeliest bytes, one by one, after reading the source.

    As many as training asked for, less the end: a model may know no more positions.
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
    )
    return tokens_BT[:, 1:]


def continuations(
    module: Any, inputs_BT: jax.Array, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """text_BT sampled after the first half of each row, and that half, read_BS.

    A prompt begins where the last of its files does: no file sees another in training.
    """
    length = inputs_BT.shape[1]
    half = max(1, length // 2)
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
        key=key,
        sampling=SAMPLING,
        end=END,
    )
    return shifted(tokens_BT, size_B1, place_1T), prompt_BS


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
            outputs_BTV, _, _ = program.predict(spec, model, params, batch, None)
            stride = -(-batch.segments.shape[1] // outputs_BTV.shape[1])
            heard_BT = collapsed(
                jnp.argmax(outputs_BTV, axis=-1), batch.segments[:, ::stride] > 0
            )
            return Written(heard_BT, batch.targets, None, real_B)
        case "span":
            logits_BT2, _, _ = program.predict(spec, model, params, batch, None)
            real_BT1 = (batch.segments > 0)[..., None]
            found_B2 = best_span(jnp.where(real_BT1, logits_BT2, -jnp.inf))
            text_BT, wanted_BT = (
                stretch(batch.inputs, span_B2) for span_B2 in (found_B2, batch.targets)
            )
            return Written(text_BT, wanted_BT, batch.inputs, real_B)
        case "class":
            outputs_BV, _, _ = program.predict(spec, model, params, batch, None)
            said_B = jnp.argmax(outputs_BV, axis=-1)
            shown_BS = pictures.pixels(batch.inputs)
            return Written(said_B, batch.targets, shown_BS, real_B)
        case "picture":
            rows = batch.targets.shape[0]
            drawn_BT = pictures.drawn(model.bind(params), rows, spec.length, key)
            return Written(drawn_BT, batch.targets, None, real_B)
        case "answer":
            text_BT = answers(model.bind(params), batch, spec.length)
            read_BS = batch.source if spec.source_inputs == "tokens" else None
            return Written(
                text_BT, batch.targets[:, : spec.length - 1], read_BS, real_B
            )
        case _:
            text_BT, read_BS = continuations(model.bind(params), batch.inputs, key)
            return Written(text_BT, None, read_BS, real_B)


def told(made: program.Program, params: Params, arrays: Any) -> dict[str, Any]:
    """`decoded` for the result of a run; nothing where there is none to look at.

    Batches are no larger than those of training. What would not fit into the memory is
    not decoded, and a note says so: the run itself is over and must not fail.
    """
    spec, train = made.task.spec, made.config.train
    what = kind(spec)
    most = {"continuation": PROMPTS, "picture": pictures.SHOWN}
    count = min(train.decode, most.get(what or "", train.decode))
    if what is None or not count:
        return {}
    rows = min(count, train.batch)

    @jax.jit
    def write(params: Params, arrays: Any, index: jax.Array) -> Written:
        split = jnp.int32(SPLITS.index("test"))
        batch = program.evaluated(made.task, split, index, rows, arrays)
        key = jax.random.fold_in(jax.random.key(0), index)
        return written(spec, made.model, params, batch, key)

    compiled = write.lower(params, arrays, np.int32(0)).compile()
    try:
        free = memory.available(jax.local_devices()[0])
        memory.require(memory.predict(compiled), free, "Decoding")
    except memory.MemoryRefused as refused:
        notes = [str(refused)]
        return {
            "decoded": {"examples": 0, "metrics": {}, "samples": [], "notes": notes}
        }
    batches = [
        jax.device_get(compiled(params, arrays, np.int32(index)))
        for index in range(-(-count // rows))
    ]
    pieces = spelled(arrays) if spec.subwords else None
    return {"decoded": judged(spec, batches, count, pieces)}


def judged(
    spec: Spec,
    batches: Sequence[Written],
    count: int,
    pieces: Sequence[bytes] | None = None,
) -> dict[str, Any]:
    """The metrics of the first `count` rows that are real, and samples of them.

    `pieces` are the bytes of each token; None: a token is a byte.
    """
    every = Written(
        *(
            None if parts[0] is None else np.concatenate(parts)
            for parts in zip(*batches, strict=True)
        )
    )
    chosen = np.flatnonzero(every.real_B)[:count]
    rows = jax.tree.map(lambda leaf: leaf[chosen], every)
    what, columns = kind(spec), {}
    if what in ("picture", "class"):
        looked_at = _pictures(spec, rows)
        return {
            "examples": len(chosen), "metrics": {}, "samples": [], "notes": [],
            **looked_at,
        }  # fmt: skip
    if rows.read_BS is not None:
        name = "prompt" if what == "continuation" else "source"
        columns[name] = [_prose(_bytes(row, pieces)) for row in rows.read_BS]

    def say(row: np.ndarray) -> str:
        if what == "string":
            return _words(row, spec.names)
        return _text(_bytes(row, pieces))

    if rows.wanted_BT is not None:
        columns["reference"] = [say(row) for row in rows.wanted_BT]
    columns["text"] = [say(row) for row in rows.text_BT]
    metrics, notes = {}, []
    if what == "answer":
        metrics, notes = text_metrics.metrics(columns["text"], columns["reference"])
    elif what == "span":
        pair = columns["text"], columns["reference"]
        metrics = {
            "exact_match": text_metrics.exact(*pair),
            "words_f1": text_metrics.words_f1(*pair),
        }
    elif what == "string":
        found_B = np.asarray(jax.jit(edits)(rows.text_BT, rows.wanted_BT))
        metrics = {
            "exact_match": text_metrics.exact(columns["text"], columns["reference"]),
            "error_rate": int(found_B.sum()) / int((rows.wanted_BT != BLANK).sum()),
        }
    kept = zip(*(texts[:SAMPLES] for texts in columns.values()), strict=True)
    samples = [dict(zip(columns, map(_cut, row), strict=True)) for row in kept]
    return {
        "examples": len(chosen),
        "metrics": metrics,
        "samples": samples,
        "notes": notes,
    }


def _pictures(spec: Spec, rows: Written) -> dict[str, Any]:
    """Images that were drawn beside those there are, or those that were misread."""
    assert spec.picture is not None
    if spec.target == "class":
        answers = rows.text_BT, rows.wanted_BT, rows.read_BS
        return {"misread": pictures.misread(*answers, spec.picture, spec.names)}
    both = {"drawn": rows.text_BT, "real": rows.wanted_BT}
    return {
        "pictures": {name: pictures.packed(b, spec.picture) for name, b in both.items()}
    }


def _bytes(token_T: np.ndarray, pieces: Sequence[bytes] | None) -> bytes:
    if pieces is None:
        return token_T.astype(np.uint8).tobytes()
    return b"".join(pieces[token] for token in token_T.tolist())


def _text(written: bytes) -> str:
    """Bytes up to their end as text; what is no UTF-8 is marked as such."""
    return written.partition(bytes([END]))[0].decode(errors="replace")


def _prose(read: bytes) -> str:
    """What was read as text, a line for each of its parts."""
    read = read.strip(bytes([END]))
    return read.replace(bytes([END]), b"\n").decode(errors="replace")


def _words(symbol_L: np.ndarray, names: Sequence[str]) -> str:
    return " ".join(names[int(symbol) - 1] for symbol in symbol_L if symbol != BLANK)


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}\N{HORIZONTAL ELLIPSIS}"
