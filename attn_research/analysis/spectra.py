"""The eigenvalues of the transition from one state of a mixer to the next.

Their moduli say how long a state lasts: a component with the eigenvalue a is halved
after log(1/2) / log|a| tokens, and grows if |a| exceeds 1 (Pascanu et al., 2013,
arXiv:1211.5063).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.analysis import mixing
from attn_research.analysis.layers import Named
from attn_research.modules.delta import Delta
from attn_research.modules.diagonal import Diagonal
from attn_research.modules.linear import Linear
from attn_research.modules.modal import Modal
from attn_research.modules.ssm import S4D
from attn_research.options import BadInput

Form = Literal["closed", "jacobian"]
NUMBERS = 1024  # of a state at most; its Jacobian has the square of that
TIMES = 8  # tokens at which a Jacobian is taken


class Spectrum(NamedTuple):
    """The eigenvalues at each token examined, and the form that they come from.

    Closed: exact, each distinct eigenvalue of a part of the state once. Jacobian: of
    the whole state, with the inputs of a short convolution, whose eigenvalues are zero,
    and as the mixer keeps it: one in units of a running maximum (`linear` with
    features, `mlstm`, `slstm`) has the transition from one token's units to the next's.
    """

    value_TX: np.ndarray
    form: Form


def spectrum(named: Named, x_TD: Any, form: Form | None = None) -> Spectrum:
    """The spectrum of a mixer on one sequence x_TD; one row if it is constant.

    With `form` None it is the closed one if the mixer has one. A mixer that is not
    causal has that of its forward direction. Raises `BadInput` if the state grows with
    the length or is too large.
    """
    read = _reader(named.mixer)
    if form == "closed" and read is None:
        raise BadInput(
            f"The eigenvalues of {named.name} have no closed form; the form must be "
            "jacobian"
        )
    if read is not None and form != "jacobian":
        value = np.asarray(_closed(read, *named, jnp.asarray(x_TD)))
        return Spectrum(value.reshape(value.shape[0], -1), "closed")
    return Spectrum(np.linalg.eigvals(transitions(named, x_TD)), "jacobian")


def _reader(mixer: Any) -> Callable[[Named, jax.Array], jax.Array] | None:
    """What gives the closed form of a mixer, if it has one."""
    if isinstance(mixer, Delta) and mixer.compound:
        return None
    return next((r for kind, r in CLOSED.items() if isinstance(mixer, kind)), None)


def transitions(named: Named, x_TD: Any, times: int = TIMES) -> np.ndarray:
    """J_TXX: the Jacobian of the next state by the state, at evenly spaced tokens.

    The first token is left out: the state before it is empty.
    """
    mixer = named.mixer
    sizes = [jax.eval_shape(lambda n=n: mixer.start(1, n)) for n in (2, 3)]
    if jax.tree.map(jnp.shape, sizes[0]) != jax.tree.map(jnp.shape, sizes[1]):
        raise BadInput(
            f"The state of {named.name} grows with the length; for eigenvalues it must "
            "have a fixed size"
        )
    count = sum(leaf.size for leaf in jax.tree.leaves(sizes[0]) if _moves(leaf))
    if count > NUMBERS:
        raise BadInput(
            f"The state of {named.name} has {count} numbers; for its Jacobian they "
            f"must be at most {NUMBERS}"
        )
    first = min(1, len(x_TD) - 1)
    count = min(times, len(x_TD) - first)
    at_N = np.linspace(first, len(x_TD) - 1, count).round().astype(int)

    return np.asarray(_transitions(mixer, jnp.asarray(x_TD), at_N))


# Mixers that are built alike differ in their parameters only.
@partial(jax.jit, static_argnums=(0, 1))
def _closed(read: Any, name: str, mixer: Any, x_TD: jax.Array) -> jax.Array:
    return read(Named(name, mixer), x_TD)


@jax.jit
def _transitions(mixer: Any, x_TD: jax.Array, at_N: jax.Array) -> jax.Array:
    def token(carry: Any, x_D: jax.Array) -> tuple[Any, Any]:
        return mixer.step(x_D[None], carry)[1], carry

    before = jax.lax.scan(token, mixer.start(1, len(x_TD), x_TD.dtype), x_TD)[1]

    def one(at: jax.Array) -> jax.Array:
        leaves, tree = jax.tree.flatten(jax.tree.map(lambda leaf: leaf[at], before))
        moved = [leaf for leaf in leaves if _moves(leaf)]

        def after(flat_X: jax.Array) -> jax.Array:
            parts = iter(_apart(flat_X, moved))
            carry = [next(parts) if _moves(leaf) else leaf for leaf in leaves]
            carry = mixer.step(x_TD[at][None], jax.tree.unflatten(tree, carry))[1]
            return _flat([leaf for leaf in jax.tree.leaves(carry) if _moves(leaf)])

        flat_X = _flat(moved)
        whole = jnp.issubdtype(flat_X.dtype, jnp.complexfloating)
        return jax.jacrev(after, holomorphic=whole)(flat_X)

    return jax.lax.map(one, at_N)


def _moves(leaf: Any) -> bool:
    """Whether a leaf of a carry is a state rather than a count of tokens."""
    return jnp.issubdtype(leaf.dtype, jnp.inexact)


def _flat(leaves: list[Any]) -> jax.Array:
    return jnp.concatenate([leaf.reshape(-1) for leaf in leaves])


def _apart(flat_X: jax.Array, leaves: list[Any]) -> list[jax.Array]:
    ends = np.cumsum([leaf.size for leaf in leaves])[:-1]
    parts = jnp.split(flat_X, ends)
    return [
        part.reshape(leaf.shape).astype(leaf.dtype)
        for part, leaf in zip(parts, leaves, strict=True)
    ]


def _modal(named: Named, x_TD: jax.Array) -> jax.Array:
    return named.mixer.decay(jnp.float32)[0][None]  # type: ignore


def _s4d(named: Named, x_TD: jax.Array) -> jax.Array:
    mixer: Any = named.mixer
    pole_DN = jax.lax.complex(
        -jnp.exp(mixer.log_rate.get_value()), mixer.frequency.get_value()
    )
    step_DN = jnp.exp(mixer.log_step.get_value())[:, None].astype(pole_DN.dtype)
    return jnp.exp(step_DN * pole_DN)[None]


def _diagonal(named: Named, x_TD: jax.Array) -> jax.Array:
    """a_t is the fraction left at t of what was written at t - 1."""
    forward = mixing.ops(named, x_TD)[:1]
    return jax.lax.map(
        lambda t: mixing.column(forward, t - 1)[:, t], jnp.arange(1, len(x_TD))
    )


def _linear(named: Named, x_TD: jax.Array) -> jax.Array:
    mixer: Any = named.mixer
    log_decay = mixer.forgetting(x_TD[None])[0]
    if log_decay is None:
        return jnp.ones((1, 1))
    constant = log_decay.ndim == 1  # one for each head
    return jnp.exp(log_decay[None] if constant else log_decay[0])


def _delta(named: Named, x_TD: jax.Array) -> jax.Array:
    """decay (1 - beta k k') with |k| = 1: decay (1 - beta) along k, else decay."""
    mixer: Any = named.mixer
    most = 2 if mixer.options.negative else 1
    left_TH = 1 - most * jax.nn.sigmoid(mixer.beta(x_TD))
    decay_TH = jnp.ones_like(left_TH)
    if mixer.rates is not None:
        decay_TH = jnp.exp(mixer.rates.log_decay(x_TD))
    return jnp.concatenate([decay_TH, decay_TH * left_TH], axis=1)


CLOSED: dict[type, Callable[[Named, jax.Array], jax.Array]] = {
    Modal: _modal,
    S4D: _s4d,
    Diagonal: _diagonal,
    Linear: _linear,
    Delta: _delta,
}
