"""How long a model remembers a planted fact: bits that a linear probe reads, by delay.

A fact is one of n equally likely symbols that replaces an input. A probe is a
multinomial logistic regression from the activations some tokens later; on held-out
sequences, log2 n minus its cross-entropy is a lower bound of the information in the
activations (Alain & Bengio, 2016, arXiv:1610.01644; Pimentel et al., 2020,
arXiv:2004.03061).
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.analysis import statistics as stats
from attn_research.analysis.layers import OpenModel, check_inputs, embed, open_model
from attn_research.analysis.sharing import shared
from attn_research.analysis.statistics import Interval
from attn_research.checkpoint import Restored
from attn_research.options import BadInput

STRENGTHS = 1.0, 0.03, 1e-3, 3e-5  # of the squared weights; validation chooses
ROWS = 32  # sequences at once
STATE = 4096  # numbers of a state; larger ones are skipped


class Planted(NamedTuple):
    """Inputs with one of `symbols` symbols at a place of each row, and its index."""

    inputs_RT: np.ndarray
    label_R: np.ndarray
    symbols: int
    place: int


def plant(
    stretch_X: np.ndarray,
    symbols_N: np.ndarray,
    rows: int,
    length: int,
    place: int,
    seed: int = 0,
) -> Planted:
    """Rows of a stretch of inputs, tokens or real values, with a symbol in each.

    A row begins at a random place; the stretch wraps around at its end.
    """
    draw = np.random.default_rng(seed)
    first_R1 = draw.integers(0, len(stretch_X), (rows, 1))
    at_RT = (first_R1 + np.arange(length)) % len(stretch_X)
    inputs_RT = np.array(stretch_X[at_RT])
    label_R = draw.integers(0, len(symbols_N), rows)
    inputs_RT[:, place] = symbols_N[label_R]
    return Planted(inputs_RT, label_R, len(symbols_N), place)


def symbols(stretch_X: np.ndarray, count: int) -> np.ndarray:
    """symbols_N: the most frequent inputs of a stretch, at most `count`.

    Raises `BadInput` if all inputs are the same.
    """
    known, times = np.unique(stretch_X, axis=0, return_counts=True)
    if len(known) < 2:
        raise BadInput("All inputs are the same; for a fact they must be two or more")
    return known[np.argsort(-times, kind="stable")[:count]]


def bits(x_RX: np.ndarray, label_R: np.ndarray, classes: int) -> Interval:
    """The bits of the label that a linear probe reads, with the interval over rows.

    Half of the rows fit the probe, a quarter chooses its weight penalty, the rest
    measures it. The value is at least 0 and at most log2 of the classes.
    """
    from scipy.optimize import minimize

    rows = len(x_RX)
    fit, choose, hold = np.split(np.arange(rows), [rows // 2, rows * 3 // 4])
    x_RX = _reduced(np.asarray(x_RX, np.float64).reshape(rows, -1), fit)
    one_RC = np.eye(classes)[label_R]
    width = x_RX.shape[1] + 1
    x_RX = np.concatenate([x_RX, np.ones((rows, 1))], axis=1)

    def surprise(weight_XC: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, Any]:
        score_RC = x_RX[at] @ weight_XC
        score_RC -= score_RC.max(axis=1, keepdims=True)
        score_RC -= np.log(np.exp(score_RC).sum(axis=1, keepdims=True))
        return -(score_RC * one_RC[at]).sum(axis=1), score_RC

    def objective(flat: np.ndarray, strength: float) -> tuple[float, np.ndarray]:
        weight_XC = flat.reshape(width, classes)
        loss_R, score_RC = surprise(weight_XC, fit)
        slope_XC = x_RX[fit].T @ (np.exp(score_RC) - one_RC[fit]) / len(fit)
        slope_XC[:-1] += strength * weight_XC[:-1]  # the bias is free
        penalty = strength / 2 * np.sum(weight_XC[:-1] ** 2)
        return float(loss_R.mean() + penalty), slope_XC.reshape(-1)

    weight, candidates = np.zeros(width * classes), []
    for strength in STRENGTHS:
        weight = minimize(
            objective, weight, (strength,), "L-BFGS-B", jac=True,
            options={"maxiter": 100},
        ).x  # fmt: skip
        weight_XC = weight.reshape(width, classes)
        candidates.append((surprise(weight_XC, choose)[0].mean(), weight_XC))
    _, best_XC = min(candidates, key=lambda candidate: candidate[0])
    most = math.log2(classes)
    known = stats.mean_interval(list(most - surprise(best_XC, hold)[0] / math.log(2)))
    return Interval(*(min(max(value, 0.0), most) for value in known))


def _reduced(x_RX: np.ndarray, fit: np.ndarray) -> np.ndarray:
    """x with features of unit size, in the space that the rows of the fit span."""
    x_RX = np.nan_to_num(x_RX, posinf=0, neginf=0)
    mean_X, deviation_X = x_RX[fit].mean(axis=0), x_RX[fit].std(axis=0)
    scale_X = np.where(deviation_X > 1e-9, deviation_X, np.inf)
    x_RX = (x_RX - mean_X) / scale_X
    _, value_Y, basis_YX = np.linalg.svd(x_RX[fit], full_matrices=False)
    return x_RX @ basis_YX[value_Y > 1e-9 * max(value_Y[0], 1e-9)].T


def bits_by_delay(
    restored: Restored, fact: Planted, delays: Sequence[int]
) -> dict[str, list[Interval]]:
    """The bits of the planted fact by (rising) delay, in each layer and each state.

    `embedding` and `layer 0` are of the residual stream, `state 0 lstm` is of the state
    of a mixer, if it has a fixed size. Raises `BadInput` for delays beyond the end.
    """
    inputs_RT, label_R, count, place = fact
    inputs_RT = check_inputs(open_model(restored), inputs_RT)
    if place + max(delays) >= inputs_RT.shape[1]:
        raise BadInput(
            f"The fact is at {place} and the longest delay {max(delays)}; it must be "
            f"at most {inputs_RT.shape[1] - 1 - place}"
        )
    at_K = np.asarray(delays, np.int32) + np.int32(place)
    by_name = stream_at(restored, inputs_RT, at_K)
    by_name |= states_at(restored, inputs_RT, at_K)
    return {
        name: [bits(x_RX, label_R, count) for x_RX in x_KRX]
        for name, x_KRX in by_name.items()
    }


def stream_at(
    restored: Restored, inputs_RT: np.ndarray, at_K: np.ndarray
) -> dict[str, np.ndarray]:
    """x_KRD of the residual stream at these positions, before and after every layer."""
    x_RNKD = np.asarray(_streamed(restored, inputs_RT, at_K), np.float32)
    names = ["embedding", *(f"layer {n}" for n in range(x_RNKD.shape[1] - 1))]
    return dict(zip(names, np.moveaxis(x_RNKD, (1, 2), (0, 1)), strict=True))


@shared()
def _streamed(restored: Restored, inputs: jax.Array, at_K: jax.Array) -> jax.Array:
    trunk = restored.model.bind(restored.params).trunk

    def one(row: jax.Array) -> jax.Array:
        x_1TD, _ = embed(trunk, row[None], None)
        x_N1TD = [x_1TD]
        for block in trunk.blocks():
            x_N1TD.append(block(x_N1TD[-1]))
        return jnp.concatenate(x_N1TD)[:, at_K]

    return jax.lax.map(one, inputs, batch_size=ROWS)


def states_at(
    restored: Restored, inputs_RT: np.ndarray, at_K: np.ndarray
) -> dict[str, np.ndarray]:
    """x_KRX of the states of a causal model after these positions.

    Only states of a fixed size, at most `STATE` numbers: a state that grows with the
    length keeps every input. Empty for a model that is not causal.
    """
    model = open_model(restored)
    if not model.trunk.sizes.causal:
        return {}
    rows, length = inputs_RT.shape[:2]
    shapes, longer = (
        _states(model, jax.eval_shape(lambda n=n: model.trunk.start(1, n)))
        for n in (length, length + 1)
    )
    names = [
        name
        for name, state in shapes.items()
        if jax.tree.map(jnp.shape, state) == jax.tree.map(jnp.shape, longer[name])
        and 0 < sum(leaf.size for leaf in jax.tree.leaves(state)) <= STATE
    ]
    if not names:
        return {}

    batches = (inputs_RT[n : n + ROWS] for n in range(0, rows, ROWS))
    parts = [_carried(restored, tuple(names), batch, at_K) for batch in batches]
    return {
        name: np.concatenate([np.asarray(part[name]) for part in parts], axis=1)
        for name in names
    }


@shared(1)
def _carried(
    restored: Restored, names: tuple[str, ...], inputs: jax.Array, at_K: jax.Array
) -> dict[str, jax.Array]:
    model = open_model(restored)

    def token(t: jax.Array, carry: Any) -> Any:
        now = jax.lax.dynamic_index_in_dim(inputs, t, 1, keepdims=False)
        return model.trunk.step(now, carry)[1]

    def advance(carry: Any, stretch: Any) -> tuple[Any, Any]:
        begin, end = stretch
        carry = jax.lax.fori_loop(begin, end, token, carry)
        states = _states(model, carry)
        return carry, {name: _flat(states[name]) for name in names}

    ends_K = at_K + 1
    begins_K = jnp.concatenate([jnp.zeros(1, ends_K.dtype), ends_K[:-1]])
    start = model.trunk.start(len(inputs), inputs.shape[1])
    return jax.lax.scan(advance, start, (begins_K, ends_K))[1]


def _states(model: OpenModel, carry: Any) -> dict[str, Any]:
    """The state of each mixer by its name, from the carry of a trunk."""
    layers = []
    for group, states in zip(model.trunk.groups, carry["layers"], strict=True):
        repeats = getattr(group, "count", None)  # with a leading axis over them
        if repeats is None:
            layers += states
        else:
            for n in range(repeats):
                layers += _row(states, n)
    by_name = {}
    for index, (stages, states) in enumerate(zip(model.stages, layers, strict=True)):
        flat = []
        for stage, state in zip(stages, states, strict=True):
            flat += [state] if len(stage) == 1 else state
        mixers = model.layers[index]
        for place, (named, state) in enumerate(zip(mixers, flat, strict=True)):
            at = f"{index}.{place}" if len(flat) > 1 else str(index)
            by_name[f"state {at} {named.name}"] = state
    return by_name


def _row(tree: Any, index: int) -> Any:
    def row(leaf: Any) -> Any:
        if isinstance(leaf, jax.ShapeDtypeStruct):
            return jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype)
        return leaf[index]

    return jax.tree.map(row, tree)


def _flat(state: Any) -> jax.Array:
    """x_RX, real: complex numbers as both of their parts."""
    parts = []
    for leaf in jax.tree.leaves(state):
        if jnp.issubdtype(leaf.dtype, jnp.inexact) and leaf.size:
            both = [leaf.real, leaf.imag] if jnp.iscomplexobj(leaf) else [leaf]
            parts += [x.reshape(len(x), -1).astype(jnp.float32) for x in both]
    return jnp.concatenate(parts, axis=1)
