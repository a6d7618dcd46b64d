"""The gates of a mixer, between 0 and 1, and the shares that are closed or open.

A saturated gate passes no gradient to its inputs (Gu et al., 2019, arXiv:1910.09890).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.analysis.layers import Named
from attn_research.modules.delta import Delta
from attn_research.modules.diagonal import Diagonal
from attn_research.modules.linear import Linear
from attn_research.modules.mlstm import MLSTM
from attn_research.modules.recurrent import Recurrent
from attn_research.modules.wide_projection import project
from attn_research.ops import cells
from attn_research.options import BadInput

Gates = dict[str, Any]
SHUT, OPEN = 0.05, 0.95
ORDER = "input reset forget update beta erase decay write output".split()
GATED = (
    "lstm, gru, slstm, mlstm, diagonal, rglru, mingru, minlstm, gla, delta or one of "
    "its presets"
)


def gates(named: Named, x_TD: Any) -> dict[str, np.ndarray]:
    """gate_TN of each gate by its name, for one sequence x_TD of inputs of the mixer.

    A mixer that is not causal has those of its forward direction. Raises `BadInput` for
    a mixer without gates that depend on the token.
    """
    read = next(
        (read for kind, read in READ.items() if isinstance(named.mixer, kind)), None
    )
    values = {} if read is None else _read(read, named.mixer, jnp.asarray(x_TD))
    if not values:
        raise BadInput(
            f"{named.name} has no gates that depend on the token; the mixer must be "
            f"{GATED}"
        )
    return {
        name: np.asarray(values[name], np.float32).reshape(len(x_TD), -1)
        for name in ORDER
        if name in values
    }


@partial(jax.jit, static_argnums=0)
def _read(read: Callable[..., Gates], mixer: Any, x_TD: jax.Array) -> Gates:
    return read(mixer, x_TD)


def saturation(gate_TN: np.ndarray) -> tuple[float, float]:
    """The shares of the gates below 0.05, and above 0.95."""
    return float(np.mean(gate_TN < SHUT)), float(np.mean(gate_TN > OPEN))


def _lstm(state: cells.State, z: jax.Array, r: jax.Array) -> cells.State:
    i, f, _, o = jnp.split(z + r, 4, axis=-1)
    return jax.nn.sigmoid(i), jax.nn.sigmoid(f), jax.nn.sigmoid(o)


def _slstm(state: cells.State, z: jax.Array, r: jax.Array) -> cells.State:
    # Its input gate is an exponential.
    return _lstm(state, z, r)[1:]


def _gru(state: cells.State, z: jax.Array, r: jax.Array) -> cells.State:
    reset, update, _ = jnp.split(z + r, 3, axis=-1)
    return jax.nn.sigmoid(reset), jax.nn.sigmoid(update)


CELLS: dict[str, tuple[cells.Cell, tuple[str, ...]]] = {
    "lstm": (_lstm, ("input", "forget", "output")),
    "slstm": (_slstm, ("forget", "output")),
    "gru": (_gru, ("reset", "update")),
}


def _recurrent(mixer: Recurrent, x_TD: jax.Array) -> Gates:
    """The gates of a cell: `step_cell` runs a cell whose output they are."""
    if mixer.options.cell not in CELLS:
        return {}
    cell, names = CELLS[mixer.options.cell]
    kernel = mixer.kernel.get_value()

    def token(carry: Any, x_D: jax.Array) -> tuple[Any, Any]:
        gates = cells.step_cell(cell, mixer.input(x_D[None]), carry, kernel)
        return mixer.step(x_D[None], carry)[1], gates

    by_token = jax.lax.scan(token, mixer.start(1, len(x_TD), x_TD.dtype), x_TD)[1]
    return dict(zip(names, by_token, strict=True))


def _diagonal(mixer: Diagonal, x_TD: jax.Array) -> Gates:
    def apart(parts_1TX: jax.Array) -> list[jax.Array]:
        return jnp.split(parts_1TX, parts_1TX.shape[-1] // mixer.size, axis=-1)

    written, *parts = apart(mixer.input(x_TD[None]))
    if mixer.gates is not None:  # they read the output of the convolution
        parts = apart(mixer.gates(mixer.conv(written)))
    names = ("update",) if mixer.options.kind == "mingru" else ("forget", "write")
    return {
        name: jax.nn.sigmoid(part) for name, part in zip(names, parts, strict=False)
    }


def _linear(mixer: Linear, x_TD: jax.Array) -> Gates:
    if mixer.forgetting.gate is None:
        return {}
    log_decay = mixer.forgetting(x_TD[None])[0]
    return {} if log_decay is None else {"decay": jnp.exp(log_decay)}


def _delta(mixer: Delta, x_TD: jax.Array) -> Gates:
    strengths = {"beta": mixer.beta, "erase": mixer.erase, "write": mixer.write}
    values = {
        name: jax.nn.sigmoid(gate(x_TD))
        for name, gate in strengths.items()
        if gate is not None
    }
    if mixer.rates is not None:
        values["decay"] = jnp.exp(mixer.rates.log_decay(x_TD))
    return values


def _mlstm(mixer: MLSTM, x_TD: jax.Array) -> Gates:
    forget_H = jnp.split(mixer.bias.get_value(), 2)[1]
    forget_TH = jnp.split(mixer.gates(x_TD), 2, axis=-1)[1] + forget_H[None]
    values = {"forget": jax.nn.sigmoid(forget_TH)}
    if mixer.norm.gate is not None:
        values["output"] = jax.nn.sigmoid(project(mixer.norm.gate, x_TD))
    return values


READ: dict[type, Callable[..., Gates]] = {
    Recurrent: _recurrent,
    Diagonal: _diagonal,
    Linear: _linear,
    Delta: _delta,
    MLSTM: _mlstm,
}
