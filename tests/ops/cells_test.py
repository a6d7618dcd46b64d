"""Cells against PyTorch and written-out formulas; their scan against a plain loop."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from attn_research.ops import cells
from attn_research.ops.cells import scan_cell

B, T, N, H = 2, 11, 4, 2
SEGMENTS = np.stack(
    [np.repeat([0, 1, 0, 2, 3], [1, 2, 1, 4, 3]), np.ones(11, int)]
).astype(np.int32)
# Gates, and what each leaf of the state holds before the first token.
SIZES = {
    "rnn": (1, (0,)),
    "lstm": (4, (0, 0)),
    "gru": (3, (0,)),
    "slstm": (4, (0, 0, 0, -np.inf)),
}


def problem(kind: str, heads: int = 1, dtype=np.float32):
    """A cell with z_BTZ, its first state, kernel and bias."""
    draw = np.random.default_rng(1).standard_normal
    gates, starts = SIZES[kind]
    z_BTZ = draw((B, T, gates * N)).astype(dtype)
    shape = (N, gates * N) if heads == 1 else (heads, N // heads, gates * N // heads)
    kernel, bias_Z = draw(shape).astype(dtype), draw(gates * N).astype(dtype)
    state = tuple(np.full((B, N), value, dtype) for value in starts)
    return getattr(cells, f"{kind}_cell"), z_BTZ, state, kernel, bias_Z


@functools.partial(jax.jit, static_argnames=("cell", "form"))
def pull(cell, z_BTZ, state, kernel, bias_Z, segments_BT, form=None):
    h_BTN, back = jax.vjp(
        lambda *inputs: scan_cell(
            cell, *inputs, segments_BT=segments_BT, implementation=form
        ),
        z_BTZ, state, kernel, bias_Z,
    )  # fmt: skip
    return h_BTN, *back(jnp.cos(h_BTN))


@pytest.mark.parametrize("kind", SIZES)
def test_the_scan_and_its_gradient_are_those_of_the_loop(kind):
    cell, *inputs = problem(kind, H, np.float64)
    if kind != "slstm":
        # A state of its own, so that its gradient is not one of zeros.
        draw = np.random.default_rng(2).standard_normal
        inputs[1] = tuple(draw((B, N)) for _ in inputs[1])
    with jax.enable_x64(True):
        got, want = (pull(cell, *inputs, SEGMENTS, form) for form in (None, "naive"))
        got, want = (jax.tree.map(np.asarray, tree) for tree in (got, want))
    for one, two in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-12)
    assert not got[0][SEGMENTS == 0].any()


@pytest.mark.parametrize("kind", SIZES)
def test_every_segment_starts_anew(kind):
    cell, z_BTZ, *rest = problem(kind, H)
    h_BTN = pull(cell, z_BTZ, *rest, SEGMENTS)[0]
    alone_BTN = pull(cell, z_BTZ[:, 4:8], *rest, None)[0]
    np.testing.assert_allclose(h_BTN[0, 4:8], alone_BTN[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", SIZES)
def test_saturated_gates_stay_finite(kind):
    cell, z_BTZ, *rest = problem(kind)
    for size in (1e4, 1e30, 0.0, 1e-40):
        h_BTN, dz_BTZ, _, *weights = pull(cell, z_BTZ * np.float32(size), *rest, None)
        for leaf in (h_BTN, dz_BTZ, *weights):
            assert np.isfinite(leaf).all()


@pytest.mark.parametrize("kind", [pytest.param("gru", marks=pytest.mark.slow), "slstm"])
def test_gradients_of_both_orders_by_finite_differences(kind):
    with jax.enable_x64(True):
        cell, z_BTZ, state, *weights = problem(kind, H, np.float64)

        def run(z_BTZ, *weights):
            return scan_cell(cell, z_BTZ, state, *weights, segments_BT=SEGMENTS[:, :4])

        check_grads(jax.jit(run), (z_BTZ[:, :4], *weights), 2, ["rev"], 1e-6, 1e-6)


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_the_cells_are_those_of_pytorch(kind):
    torch = pytest.importorskip("torch", reason="the peer, PyTorch, is not installed")
    D, gates = 5, SIZES[kind][0]
    draw = np.random.default_rng(2).standard_normal
    x_BTD, ct_BTN = draw((B, T, D)), draw((B, T, N))
    peer = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[kind](
        D, N, batch_first=True, dtype=torch.float64
    )
    w_ih, w_hh, b_ih, b_hh = (p.detach().numpy().T for p in peer.parameters())
    cell = problem(kind)[0]

    def ours(x_BTD, w_ih, w_hh, b_ih, b_hh):
        return scan_cell(cell, x_BTD @ w_ih + b_ih[None, None], start, w_hh, b_hh)

    with jax.enable_x64(True):
        start = tuple(jnp.zeros((B, N), jnp.float64) for _ in SIZES[kind][1])
        h_BTN, back = jax.vjp(jax.jit(ours), x_BTD, w_ih, w_hh, b_ih, b_hh)
        gradients = [np.asarray(g) for g in back(jnp.asarray(ct_BTN))]
    x = torch.tensor(x_BTD, requires_grad=True)
    peer_BTN, _ = peer(x)
    peer_BTN.backward(torch.tensor(ct_BTN))
    np.testing.assert_allclose(h_BTN, peer_BTN.detach().numpy(), atol=1e-12)
    want = [x.grad.numpy(), *(p.grad.numpy().T for p in peer.parameters())]
    assert gradients[2].shape == (N, gates * N)
    for got, true in zip(gradients, want, strict=True):
        np.testing.assert_allclose(got, true, atol=1e-11)


def test_slstm_is_its_formula_without_the_stabiliser():
    cell, z_BTZ, state, kernel_HKZ, bias_Z = problem("slstm", H, np.float64)
    K = N // H
    want_BTN = np.zeros((B, T, N))
    for b, head in np.ndindex(B, H):
        h, c, n = np.zeros(K), np.zeros(K), np.zeros(K)
        part = slice(head * 4 * K, (head + 1) * 4 * K)
        for t in range(T):
            pre = z_BTZ[b, t, part] + h @ kernel_HKZ[head] + bias_Z[part]
            i, f, g, o = np.split(pre, 4)
            f, o = 1 / (1 + np.exp(-f)), 1 / (1 + np.exp(-o))
            c = f * c + np.exp(i) * np.tanh(g)
            n = f * n + np.exp(i)
            h = o * c / n
            want_BTN[b, t, head * K : (head + 1) * K] = h
    for dtype, reach in ((np.float64, 1e-13), (np.float32, 2e-6)):
        with jax.enable_x64(True):
            inputs = jax.tree.map(dtype, (z_BTZ, state, kernel_HKZ, bias_Z))
            got_BTN = np.asarray(pull(cell, *inputs, None)[0])
        off = np.linalg.norm(got_BTN - want_BTN) / np.linalg.norm(want_BTN)
        assert got_BTN.dtype == dtype and off < reach


def test_unknown_forms_are_refused():
    cell, z_BTZ, state, kernel, _ = problem("lstm")
    with pytest.raises(ValueError, match="'fast'; it must be one of naive"):
        scan_cell(cell, z_BTZ, state, kernel, implementation="fast")
