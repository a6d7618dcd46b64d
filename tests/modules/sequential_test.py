"""What the laws cannot know of linear, recurrent, diagonal and convolutional mixers:
how they start, what they refuse, and how two directions are combined."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attn_research.modules.conv import Conv, Dilated
from attn_research.modules.diagonal import Diagonal
from attn_research.modules.linear import Linear
from attn_research.modules.recurrent import GRU, LSTM
from attn_research.options import BadInput, build

D, T = 8, 7


def mixer(cls, causal: bool = True, **options):
    return cls(
        build(cls.Options, options, cls.__name__), width=D, causal=causal, length=T,
        rngs=nnx.Rngs(0),
    )  # fmt: skip


@pytest.mark.parametrize("cls, gates", [(LSTM, 4), (GRU, 3)])
def test_recurrent_kernels_start_orthogonal(cls, gates):
    kernel_NZ = mixer(cls, state=6).kernel.get_value()
    assert kernel_NZ.shape == (6, 6 * gates)
    for square_NN in jnp.split(kernel_NZ, gates, axis=1):
        np.testing.assert_allclose(square_NN @ square_NN.T, np.eye(6), atol=1e-6)


def test_the_forget_gate_of_an_lstm_starts_open():
    bias_GN = mixer(LSTM).input.bias.get_value().reshape(4, D)
    np.testing.assert_array_equal(bias_GN, np.eye(4)[1][:, None].repeat(D, 1))


def test_diagonal_decays_start_slow():
    rate_N = jax.nn.softplus(mixer(Diagonal, state=500).rate.get_value())
    fastest_N = np.exp(-8 * rate_N)
    assert 0.9 <= fastest_N.min() < 0.91 and 0.99 < fastest_N.max() <= 0.999


def test_linear_decays_start_as_in_retnet():
    kept_NH = jax.nn.sigmoid(
        mixer(Linear, False, decay="scalar").decay_odds.get_value()
    )
    assert kept_NH.shape == (2, 4)
    np.testing.assert_allclose(kept_NH[:, 0], 1 - 1 / 32, rtol=1e-5)
    np.testing.assert_allclose(kept_NH[:, -1], 1 - 1 / 512, rtol=1e-5)


@pytest.mark.parametrize("cls", [LSTM, GRU, Diagonal])
def test_two_directions_are_summed(cls):
    both = mixer(cls, causal=False)
    x_BTD = jax.random.normal(jax.random.key(0), (2, T, D))
    backward_BTD = both.backward(x_BTD[:, ::-1])[:, ::-1]
    both_BTD = both(x_BTD)
    both.backward = None
    np.testing.assert_allclose(both_BTD, both(x_BTD) + backward_BTD, atol=1e-6)


def test_both_directions_are_the_bidirectional_lstm_of_pytorch():
    torch = pytest.importorskip("torch", reason="the peer, PyTorch, is not installed")
    ours = mixer(LSTM, causal=False)
    peer = torch.nn.LSTM(D, D, batch_first=True, bidirectional=True)
    out = torch.nn.Linear(2 * D, D, bias=False)
    with torch.no_grad():
        halves = []
        for one, suffix in ((ours, ""), (ours.backward, "_reverse")):
            for name, value in (
                ("weight_ih_l0", one.input.kernel.get_value().T),
                ("bias_ih_l0", one.input.bias.get_value()),
                ("weight_hh_l0", one.kernel.get_value().T),
                ("bias_hh_l0", jnp.zeros(4 * D)),
            ):
                getattr(peer, name + suffix).copy_(torch.tensor(np.array(value)))
            halves.append(np.asarray(one.out.kernel.get_value()).T)
        out.weight.copy_(torch.tensor(np.concatenate(halves, axis=1)))
        x_BTD = np.random.default_rng(0).standard_normal((2, T, D), np.float32)
        want_BTD = out(peer(torch.tensor(x_BTD))[0]).numpy()
    np.testing.assert_allclose(ours(jnp.asarray(x_BTD)), want_BTD, atol=1e-6)


def test_the_reach_of_convolutions_is_that_of_their_taps():
    assert mixer(Conv, width=3).reach(100) == 2
    assert mixer(Dilated, kernel=3, dilations=(1, 4)).reach(100) == 10
    assert mixer(Dilated, kernel=3, dilations=(1, 4)).reach(5) == 5


def test_impossible_options_are_refused():
    with pytest.raises(BadInput, match="width 8 and 3 heads"):
        mixer(Linear, heads=3)
    with pytest.raises(BadInput, match="normalize=false is allowed"):
        mixer(Linear, feature="identity")
    with pytest.raises(BadInput, match="Dilated.dilations is 0; it must be at least 1"):
        mixer(Dilated, dilations=(1, 0))
    with pytest.raises(BadInput, match="gru was built with causal=False"):
        mixer(GRU, False).start(1, T)
