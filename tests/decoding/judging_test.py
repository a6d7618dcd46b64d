"""What trained models write: decoded as they were taught, judged as libraries judge."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from attn_research import losses
from attn_research.config import Model
from attn_research.decoding import judging, writing
from attn_research.modules.models import Sizes, build
from attn_research.tasks import Batch, Spec

TEXTS = ["one cat", "two dogs ran", "", "drei Bäume"]
ORIGINALS = ["ein", "zwei", "null", "three"]
S, T = 8, 13
SPEC = Spec(
    inputs="tokens", features=256, target="token", outputs=256, length=T, causal=True,
    labels=T, metrics=("bits_per_byte",), source_features=256, source_length=S,
)  # fmt: skip


def tokens(texts, length):
    rows = [text.encode()[:length].ljust(length, b"\0") for text in texts]
    return np.array([list(row) for row in rows], np.int32)


def batch_of(originals, texts) -> Batch:
    read_BS, asked_BT = tokens(originals, S), tokens(texts, T)
    real_BT = np.pad(asked_BT > 0, ((0, 0), (1, 0)), constant_values=True)[:, :-1]
    return Batch(*jax.device_put([
        np.pad(asked_BT, ((0, 0), (1, 0)))[:, :-1],
        asked_BT,
        real_BT.astype(np.float32),
        real_BT.astype(np.int32),
        np.full(asked_BT.shape, -1),
        read_BS,
        (read_BS > 0).astype(np.int32),
    ]))  # fmt: skip


@pytest.fixture(scope="module")
def taught():
    """A model, and parameters that know four pairs of texts by heart."""
    sizes = Sizes(*(getattr(SPEC, name) for name in Sizes._fields))
    small = Model(pattern="conv", layers=1, width=32)
    model = build(small, sizes)
    batch = batch_of(ORIGINALS, TEXTS)

    def loss(params):
        logits = model.apply(
            params, batch.source, batch.inputs, batch.source_segments, batch.segments
        )
        loss, _ = losses.losses(logits, batch.targets, "token")
        return jnp.sum(loss * batch.weights) / jnp.sum(batch.weights)

    @jax.jit
    def learned(key):
        params, rule = model.init(key), optax.adam(0.02)

        def step(state, _):
            params, moments = state
            with jax.numpy_dtype_promotion("standard"):
                updates, moments = rule.update(jax.grad(loss)(params), moments)
            return (optax.apply_updates(params, updates), moments), None

        start = params, rule.init(params)
        params = jax.lax.scan(step, start, None, length=100)[0][0]
        return params, loss(params)

    params, left = learned(jax.random.key(0))
    assert left < 0.05
    return model, params


@pytest.fixture(scope="module")
def write(taught):
    model, params = taught
    key = jax.random.key(0)
    return jax.jit(lambda batch: judging.written(SPEC, model, params, batch, key))


def test_what_was_learned_by_heart_is_written(write):
    batch = batch_of(ORIGINALS, TEXTS)
    batch = batch._replace(inputs=np.zeros_like(batch.inputs))
    found = judging.judged(SPEC, [jax.device_get(write(batch))], 64)
    wanted = [
        {"source": a, "reference": b, "text": b}
        for a, b in zip(ORIGINALS, TEXTS, strict=True)
    ]
    assert found["samples"] == wanted
    assert found["examples"] == 4 and found["metrics"]["exact_match"] == 1.0


def test_a_row_is_written_as_if_alone(write):
    originals = [*ORIGINALS, "unknown", "x"]
    together = np.asarray(write(batch_of(originals, [""] * 6)).text_BT)
    for row, original in enumerate(originals):
        alone = np.asarray(write(batch_of([original] * 6, [""] * 6)).text_BT)[0]
        np.testing.assert_array_equal(alone, together[row])


def test_a_row_that_fills_up_a_batch_is_left_out(write):
    batch = batch_of(ORIGINALS, TEXTS)
    weights_BT = np.array(batch.weights)
    weights_BT[1] = 0
    batch = batch._replace(weights=weights_BT)
    rows = jax.device_get(write(batch))
    found = judging.judged(SPEC, [rows, rows], 5)
    assert found["examples"] == 5
    order = [ORIGINALS[row] for row in (0, 2, 3, 0, 2)]
    assert [one["source"] for one in found["samples"]] == order


def test_bytes_that_are_no_text_and_long_texts_are_shown():
    rows = judging.Written(
        np.array([[0xC3, 0x28, 0, 65]]),
        np.array([[66, 67, 68, 69]]),
        np.full((1, 3000), 97),
        np.ones(1, bool),
    )
    (sample,) = judging.judged(SPEC, [rows], 1)["samples"]
    assert (
        sample["text"] == "\N{REPLACEMENT CHARACTER}(" and sample["reference"] == "BCDE"
    )
    assert len(sample["source"]) == judging.SHOWN + 1


# --- continuations -------------------------------------------------------------------


class Counter:
    """A module that answers each byte with the next one."""

    def start(self, batch, length):
        return jnp.zeros(batch)

    def step(self, token_B, carry):
        return 1e6 * jax.nn.one_hot(token_B + 1, 256), carry


def test_a_prompt_is_continued_from_where_its_file_begins():
    two_BT = tokens(["abcdefgh????????", "0123456789??????"], 16)
    two_BT[0, 3] = 0
    text_BT, prompt_BS = jax.jit(partial(writing.continuations, Counter(), wanted=8))(
        two_BT, jax.random.key(0)
    )
    spec = dataclasses.replace(SPEC, source_features=0)
    rows = judging.Written(text_BT, None, prompt_BS, np.ones(2, bool))
    found = judging.judged(spec, [jax.device_get(rows)], 4)
    assert found["metrics"] == {}
    # The first file ends in the prompt: what follows is read from its zero byte on.
    assert found["samples"] == [
        {"prompt": "efgh", "text": "ijklmnopqrs"},
        {"prompt": "01234567", "text": "89:;<=>?"},
    ]


def test_a_continuation_goes_on_beyond_the_window():
    """As many as are wanted, each window but the first begun by half of the last."""
    two_BT = tokens(["abcdefgh????????", "01234567????????"], 16)
    two_BT[0, 3] = 0
    text_BT, _ = jax.jit(partial(writing.continuations, Counter(), wanted=60))(
        two_BT, jax.random.key(0)
    )
    for row, first in enumerate((ord("i"), ord("8"))):
        written = [byte for byte in np.asarray(text_BT)[row].tolist() if byte]
        assert 60 <= len(written) == 64 + 3 * (row == 0)
        assert written == list(range(first, first + len(written)))


def test_a_name_is_completed_up_to_its_end():
    spec = dataclasses.replace(SPEC, source_features=0, completes=True)
    prompts = tokens(["x = ab", "y = 12", "z"], 6)
    batch = Batch(
        inputs=prompts,
        targets=tokens(["cdef", "345678", ""], 6),
        weights=jnp.ones((3, 6)) * jnp.array([[1.0], [1.0], [0.0]]),
        segments=(prompts > 0).astype(jnp.int32),
        gap=jnp.full(3, 4),
    )

    class Known:
        def bind(self, params):
            return Counter()

    rows = jax.device_get(writing.written(spec, Known(), {}, batch, jax.random.key(0)))
    found = judging.judged(spec, [rows], 8)
    assert found["samples"] == [
        {"prompt": "x = ab", "reference": "cdef", "text": "cdefgh"},
        {"prompt": "y = 12", "reference": "345678", "text": "345678"},
    ]
    assert found["metrics"] == {"exact_match": 0.5}


# --- strings -------------------------------------------------------------------------


def strings(rows, length, seed):
    """Random strings of up to `length` words, 0 after the last."""
    noise = np.random.default_rng(seed)
    found = noise.integers(1, 5, (rows, length))
    return np.where(
        np.arange(length) < noise.integers(0, length + 1, (rows, 1)), found, 0
    )


def test_the_error_rate_is_that_of_jiwer():
    jiwer = pytest.importorskip("jiwer", reason="the extra text is missing")
    names = ("zero", "one", "two", "three")
    said_BL, heard_BT = strings(400, 6, 0), strings(400, 9, 1)
    said_BL[:, 0] = np.maximum(said_BL[:, 0], 1)  # jiwer refuses an empty reference
    # As a classifier answers: a path of logits, with repeats and blanks between.
    path_BT = np.stack([heard_BT, np.zeros_like(heard_BT)], 2).reshape(400, -1)
    logits_BTV = np.eye(5, dtype=np.float32)[path_BT]
    judge = jax.jit(losses.losses, static_argnums=2)
    (rate_B,) = np.asarray(judge(logits_BTV, said_BL, "string")[1])
    spec = dataclasses.replace(SPEC, target="string", names=names)
    rows = judging.Written(heard_BT, said_BL, None, np.ones(400, bool))
    found = judging.judged(spec, [rows], 400)
    said, heard = (
        [" ".join(names[s - 1] for s in row if s) for row in strings.tolist()]
        for strings in (said_BL, heard_BT)
    )
    each = [jiwer.wer(a, b) for a, b in zip(said, heard, strict=True)]
    np.testing.assert_allclose(rate_B, each, rtol=1e-6)
    assert found["metrics"]["error_rate"] == pytest.approx(jiwer.wer(said, heard))
    assert found["samples"][3] == {"reference": said[3], "text": heard[3]}
    assert found["metrics"]["exact_match"] == sum(map(str.__eq__, said, heard)) / 400


# --- spans ---------------------------------------------------------------------------


def test_a_span_is_shown_as_the_text_that_it_is():
    spec = Spec(
        inputs="tokens", features=256, target="span", outputs=2, length=T, causal=False,
        labels=T, metrics=("f1",),
    )  # fmt: skip
    read_BT = tokens(["who? one cat", "what? 2 dogs", "when? at 9"], T)
    span_32 = jnp.asarray([[5, 7], [6, 11], [6, 9]])
    batch = Batch(
        inputs=read_BT,
        targets=span_32,
        weights=jnp.asarray([1.0, 1.0, 0.0]),
        segments=(read_BT > 0).astype(jnp.int32),
        gap=jnp.full(3, -1),
    )
    # The likeliest position of all is padding; of those that are real, 5 to 11.
    scored_T2 = jnp.zeros((T, 2)).at[5, 0].set(3).at[11, 1].set(3).at[12, 1].set(9)

    class Fixed:
        def apply(self, params, inputs_BT, segments_BT, key):
            return jnp.broadcast_to(scored_T2, (*inputs_BT.shape, 2))

    rows = judging.written(spec, Fixed(), {}, batch, jax.random.key(0))
    found = judging.judged(spec, [jax.device_get(rows)], 8)
    assert found["samples"] == [
        {"source": "who? one cat", "reference": "one", "text": "one cat"},
        {"source": "what? 2 dogs", "reference": "2 dogs", "text": " 2 dogs"},
    ]
    # A space apart is the same answer.
    assert found["metrics"] == {"exact_match": 0.5, "words_f1": (2 / 3 + 1) / 2}
