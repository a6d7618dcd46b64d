"""The matrix by which a mixer mixes the tokens of a sequence.

Closed form: if a mixer is made of an op that is linear in its values, M_TS with
out_t = sum_s M_ts v_s, for each head, or for each channel of a state space: attention
weights, and their counterparts in linear attention, the delta rule and state spaces
(Ali et al., 2024, arXiv:2403.01590). The op is found in the trace of the mixer by the
names that `ops.linearity` gives, so this module knows no mixer. Jacobian: for every
mixer, how strongly its input at s moves its output at t; one matrix for all heads. It
is used if the trace declares no op.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from attn_research.analysis.jacobian import energy
from attn_research.analysis.layers import (
    Named,
    check_index,
    mixer_inputs,
    open_model,
)
from attn_research.checkpoint import Restored
from attn_research.ops.linearity import MIXED, VALUES
from attn_research.options import BadInput

Form = Literal["closed", "jacobian"]
NUMBERS = 2**28  # at most, in all matrices of one call
COLUMNS = 32  # sources whose column is computed at once


class Op(NamedTuple):
    """An op of a mixer that is linear in values (1, T, H, ...), and its heads.

    Of several updates of a token, (1, T, J, H, ...), a matrix holds the sum: what the
    op makes of values that they share.
    """

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

    `place` counts the mixers of the layer. With `form` None it is the `form_of` the
    mixer. A head of a state space is a channel of its state, complex if the state is.
    A mixer that runs in both directions with separate weights has the heads of the
    backward direction after those of the forward one. Raises `BadInput` for a layer,
    place, head or form that the model does not have.
    """
    named, x_TD = chosen(restored, inputs, layer, place)
    if (form or form_of(named, x_TD)) == "jacobian":
        check_index("head", head, 1, "a Jacobian is of the whole mixer")
        return jacobian(named, x_TD)
    count = _closed_heads(named, x_TD)
    check_index("head", head, count, f"{named.name} of layer {layer}")
    return closed(named, x_TD, [head])[0]


def chosen(
    restored: Restored, inputs: Any, layer: int, place: int = 0
) -> tuple[Named, jax.Array]:
    """A mixer by its layer and place, and its input x_TD."""
    model = open_model(restored)
    check_index("layer", layer, len(model.layers), "the model")
    mixers = model.layers[layer]
    check_index("place", place, len(mixers), f"the mixers of layer {layer}")
    return mixers[place], mixer_inputs(restored, inputs)[layer][place]


def form_of(named: Named, x_TD: jax.Array) -> Form:
    """`closed` if the mixer is made of an op that declares its values."""
    return "closed" if heads(named, x_TD) else "jacobian"


def jacobian(named: Named, x_TD: jax.Array) -> np.ndarray:
    """M_TS: the Frobenius norm of d y_t / d x_s of a mixer, T x D pullbacks."""
    _check_size(1, len(x_TD))
    return np.asarray(_jacobian(named.mixer, jnp.asarray(x_TD)))


# Mixers that are built alike differ in their parameters only.
@jax.jit
def _jacobian(mixer: Any, x_TD: jax.Array) -> jax.Array:
    return jnp.sqrt(energy(lambda x_TD: mixer(x_TD[None])[0], x_TD))


def matrices(named: Named, x_TD: jax.Array) -> np.ndarray:
    """M_HTS of all heads in closed form, else the Jacobian as one head."""
    if form_of(named, x_TD) == "closed":
        return closed(named, x_TD)
    return jacobian(named, x_TD)[None]


def heads(named: Named, x_TD: jax.Array) -> int:
    """The number of matrices that a mixer has in closed form, 0 without one."""
    return sum(shape.shape[2] for shape in mixed(named, x_TD[None]))


def closed(
    named: Named, x_TD: jax.Array, wanted: Sequence[int] | None = None
) -> np.ndarray:
    """M_HTS of the heads wanted (None: all of them), computed column by column.

    Raises `BadInput` for a mixer without a closed form.
    """
    count = _closed_heads(named, x_TD)
    head_H = np.arange(count) if wanted is None else np.asarray(wanted)
    _check_size(len(head_H), len(x_TD))
    return np.asarray(_closed(*named, jnp.asarray(x_TD), head_H))


def coarse(named: Named, x_TD: jax.Array, span: int, probes: int = 4) -> np.ndarray:
    """M_HTS between spans of tokens, without the matrix between the tokens.

    In closed form: the mean over the outputs of a span of their summed weights on an
    input's span. By the Jacobian, as one head: the root of the mean over the outputs of
    a span of the energy that an input's span has in them, estimated by `probes`.
    """
    count, spans = heads(named, x_TD), -(-len(x_TD) // span)
    _check_size(count or 1, spans)
    if not count:
        return np.asarray(_coarse(named.mixer, jnp.asarray(x_TD), span, probes))
    return np.asarray(_closed(*named, jnp.asarray(x_TD), np.arange(count), span))


def _check_size(count: int, length: int) -> None:
    if count * length**2 > NUMBERS:
        raise BadInput(
            f"{count} matrices of {length} x {length} are {count * length**2} numbers; "
            f"they must be at most {NUMBERS}: take fewer heads or a shorter sequence"
        )


def _closed_heads(named: Named, x_TD: jax.Array) -> int:
    if count := heads(named, x_TD):
        return count
    raise BadInput(
        f"{named.name} has no mixing matrix in closed form; its form must be jacobian"
    )


@partial(jax.jit, static_argnums=(0, 4))
def _closed(
    name: str, mixer: Any, x_TD: jax.Array, head_H: jax.Array, span: int = 1
) -> jax.Array:
    """M_HTS of these heads."""
    declared, length = ops(Named(name, mixer), x_TD), len(x_TD)
    first_S = jnp.arange(0, length, span)
    share_RT = _shares(length, span)

    def one(s: jax.Array) -> jax.Array:
        weight_HT = column(declared, s, span)[head_H]
        if weight_HT.dtype == jnp.bfloat16:
            weight_HT = weight_HT.astype(jnp.float32)
        if span == 1:
            return weight_HT
        return weight_HT @ share_RT.T.astype(weight_HT.dtype)

    weight_SHT = jax.lax.map(one, first_S, batch_size=COLUMNS)
    return jnp.moveaxis(weight_SHT, (0, 1, 2), (2, 0, 1))


@partial(jax.jit, static_argnums=(2, 3))
def _coarse(mixer: Any, x_TD: jax.Array, span: int, probes: int) -> jax.Array:
    """M_1TS of the roots of energies."""
    length = len(x_TD)
    first_T = jnp.arange(0, length, span)
    energy_TS = energy(lambda x_TD: mixer(x_TD[None])[0], x_TD, probes, first_T, span)
    share_RT = _shares(length, span)
    count_T1 = jnp.minimum(length - first_T, span).astype(jnp.float32)[:, None]
    return jnp.sqrt(energy_TS @ (share_RT > 0).astype(jnp.float32).T / count_T1)[None]


def _shares(length: int, span: int) -> jax.Array:
    """share_RT: one over the size of the span R, for the positions in it."""
    time_T = np.arange(length)
    inside_RT = time_T // span == np.arange(-(-length // span))[:, None]
    return jnp.asarray(inside_RT / inside_RT.sum(axis=1, keepdims=True), jnp.float32)


def _column(op: Op, begin: jax.Array, end: jax.Array) -> jax.Array:
    """M_TH: the op's result for ones from `begin` to before `end`, zeros elsewhere."""
    time_S = jnp.arange(op.values.shape[1])
    ones_S = ((time_S >= begin) & (time_S < end)).astype(op.values.dtype)
    ones = ones_S.reshape(1, -1, *[1] * (len(op.values.shape) - 2))
    mixed_TH = op.run(jnp.broadcast_to(ones, op.values.shape))[0]
    # All features of a head are mixed alike.
    return mixed_TH.reshape(*mixed_TH.shape[:2], -1)[..., 0]


def column(declared: Sequence[Op], s: jax.Array, span: int = 1) -> jax.Array:
    """M_HT of the source s, or the sum over the span that begins there, of all heads.

    `declared` are the `ops` of a mixer. It may be traced, and needs no more memory than
    one pass of them.
    """
    parts = []
    for backward, op in enumerate(declared):
        length = op.values.shape[1]
        # The backward direction runs in reversed time.
        parts.append(
            jnp.flip(_column(op, length - s - span, length - s), axis=0)
            if backward
            else _column(op, s, s + span)
        )
    return jnp.concatenate(parts, axis=1).T


def ops(named: Named, x_TD: jax.Array) -> list[Op]:
    """The op of a mixer that is linear in its values, and that of its backward
    direction; empty for a mixer without a closed form."""
    traced, ends = _traced(named, x_TD[None], None)
    return [_op(traced, *end, x_TD) for end in ends]


def mixed(named: Named, x_BTD: Any) -> list[Any]:
    """The shapes (B, T, H, ...) of what each op mixes; x may be a shape as well."""
    return [last.outvars[0].aval for _, last in _traced(named, x_BTD, None)[1]]


def halves(
    named: Named, x_BTD: jax.Array, segments_BT: jax.Array | None = None
) -> tuple[list[jax.Array], Callable[[list[jax.Array]], jax.Array]]:
    """The results of each op, (B, T, H, ...), and the function of them to y_BTD.

    It may be traced itself; the compiler computes once what both halves need.
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
    """The trace of a mixer, and the equations that begin and end each declared op.

    Empty if what one op has mixed is mixed by another: then no matrix says it all.
    """
    inputs = [x_BTD] if segments_BT is None else [x_BTD, segments_BT]
    traced = jax.make_jaxpr(lambda *inputs: named.mixer(*inputs))(*inputs)
    ends = _ends(traced.jaxpr.eqns)
    # A mixer that is not causal may run backward too, with separate weights.
    single = len(ends) in ((1,) if named.mixer.causal else (1, 2))
    return traced, ends if single else []


def _ends(eqns: Sequence[Any]) -> list[tuple[Any, Any]]:
    """The equations that name the values and the result of each outermost op."""
    ends, open_eqns = [], []
    for eqn in eqns:
        name = eqn.params.get("name") if eqn.primitive.name == "name" else None
        if name == VALUES:
            open_eqns.append(eqn)
        elif name == MIXED:
            first = open_eqns.pop()
            if not open_eqns:
                ends.append((first, eqn))
    return ends


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
        lambda values: evaluate(x_TD[None], values)[0], values.aval, mixed.aval.shape[2]
    )
