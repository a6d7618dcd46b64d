"""The matrix by which a mixer mixes the tokens of a sequence.

Closed form: where a mixer is made of an op that is linear in its values, M_TS with
out_t = sum_s M_ts v_s, for each head, or for each channel of a state space: attention
weights, and what stands in their place in linear attention, the delta rule and state
spaces (Ali et al., 2024, arXiv:2403.01590). The op is found in the trace of the mixer
by the names that `ops.linearity` gives, so no mixer is known here. Jacobian: for every
mixer, how strongly its input at s moves its output at t; one matrix for all heads.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from attn_research.analysis.jacobian import energy
from attn_research.analysis.opened import Named, given, opened, within
from attn_research.checkpoint import Restored
from attn_research.modules import MIXERS
from attn_research.ops.linearity import MIXED, VALUES
from attn_research.options import BadInput

Form = Literal["closed", "jacobian"]
# Convolutions and gated cells: what they mix passes through more than one linear op.
JACOBIAN_ONLY = frozenset(
    {"rnn", "lstm", "gru", "slstm", "conv", "dilated", "baseconv", "hyena"}
)
NUMBERS = 2**28  # in all matrices that are asked for at once
COLUMNS = 32  # sources whose column is computed at once


class Op(NamedTuple):
    """An op of a mixer that is linear in values (1, T, H, ...), and what it makes."""

    run: Callable[[jax.Array], jax.Array]
    values: Any
    heads: int


def mixing_matrix(
    restored: Restored,
    inputs: Any,
    *,
    layer: int,
    head: int = 0,
    place: int = 0,
    form: Form | None = None,
) -> np.ndarray:
    """M_TS of one head of one mixer, on one sequence of inputs (T,) or (T, F).

    `place` counts the mixers of the layer. `form` None is the closed form where there
    is one. A head of a state space is a channel of its state, complex where that is. A
    mixer that runs in both directions with weights of their own has the heads of the
    way back after those of the way there. Raises `BadInput` for what there is not.
    """
    named, x_TD = chosen(restored, inputs, layer, place)
    form = form or ("jacobian" if named.name in JACOBIAN_ONLY else "closed")
    if form == "jacobian":
        within("head", head, 1, "a Jacobian is of the whole mixer")
        return jacobian(named, x_TD)
    within("head", head, heads(named, x_TD), f"{named.name} of layer {layer}")
    return closed(named, x_TD, [head])[0]


def chosen(
    restored: Restored, inputs: Any, layer: int, place: int = 0
) -> tuple[Named, jax.Array]:
    """A mixer by its layer and place, and x_TD that it is given."""
    of = opened(restored)
    within("layer", layer, len(of.layers), "the model")
    within("place", place, len(of.layers[layer]), f"the mixers of layer {layer}")
    return of.layers[layer][place], given(restored, inputs)[layer][place]


def jacobian(named: Named, x_TD: jax.Array) -> np.ndarray:
    """M_TS: the Frobenius norm of d y_t / d x_s of a mixer, T x D pullbacks."""
    _fits(1, len(x_TD))

    @jax.jit
    def norm(x_TD: jax.Array) -> jax.Array:
        return jnp.sqrt(energy(lambda x_TD: named.mixer(x_TD[None])[0], x_TD))

    return np.asarray(norm(x_TD))


def heads(named: Named, x_TD: jax.Array) -> int:
    """The number of matrices that a mixer has in closed form."""
    return sum(op.heads for op in ops(named, x_TD))


def closed(
    named: Named, x_TD: jax.Array, wanted: Sequence[int] | None = None
) -> np.ndarray:
    """M_HTS of the heads wanted (None: all of them), computed column by column."""
    found, first = [], 0
    _fits(heads(named, x_TD) if wanted is None else len(wanted), len(x_TD))
    for way, op in enumerate(ops(named, x_TD)):
        own = range(first, first + op.heads)
        first += op.heads
        own_H = [h - own.start for h in (own if wanted is None else wanted) if h in own]
        if own_H:
            weight_HTS = np.asarray(_columns(op, np.asarray(own_H)))
            # The way back runs in a time of its own.
            found.append(weight_HTS[:, ::-1, ::-1] if way else weight_HTS)
    return np.concatenate(found)


def _fits(count: int, length: int) -> None:
    if count * length**2 > NUMBERS:
        raise BadInput(
            f"{count} matrices of {length} x {length} are asked for; {NUMBERS} numbers "
            "in all are allowed, of fewer heads or a shorter sequence"
        )


def _columns(op: Op, head_H: np.ndarray) -> jax.Array:
    """M_HTS of these heads."""

    @jax.jit
    def every() -> jax.Array:
        time_S = jnp.arange(op.values.shape[1])
        weight_STH = jax.lax.map(
            lambda s: _column(op, s)[:, head_H], time_S, batch_size=COLUMNS
        )
        weight_HTS = jnp.moveaxis(weight_STH, (0, 1, 2), (2, 1, 0))
        narrow = weight_HTS.dtype == jnp.bfloat16
        return weight_HTS.astype(jnp.float32) if narrow else weight_HTS

    return every()


def _column(op: Op, s: jax.Array) -> jax.Array:
    """M_TH of the source s: what the op makes of ones there and zeros elsewhere."""
    values = jnp.zeros(op.values.shape, op.values.dtype).at[:, s].set(1)
    mixed_TH = op.run(values)[0]
    # All features of a head are mixed alike.
    return mixed_TH.reshape(*mixed_TH.shape[:2], -1)[..., 0]


def column(found: Sequence[Op], s: jax.Array) -> jax.Array:
    """M_HT of the source s, of all heads of a mixer, whose `ops` these are.

    May be traced, and needs no more memory than one pass of the ops.
    """
    parts = []
    for way, op in enumerate(found):
        last = op.values.shape[1] - 1
        # The way back runs in a time of its own.
        weight_TH = jnp.flip(_column(op, last - s), axis=0) if way else _column(op, s)
        parts.append(weight_TH)
    return jnp.concatenate(parts, axis=1).T


def ops(named: Named, x_TD: jax.Array) -> list[Op]:
    """The op of a mixer that is linear in its values, and that of its way back.

    Raises `BadInput` for a mixer that is not made of one.
    """
    traced, ends = _traced(named, x_TD[None], None)
    return [_op(traced, *end, x_TD) for end in ends]


def mixed(named: Named, x_BTD: Any) -> list[Any]:
    """The shapes (B, T, H, ...) of what each op mixes; x may be a shape as well."""
    return [last.outvars[0].aval for _, last in _traced(named, x_BTD, None)[1]]


def halves(
    named: Named, x_BTD: jax.Array, segments_BT: jax.Array | None = None
) -> tuple[list[jax.Array], Callable[[list[jax.Array]], jax.Array]]:
    """What each op has mixed, (B, T, H, ...), and what makes y_BTD of these.

    May be traced itself; what is computed twice the compiler computes once.
    """
    traced, ends = _traced(named, x_BTD, segments_BT)
    jaxpr, lasts = traced.jaxpr, [last for _, last in ends]
    before = jaxpr.replace(outvars=[last.invars[0] for last in lasts])
    after = jaxpr.replace(
        eqns=[eqn for eqn in jaxpr.eqns if all(eqn is not last for last in lasts)],
        invars=[*jaxpr.invars, *(last.outvars[0] for last in lasts)],
    )
    inputs = [x_BTD] if segments_BT is None else [x_BTD, segments_BT]

    def finish(mixed: list[jax.Array]) -> jax.Array:
        return core.jaxpr_as_fun(traced.replace(jaxpr=after))(*inputs, *mixed)[0]

    return list(core.jaxpr_as_fun(traced.replace(jaxpr=before))(*inputs)), finish


def _traced(
    named: Named, x_BTD: Any, segments_BT: Any
) -> tuple[Any, list[tuple[Any, Any]]]:
    """The trace of a mixer, and where in it each op begins and ends."""
    given = [x_BTD] if segments_BT is None else [x_BTD, segments_BT]
    traced = jax.make_jaxpr(lambda *given: named.mixer(*given))(*given)
    ends = _ends(traced.jaxpr.eqns)
    # One that is not causal may run back as well, with weights of its own.
    if len(ends) not in ((1,) if named.mixer.causal else (1, 2)):
        known = ", ".join(name for name in MIXERS if name not in JACOBIAN_ONLY)
        raise BadInput(
            f"{named.name} has no mixing matrix in closed form; its Jacobian is "
            f"allowed (closed form: {known})"
        )
    return traced, ends


def _ends(eqns: Sequence[Any]) -> list[tuple[Any, Any]]:
    """The equations that name the values and the result of each outermost op."""
    found, open_eqns = [], []
    for eqn in eqns:
        name = eqn.params.get("name") if eqn.primitive.name == "name" else None
        if name == VALUES:
            open_eqns.append(eqn)
        elif name == MIXED:
            first = open_eqns.pop()
            if not open_eqns:
                found.append((first, eqn))
    return found


def _op(traced: Any, first: Any, last: Any, x_TD: jax.Array) -> Op:
    """The part of a trace from the values to what is mixed of them."""
    jaxpr = traced.jaxpr
    part = jaxpr.replace(
        eqns=[eqn for eqn in jaxpr.eqns if eqn is not first],
        invars=[*jaxpr.invars, *first.outvars],
        outvars=list(last.outvars),
    )
    evaluate = core.jaxpr_as_fun(traced.replace(jaxpr=part))
    (values,), (mixed,) = first.outvars, last.outvars
    return Op(
        lambda given: evaluate(x_TD[None], given)[0], values.aval, mixed.aval.shape[2]
    )
