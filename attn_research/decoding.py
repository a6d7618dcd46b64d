"""What a trained model writes, for a person to judge, and the metrics of its field.

    told(program, params, arrays) -> {"decoded": {"examples", "metrics", "samples",
                                                  "notes", "pictures", "misread"}}

All examples are of the test split; of images read, those that are misread are shown.
"""

import re
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_research import memory, pictures, program, text_metrics
from attn_research.functional import Params
from attn_research.losses import BLANK, edits
from attn_research.tasks import SPLITS, Spec, completing
from attn_research.tasks.sets import END, spelled
from attn_research.writing import Written, kind, written

SAMPLES, SHOWN = 8, 1000  # examples kept in a result, and letters of a text of theirs
PROMPTS = 4
NO_NAME = re.compile(r"\W")


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
        if completing(made.task):
            batch = made.task.completions(index * rows + jnp.arange(rows), arrays)
        else:
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
        name = "prompt" if what in ("continuation", "name") else "source"
        columns[name] = [_prose(_bytes(row, pieces)) for row in rows.read_BS]

    def say(row: np.ndarray) -> str:
        if what == "string":
            return _words(row, spec.names)
        text = _text(_bytes(row, pieces))
        # A name ends before what is no part of it.
        return NO_NAME.split(text, maxsplit=1)[0] if what == "name" else text

    if rows.wanted_BT is not None:
        columns["reference"] = [say(row) for row in rows.wanted_BT]
    columns["text"] = [say(row) for row in rows.text_BT]
    metrics, notes = {}, []
    if what == "answer":
        pair = columns["text"], columns["reference"]
        metrics, notes = text_metrics.metrics(*pair)
        if spec.names:
            more, told = text_metrics.word_errors(*pair)
            metrics, notes = metrics | more, notes + told
    elif what == "name":
        pair = columns["text"], columns["reference"]
        metrics = {"exact_match": text_metrics.exact(*pair)} if len(chosen) else {}
    elif what == "span":
        metrics = text_metrics.answers(columns["text"], columns["reference"])
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
