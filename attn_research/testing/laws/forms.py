"""One function, many forms: implementations, chunk lengths, and step by step."""

import dataclasses
import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from attn_research.options import BadInput
from attn_research.testing.laws.case import (
    BATCH,
    LENGTH,
    ONES,
    Case,
    compiled,
    inputs,
    packed_row,
    pull,
    split,
    twin,
)  # fmt: skip
from attn_research.testing.laws.measure import FORWARD, GRADIENT, close

# Odd, and longer than most chunks: each length must cut somewhere, and one not at all.
LONG = 65
CHUNKS = (1, 5, 16, 64, LONG + 1)
EDGE = 4


def law_step(case: Case) -> None:
    """Token by token gives the parallel form; a bidirectional mixer refuses."""
    graph, state = split(case)
    x_BTD, ct_BTD = inputs()
    if case.causal:
        parallel = pull(graph, state, x_BTD, ONES, ct_BTD).y_BTD
        close(decode(graph, state, x_BTD), parallel, FORWARD, "step by step")
        return
    for call in (
        lambda mixer: mixer.start(BATCH, LENGTH),
        lambda mixer: mixer.step(jnp.asarray(x_BTD[:, 0]), ()),
    ):
        try:
            call(case.build())
        except BadInput:
            continue
        raise AssertionError("a bidirectional mixer decodes")


def law_carry(case: Case) -> None:
    """A step refuses the carry of another mixer, batch or dtype."""
    if not case.causal:
        return
    mixer, x_BD = case.build(), jnp.asarray(inputs()[0][:, 0])
    start = functools.partial(mixer.start, length=LENGTH)
    for wrong in (
        jax.tree.map(lambda leaf: leaf != 0, start(BATCH)),
        start(BATCH + 1),
        {"another": start(BATCH)},
    ):
        try:
            mixer.step(x_BD, wrong)
        except BadInput:
            continue
        except Exception as error:
            raise AssertionError(f"a foreign carry ends in {error!r}") from None
        raise AssertionError("a step takes a carry that is not its own")


def law_forms(case: Case) -> None:
    """Every implementation and chunk length is the naive one, gradients included."""
    _, state = split(case)
    for form, length in forms(case):
        graph, _ = nnx.split(form.build())
        row, (x_BTD, ct_BTD) = packed_row(length), inputs(length)
        segments_BT = np.tile(np.array(row, np.int32), (BATCH, 1))
        got, want = pull(graph, state, x_BTD, segments_BT, ct_BTD), twin(case, row)
        close(got.y_BTD, want.y_BTD, FORWARD, f"{form.options}, output")
        close(got[1:], want[1:], GRADIENT, f"{form.options}, gradient", case.flat)


def law_edges(case: Case) -> None:
    """Lengths just below, at and above a chunk, and above two, give the naive form."""
    if "chunk" not in {field.name for field in dataclasses.fields(case.options)}:
        return
    case = case.with_options(chunk=EDGE)
    graph, state = split(case)
    for length in (EDGE - 1, EDGE, EDGE + 1, 2 * EDGE + 1):
        x_BTD, ct_BTD = inputs(length)
        segments_BT = np.ones((BATCH, length), np.int32)
        got = pull(graph, state, x_BTD, segments_BT, ct_BTD)
        want = twin(case, (1,) * length)
        what = f"{length} tokens in chunks of {EDGE}"
        close(got.y_BTD, want.y_BTD, FORWARD, f"{what}, output")
        close(got[1:], want[1:], case.gradient, f"{what}, gradient", case.flat)


def forms(case: Case) -> Iterator[tuple[Case, int]]:
    """The case in each implementation and with each chunk length, and a length."""
    cut = "chunk" in {f.name for f in dataclasses.fields(case.options)}
    for name in case.implementations():
        if not cut:
            yield case.with_options(implementation=name), LENGTH
            continue
        for chunk in CHUNKS if name == "chunked" else CHUNKS[:1]:
            yield case.with_options(implementation=name, chunk=chunk), LONG


@functools.partial(compiled, static_argnums=0)
def decode(graph, state, x_BTD) -> jax.Array:
    """The outputs of `step`, token by token."""
    mixer = nnx.merge(graph, state)
    carry = mixer.start(x_BTD.shape[0], x_BTD.shape[1], x_BTD.dtype)

    def step(carry, x_BD):
        y_BD, carry = mixer.step(x_BD, carry)
        return carry, y_BD

    _, y_TBD = jax.lax.scan(step, carry, x_BTD.swapaxes(0, 1))
    return y_TBD.swapaxes(0, 1)
