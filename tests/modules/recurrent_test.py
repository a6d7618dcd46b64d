"""What the laws cannot know of recurrent mixers: how they start, what they refuse, and
how two directions are combined."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attn_research.modules import MIXERS
from attn_research.options import BadInput, build

D, T = 8, 7


def mixer(name: str, causal: bool = True, **options):
    cls = MIXERS[name]
    return cls(
        build(cls.Options, options, name), width=D, causal=causal, length=T,
        rngs=nnx.Rngs(0),
    )  # fmt: skip


@pytest.mark.parametrize("name, gates", [("rnn", 1), ("lstm", 4), ("gru", 3)])
def test_recurrent_kernels_start_orthogonal(name, gates):
    kernel_NZ = mixer(name, state=6).kernel.get_value()
    assert kernel_NZ.shape == (6, 6 * gates)
    for square_NN in np.split(np.asarray(kernel_NZ), gates, axis=1):
        np.testing.assert_allclose(square_NN @ square_NN.T, np.eye(6), atol=1e-6)


def test_heads_have_kernels_of_their_own():
    kernel_HKZ = mixer("slstm", heads=2).kernel.get_value()
    assert kernel_HKZ.shape == (2, 4, 16)
    for square_KK in np.split(np.asarray(kernel_HKZ)[1], 4, axis=1):
        np.testing.assert_allclose(square_KK @ square_KK.T, np.eye(4), atol=1e-6)


def test_forget_gates_start_open():
    bias_GN = np.reshape(mixer("lstm").input.bias.get_value(), (4, D))
    np.testing.assert_array_equal(bias_GN, np.eye(4)[1][:, None].repeat(D, 1))
    bias_HGK = np.reshape(mixer("slstm", heads=2).input.bias.get_value(), (2, 4, 4))
    np.testing.assert_allclose(bias_HGK[:, 1], np.tile([3, 4, 5, 6], (2, 1)))
    assert not bias_HGK[:, (0, 2, 3)].any()


def test_diagonal_decays_start_slow():
    rate_N = np.log1p(np.exp(mixer("diagonal", state=500).rate.get_value()))
    fastest_N = np.exp(-8 * rate_N)
    assert 0.9 <= fastest_N.min() < 0.91 and 0.99 < fastest_N.max() <= 0.999


@pytest.mark.parametrize(
    "name", [pytest.param("lstm", marks=pytest.mark.slow), "gru", "diagonal"]
)
def test_two_directions_are_summed(name):
    both = mixer(name, causal=False)
    x_BTD = np.random.default_rng(0).standard_normal((2, T, D), np.float32)
    behind = jax.jit(both.backward)
    backward_BTD = np.asarray(behind(x_BTD[:, ::-1]))[:, ::-1]
    both_BTD = jax.jit(lambda x_BTD: both(x_BTD))(x_BTD)
    both.backward = None
    forward_BTD = jax.jit(lambda x_BTD: both(x_BTD))(x_BTD)
    np.testing.assert_allclose(both_BTD, forward_BTD + backward_BTD, atol=1e-6)


def test_both_directions_are_the_bidirectional_lstm_of_pytorch():
    torch = pytest.importorskip("torch", reason="the peer, PyTorch, is not installed")
    ours = mixer("lstm", causal=False)
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
    np.testing.assert_allclose(jax.jit(ours)(x_BTD), want_BTD, atol=1e-6)


def test_impossible_options_are_refused():
    with pytest.raises(BadInput, match="gru cannot decode token by token"):
        mixer("gru", False).start(1, T)
    with pytest.raises(BadInput, match="slstm has the state 8 and 3 heads"):
        mixer("slstm", heads=3)
