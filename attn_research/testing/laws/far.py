"""Beyond every block, chunk and ring: what holds of few tokens holds of hundreds.

All but one of these laws run one program of `FAR` tokens, forward and backward.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from attn_research.testing.laws.case import (
    BATCH,
    WIDTH,
    Case,
    draw,
    exact,
    inputs,
    pull,
    split,
)
from attn_research.testing.laws.forms import decode
from attn_research.testing.laws.measure import error
from attn_research.testing.laws.segments import SHORT

# Beyond the chunks of 256 that the recurrences have.
FAR = 300
# Around the blocks of 64, 128 and 256, and the end.
EDGES = (64, 128, 256, 65, 257, 299)
# Six that touch, single tokens of padding between, and one across each edge.
OFFSETS = (0, 7, 14, 21, 28, 35, 43, 51, 60, 124, 253, 260, 293)
# A segment may have any number but 0.
IDS = (2**31 - 1, 3, 2**20, 1, 255, 2, 256, 65_536, 5, 7, 4, 1_000_003, 6)
ROUNDING = 1e-5
# A step of a difference, and how far its slope may be from the gradient, in units of
# the root of the sum of the squares of its terms.
STEP, SLOPE = 1e-3, 5e-2
TINY_STEP, TINY_SLOPE = 1e-7, 1e-5  # in float64
# Products of bfloat16 in a row, and the rounding of the parameters.
NARROW = 2e-2


def far(case: Case) -> Case:
    """The case built for `FAR` tokens; a row may hold all segments of these laws."""
    options = case.options
    if "packed" in {field.name for field in dataclasses.fields(options)}:
        options = dataclasses.replace(options, packed=len(OFFSETS))
    return dataclasses.replace(case, options=options, length=FAR)


def ones() -> np.ndarray:
    return np.ones((BATCH, FAR), np.int32)


def law_far_step(case: Case) -> None:
    """Token by token gives the parallel form, beyond the ring of any cache."""
    if not case.causal:
        return
    graph, state = split(far(case))
    x_BTD, ct_BTD = inputs(FAR)
    parallel = pull(graph, state, x_BTD, ones(), ct_BTD).y_BTD
    stepped = decode(graph, state, x_BTD)
    for first, last in ((0, 64), (64, 256), (256, FAR)):
        off = error(stepped[:, first:last], parallel[:, first:last])
        bound = max(ROUNDING, 4 * case.same)
        assert off <= bound, f"tokens {first} to {last}: off by {off:.1e}"


def law_far_packing(case: Case) -> None:
    """One sequence gives the same wherever it stands among others and padding."""
    graph, state = split(far(case))
    x_BSD, ct_BSD = draw(4, BATCH, SHORT, WIDTH), draw(5, BATCH, SHORT, WIDTH)

    def run(offsets: tuple[int, ...], fill: float):
        x_BTD = np.full((BATCH, FAR, WIDTH), fill, np.float32)
        ct_BTD, segments_BT = draw(6, BATCH, FAR, WIDTH), np.zeros_like(ones())
        for offset, number in zip(offsets, IDS, strict=False):
            inside = slice(offset, offset + SHORT)
            x_BTD[:, inside], ct_BTD[:, inside] = x_BSD, ct_BSD
            segments_BT[:, inside] = number
        return pull(graph, state, x_BTD, segments_BT, ct_BTD), segments_BT == 0

    alone, _ = run(OFFSETS[:1], np.inf)
    many, padding_BT = run(OFFSETS, np.nan)
    bound = max(ROUNDING, 4 * case.same)
    for offset in OFFSETS:
        inside = slice(offset, offset + SHORT)
        for what, got, want in (
            ("output", many.y_BTD[:, inside], alone.y_BTD[:, :SHORT]),
            ("gradient", many.x_BTD[:, inside], alone.x_BTD[:, :SHORT]),
        ):
            off = error(got, want)
            assert off <= bound, f"{what} of the sequence at {offset}: off by {off:.1e}"
    total = jax.tree.map(lambda leaf: len(OFFSETS) * leaf, alone.params)
    off = error(many.params, total, case.flat)
    assert off <= bound, f"gradient of parameters: off by {off:.1e}"
    assert not np.asarray(many.y_BTD)[padding_BT].any(), "padding has an output"
    assert not np.asarray(many.x_BTD)[padding_BT].any(), "padding has a gradient"


def law_far_causality(case: Case) -> None:
    """At every edge of a block no later token reaches an output, nor its gradient."""
    if not case.causal:
        return
    graph, state = split(far(case))
    x_BTD, ct_BTD = inputs(FAR)
    before = pull(graph, state, x_BTD, ones(), ct_BTD).y_BTD
    for tokens in np.reshape(EDGES, (-1, BATCH)):
        x, ct = x_BTD.copy(), ct_BTD.copy()
        for row, token in enumerate(tokens):
            x[row, token] += 1
            ct[row, token:] = 0
        after = pull(graph, state, x, ones(), ct)
        for row, token in enumerate(tokens):
            np.testing.assert_allclose(
                after.y_BTD[row, :token],
                before[row, :token],
                rtol=0,
                atol=0 if case.exact else 1e-6,
                err_msg=f"token {token} leaked",
            )
            assert (before[row, token] != after.y_BTD[row, token]).any(), "unseen"
            assert not np.asarray(after.x_BTD)[row, token:].any(), "a gradient leaked"


def law_far_gradient(case: Case) -> None:
    """Gradients are slopes: of the last block, of the first, and of the parameters.

    What a mixer selects by content stays as it is within a much smaller step, which
    takes float64.
    """
    if case.selects:
        with jax.enable_x64(True):
            _slopes(case, np.float64, TINY_STEP, TINY_SLOPE)
    else:
        _slopes(case, np.float32, STEP, SLOPE)


def _slopes(case: Case, dtype: Any, step: float, bound: float) -> None:
    _, state = split(far(case))
    graph, _ = nnx.split(far(case).build())
    state = jax.tree.map(lambda leaf: np.asarray(leaf, dtype), state)
    x_BTD, ct_BTD = (one.astype(dtype) for one in inputs(FAR))
    last_BTD = np.where(np.arange(FAR)[None, :, None] >= 256, draw(7, *x_BTD.shape), 0)
    first_BTD = draw(8, *x_BTD.shape) - last_BTD
    leaves, tree = jax.tree.flatten(state)
    noise = np.random.default_rng(9)
    moved = tree.unflatten(
        [draw(noise, *leaf.shape) * 0.1 / np.sqrt(leaf.size) for leaf in leaves]
    )
    still = jax.tree.map(np.zeros_like, moved)
    for what, change, ct in (
        ("the last block", (still, last_BTD), ct_BTD * (last_BTD != 0)),
        ("what came before", (still, first_BTD), ct_BTD),
        ("the parameters", (moved, 0 * x_BTD), ct_BTD),
    ):

        def value(sign: float, change=change, ct=ct) -> float:
            at = jax.tree.map(
                lambda leaf, by: (leaf + dtype(sign * step) * by).astype(dtype),
                (state, x_BTD),
                change,
            )
            y_BTD = pull(graph, at[0], at[1], ones(), ct).y_BTD
            return float(np.sum(np.float64(y_BTD) * ct))

        slope = (value(1) - value(-1)) / (2 * step)
        got = pull(graph, state, x_BTD, ones(), ct)
        terms = jax.tree.map(
            lambda slope, by: np.ravel(np.float64(slope) * by), got[1:], change
        )
        terms = np.concatenate(jax.tree.leaves(terms))
        typical = np.linalg.norm(terms) or np.finfo(float).tiny
        off = abs(slope - terms.sum()) / typical
        assert off <= bound, f"{what}: a slope of {slope:.4}, not {terms.sum():.4}"


def law_far_reach(case: Case) -> None:
    """An output depends on what lies within `reach`, and on nothing beyond it."""
    graph, state = split(far(case))
    mixer = far(case).build()
    reach = mixer.reach(FAR)
    x_BTD, ct_BTD = inputs(FAR)
    tokens = (FAR - 1, 257, 66)
    ct = np.zeros_like(ct_BTD)
    for row, token in enumerate(tokens):
        ct[row, token] = ct_BTD[row, token]
    got = pull(graph, state, x_BTD, ones(), ct)
    seen_BT = np.asarray(np.asarray(got.x_BTD).any(axis=2))
    for row, token in enumerate(tokens):
        back_T = token - np.arange(FAR)
        near_T = (np.abs(back_T) <= reach) & ((back_T >= 0) | (not case.causal))
        beyond = np.argwhere(seen_BT[row] & ~near_T)
        assert not len(beyond), f"{token} depends on {beyond[:3].ravel()}"
        # A state may forget what is far within reach; not what is this near.
        near = min(reach, 40)
        if not case.holes and not case.selects:
            assert seen_BT[row, token - near], f"{token} does not see {token - near}"


def law_narrow(case: Case) -> None:
    """In bfloat16, a step is right after hundreds of tokens: beside float64."""
    if not case.causal:
        return
    graph, state = split(far(case))
    x_BTD, _ = inputs(FAR)
    # Most of one sign, so that sums grow until they would swallow a token.
    spread_B11 = np.array([0.3, 0.01, 1.0], np.float32)[:, None, None]
    narrow_BTD = jnp.asarray(1 + spread_B11 * x_BTD, jnp.bfloat16)
    want = exact(far(case), np.asarray(narrow_BTD, np.float64))
    stepped = decode(graph, state, narrow_BTD)
    assert stepped.dtype == jnp.bfloat16, f"{stepped.dtype}"
    early, late = (
        error(np.asarray(stepped, np.float32)[:, inside], want[:, inside])
        for inside in (slice(0, 64), slice(FAR - 64, FAR))
    )
    bound = max(NARROW, case.narrow)
    assert early <= bound and late <= min(bound, 2 * early), (
        f"off by {early:.1e} at first, by {late:.1e} after {FAR} tokens"
    )
