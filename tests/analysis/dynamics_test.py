"""Gates that are known, and eigenvalues by two ways."""

import numpy as np
import pytest

from attn_research.analysis import gates, mixing, spectra
from attn_research.options import BadInput
from tests.analysis.made import (
    LENGTH,
    TOKENS,
    WIDTH,
    restored,
    with_arrays,
    with_zeros,
)

GATES = {
    "lstm": ("input", "forget", "output"),
    "gru": ("reset", "update"),
    "slstm(heads=2)": ("forget", "output"),
    "mingru": ("update",),
    "minlstm": ("forget", "write"),
    "diagonal": ("forget", "write"),
    "rglru": ("forget", "write"),
    "gla": ("decay",),
    "delta": ("beta",),
    "gated_delta": ("beta", "decay"),
    "kda": ("beta", "decay"),
    "gdn2": ("erase", "decay", "write"),
    "gated_deltaproduct": ("beta", "decay"),
    "mlstm": ("forget", "output"),
}
QUICK = ("lstm", "mingru", "gated_delta")


def some(names):
    return [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
        for name in names
    ]


def only(of):
    """The one mixer of a model, and what it is given."""
    return mixing.chosen(of, TOKENS, 0)


@pytest.mark.parametrize("pattern", some(GATES))
def test_every_gated_mixer_tells_its_gates(pattern):
    found = gates.gates(*only(restored(pattern)))
    assert tuple(found) == GATES[pattern]
    for gate_TN in found.values():
        assert gate_TN.shape[0] == LENGTH and np.ptp(gate_TN) > 1e-3
        assert ((gate_TN > 0) & (gate_TN < 1)).all()


def test_gates_are_those_that_the_recurrence_runs_with():
    """minGRU forgets what its update gate writes over; an LSTM without weights has the
    gates of its biases."""
    named, x_TD = only(restored("mingru"))
    update_TN = gates.gates(named, x_TD)["update"]
    kept_TN = spectra.spectrum(named, x_TD).value_TX
    np.testing.assert_allclose(kept_TN, 1 - update_TN[1:], rtol=1e-5)
    bias_Z = np.repeat([-9.0, 9.0, 1.0, 0.0], WIDTH)
    of = with_zeros(restored("lstm"), "input", "kernel")
    found = gates.gates(*only(with_arrays(of, {"input.bias": bias_Z})))
    told = {name: gates.saturation(gate_TN) for name, gate_TN in found.items()}
    assert told == {"input": (1, 0), "forget": (0, 1), "output": (0, 0)}
    np.testing.assert_allclose(found["output"], 0.5)


def test_saturation_is_the_share_beyond_either_bound():
    gate_TN = np.array([[0.01, 0.05, 0.5, 0.95], [0.96, 0.99, 0.2, 1.0]])
    assert gates.saturation(gate_TN) == (1 / 8, 3 / 8)


def alike(one_X, two_X, tolerance=1e-4):
    """Whether two lists hold the same numbers, zeros left out, in whatever order."""
    one_X, two_X = (x[np.abs(x) > 1e-5] for x in (np.ravel(one_X), np.ravel(two_X)))
    near_XX = np.abs(one_X[:, None] - two_X[None]) < tolerance
    return near_XX.any(axis=0).all() and near_XX.any(axis=1).all()


CLOSED = ("lru(state=3)", "s4d(state=1)", "s5(state=3)", "diagonal", "mingru")
CLOSED += ("delta", "gated_delta", "linear(normalize=false)", "gla", "retnet")


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param(one, marks=() if one == "gated_delta" else pytest.mark.slow)
        for one in CLOSED
    ],
)
def test_the_closed_form_has_the_eigenvalues_of_the_jacobian(pattern):
    named, x_TD = only(restored(pattern))
    closed_TX, form = spectra.spectrum(named, x_TD)
    assert form == "closed"
    if len(closed_TX) > 1:
        closed_TX = closed_TX[-1]
    jacobian_TX, form = spectra.spectrum(named, x_TD, "jacobian")
    assert form == "jacobian" and alike(closed_TX, jacobian_TX[-1])


def test_units_of_a_running_maximum_are_not_forgetting():
    """Sums that nothing decays last for ever, though they are kept in scaled units."""
    value_TX, form = spectra.spectrum(*only(restored("linear")))
    assert form == "closed" and np.all(value_TX == 1)


def test_a_ring_of_states_has_the_poles_it_was_given():
    modulus_N, turn_N = np.array([0.9, 0.5, 0.99]), np.array([0.1, 2.0, 0.7])
    arrays = {"decay.nu": np.log(-np.log(modulus_N)), "decay.theta": np.log(turn_N)}
    of = with_arrays(restored("lru(state=3)"), arrays)
    value_TX, _ = spectra.spectrum(*only(of))
    np.testing.assert_allclose(value_TX[0], modulus_N * np.exp(1j * turn_N), rtol=1e-5)


def test_a_recurrence_at_rest_has_the_eigenvalues_of_its_kernel():
    """Without inputs the state stays zero, where tanh has the slope one."""
    kernel_NN = np.random.default_rng(3).normal(size=(WIDTH, WIDTH), scale=0.3)
    of = with_arrays(
        with_zeros(restored("rnn"), "input"), {"mixers.0.kernel": kernel_NN}
    )
    named, x_TD = only(of)
    value_TX, form = spectra.spectrum(named, x_TD)
    assert form == "jacobian" and value_TX.shape == (spectra.TIMES, WIDTH)
    assert alike(value_TX, np.linalg.eigvals(kernel_NN))
    with pytest.raises(BadInput, match="eigenvalues of rnn have no closed form"):
        spectra.spectrum(named, x_TD, "closed")


@pytest.mark.slow
@pytest.mark.parametrize("pattern", ["lstm", "gru", "slstm", "mlstm", "mamba(state=2)"])
def test_every_state_of_fixed_size_has_a_spectrum(pattern):
    value_TX, _ = spectra.spectrum(*only(restored(pattern)))
    assert np.isfinite(value_TX).all() and (np.abs(value_TX) > 0.01).any()


def test_a_convolution_forgets_all_it_has_seen():
    value_TX, _ = spectra.spectrum(*only(restored("conv(width=3)")))
    assert value_TX.shape[1] == 2 * WIDTH and np.abs(value_TX).max() < 1e-2


def test_mixers_without_eigenvalues_or_gates_are_refused(monkeypatch):
    for pattern in ("dense", "rnn", "linear"):
        with pytest.raises(BadInput, match=f"{pattern} has no gates .* lstm, gru"):
            gates.gates(*only(restored(pattern)))
    with pytest.raises(BadInput, match="state of dense grows with the length"):
        spectra.spectrum(*only(restored("dense")))
    monkeypatch.setattr(spectra, "NUMBERS", 7)
    with pytest.raises(BadInput, match="state of rnn has 8 numbers; .* at most 7"):
        spectra.spectrum(*only(restored("rnn")))
