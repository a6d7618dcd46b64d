"""Which tokens an output sees: never the future, and exactly what its mask says."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from attn_research.ops.positions import restart
from attn_research.testing.laws.case import (
    BATCH,
    LENGTH,
    ONES,
    WIDTH,
    Case,
    compiled,
    draw,
    inputs,
    packed_row,
    pull,
    split,
)  # fmt: skip


def law_causality(case: Case) -> None:
    """No change of a token, small or huge, changes a bit of the past."""
    if not case.causal:
        return
    graph, state = split(case)
    x_BTD, ct_BTD = inputs()
    before = pull(graph, state, x_BTD, ONES, ct_BTD).y_BTD
    for first in range(1, LENGTH, BATCH):
        # Another token in every row: rows do not see each other.
        tokens = [min(first + row, LENGTH - 1) for row in range(BATCH)]
        for change in (1.0, 1e4):
            x = x_BTD.copy()
            for row, token in enumerate(tokens):
                x[row, token] += change
            after = pull(graph, state, x, ONES, ct_BTD).y_BTD
            for row, token in enumerate(tokens):
                np.testing.assert_array_equal(
                    before[row, :token], after[row, :token], f"token {token} leaked"
                )
                assert (before[row, token] != after[row, token]).any(), "unseen"


def law_reach(case: Case) -> None:
    """The Jacobian is non-zero exactly where the mixer says that it can see.

    Every token within `reach` moves the output, none beyond it, ahead of it (causal),
    in another segment or outside a mask with holes does.
    """
    graph, state = split(case)
    mixer = case.build()
    reach = mixer.reach(LENGTH)
    back_TS = np.arange(LENGTH)[:, None] - np.arange(LENGTH)[None, :]
    near_TS = (np.abs(back_TS) <= reach) & ((back_TS >= 0) | (not case.causal))
    for segments_T in (ONES[0], np.array(packed_row(LENGTH), np.int32)):
        same_TS = (segments_T[:, None] == segments_T[None]) & (segments_T > 0)[:, None]
        if case.holes:
            place_T = np.asarray(restart(jnp.asarray(segments_T)[None]))[0]
            same_TS &= mixer.mask.admit(place_T[:, None], place_T[None])
        moved_TS = np.max(
            [
                influence(graph, state, draw(n, LENGTH, WIDTH), segments_T)
                for n in range(1, case.draws + 1)
            ],
            axis=0,
        )
        leaked = np.argwhere((moved_TS != 0) & ~(near_TS & same_TS))
        assert not len(leaked), f"output, input that must not meet: {leaked[:3]}"
        lost = np.argwhere((moved_TS == 0) & near_TS & same_TS)
        assert not len(lost), f"output, input within reach that never meet: {lost[:3]}"


@functools.partial(compiled, static_argnums=0)
def influence(graph, state, x_TD, segments_T) -> jax.Array:
    """How strongly input s moves output t: the Jacobian, summed over features."""
    jacobian_TDSD = jax.jacrev(
        lambda x_TD: nnx.merge(graph, state)(x_TD[None], segments_T[None])[0]
    )(x_TD)
    return jnp.abs(jacobian_TDSD).sum((1, 3))
