"""Samples of what a trained model writes, and the metrics of its field.

    decoded(program, params, arrays) -> {"decoded": {"examples", "metrics", "samples",
                                                  "notes", "pictures", "misread"}}

All examples come from the test split. A model that classifies images shows its errors.
"""

import re
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.decoding import pictures, text_metrics
from attn_research.decoding.writing import Written, kind, written
from attn_research.host import memory
from attn_research.losses import BLANK, edits
from attn_research.pure import Params
from attn_research.tasks import SPLITS, Spec, completing
from attn_research.tasks.parts.sets import END, spelled
from attn_research.training import predictions, program

SAMPLES, SHOWN = 8, 1000  # samples in a result, and characters of each text
PROMPTS = 4
NO_NAME = re.compile(r"\W")


def decoded(made: program.Program, params: Params, arrays: Any) -> dict[str, Any]:
    """The `decoded` part of a run's result, or {} if the task writes nothing.

    Batches are at most as large as in training. If decoding would not fit into memory,
    a note says so instead: the run itself is over and must not fail.
    """
    spec = made.task.spec
    count, rows = asked(made)
    if not count:
        return {}

    @jax.jit
    def write(params: Params, arrays: Any, index: jax.Array) -> Written:
        split = jnp.int32(SPLITS.index("test"))
        if completing(made.task):
            batch = made.task.completions(index * rows + jnp.arange(rows), arrays)
        else:
            batch = predictions.evaluation_batch(made.task, split, index, rows, arrays)
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


def asked(made: program.Program) -> tuple[int, int]:
    """The number of examples that are decoded, 0 if none, and the rows of a batch."""
    train, what = made.config.train, kind(made.task.spec)
    most = {"continuation": PROMPTS, "picture": pictures.SHOWN}
    count = 0 if what is None else min(train.decode, most.get(what, train.decode))
    return count, min(count, train.batch)


def judged(
    spec: Spec,
    batches: Sequence[Written],
    count: int,
    pieces: Sequence[bytes] | None = None,
) -> dict[str, Any]:
    """The metrics of the first `count` real rows, and samples of them.

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
        name = "prompt" if what in ("continuation", "name") else "source"
        columns[name] = [_prose(_bytes(row, pieces)) for row in rows.read_BS]

    def say(row: np.ndarray) -> str:
        if what == "string":
            return _words(row, spec.names)
        text = _text(_bytes(row, pieces))
        # A name ends at the first other character.
        return NO_NAME.split(text, maxsplit=1)[0] if what == "name" else text

    if rows.wanted_BT is not None:
        columns["reference"] = [say(row) for row in rows.wanted_BT]
    columns["text"] = [say(row) for row in rows.text_BT]
    metrics, notes = {}, []
    if not len(chosen):
        notes = [text_metrics.NOTHING]
    elif what == "answer":
        pair = columns["text"], columns["reference"]
        metrics, notes = text_metrics.metrics(*pair, spec.language)
        if spec.names:
            more, more_notes = text_metrics.word_errors(*pair)
            metrics, notes = metrics | more, notes + more_notes
    elif what == "name":
        pair = columns["text"], columns["reference"]
        metrics = {"exact_match": text_metrics.exact(*pair)}
    elif what == "span":
        pair = columns["text"], columns["reference"]
        metrics = text_metrics.answers(*pair, spec.language)
    elif what == "string":
        edits_B = np.asarray(jax.jit(edits)(rows.text_BT, rows.wanted_BT))
        metrics = {
            "exact_match": text_metrics.exact(columns["text"], columns["reference"]),
        }
        if said := int((rows.wanted_BT != BLANK).sum()):
            metrics["error_rate"] = int(edits_B.sum()) / said
        else:
            notes = ["Error rate not measured: no string has a symbol."]
    first = zip(*(texts[:SAMPLES] for texts in columns.values()), strict=True)
    samples = [dict(zip(columns, map(_cut, row), strict=True)) for row in first]
    return {
        "examples": len(chosen),
        "metrics": metrics,
        "samples": samples,
        "notes": notes,
    }


def _pictures(spec: Spec, rows: Written) -> dict[str, Any]:
    """Generated images beside real ones, or the misclassified images."""
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
    """Bytes up to `END` as text; bytes that are not UTF-8 are marked."""
    return written.partition(bytes([END]))[0].decode(errors="replace")


def _prose(read: bytes) -> str:
    """The bytes that were read as text, a line for each part."""
    read = read.strip(bytes([END]))
    return read.replace(bytes([END]), b"\n").decode(errors="replace")


def _words(symbol_L: np.ndarray, names: Sequence[str]) -> str:
    return " ".join(names[int(symbol) - 1] for symbol in symbol_L if symbol != BLANK)


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}\N{HORIZONTAL ELLIPSIS}"
