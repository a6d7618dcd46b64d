"""State-space mixers against the peers' and NumPy's, with the weights carried over."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attn_research.modules import MIXERS, diagonal
from attn_research.modules.modal import hippo_modes
from attn_research.options import BadInput, build

D, T = 8, 13


def mixer(name: str, causal: bool = True, **options):
    cls = MIXERS[name]
    return cls(
        build(cls.Options, options, name), width=D, causal=causal, length=T,
        rngs=nnx.Rngs(0),
    )  # fmt: skip


def drawn(batch: int = 2):
    return np.random.default_rng(0).standard_normal((batch, T, D), np.float32)


def value(parameter) -> np.ndarray:
    return np.asarray(parameter.get_value(), np.float64)


def readout(module, y_BTD, x_BTD):
    whole_BTD = np.float32(y_BTD + value(module.skip) * x_BTD)
    z_BTD = np.asarray(jax.jit(jax.nn.gelu)(whole_BTD), np.float64)
    a, b = np.split(z_BTD @ value(module.project.kernel), 2, axis=-1)
    return a / (1 + np.exp(-b))


def same(torch, ours, x_BTD, peer):
    """Outputs agree with those of a PyTorch function, and gradients of the input do."""
    x = torch.tensor(x_BTD, requires_grad=True)
    want_BTD = peer(x)
    cotangent_BTD = np.random.default_rng(1).standard_normal(x_BTD.shape, np.float32)
    want_BTD.backward(torch.tensor(cotangent_BTD))

    @jax.jit
    def pulled(x_BTD):
        got_BTD, back = jax.vjp(ours, x_BTD)
        return got_BTD, *back(cotangent_BTD)

    got_BTD, gradient_BTD = pulled(x_BTD)
    for got, want in ((got_BTD, want_BTD.detach()), (gradient_BTD, x.grad)):
        np.testing.assert_allclose(got, want.numpy(), rtol=1e-4, atol=1e-5)


def test_mamba_is_that_of_transformers():
    torch = pytest.importorskip("torch", reason="the peer, PyTorch, is not installed")
    peers = pytest.importorskip("transformers.models.mamba.modeling_mamba")
    config = peers.MambaConfig(
        hidden_size=D, state_size=4, expand=2, conv_kernel=3, time_step_rank=2,
        use_bias=False, use_conv_bias=True,
    )  # fmt: skip
    peer = peers.MambaMixer(config, layer_idx=0)
    ours = mixer("mamba", state=4, conv=3, rank=2)
    with torch.no_grad():
        for parameter in peer.parameters():
            parameter.copy_(0.5 * torch.randn_like(parameter))
        peer.A_log.copy_(torch.randn_like(peer.A_log))
        weights = {
            "input.kernel": peer.in_proj.weight.T,
            "conv.kernel": peer.conv1d.weight[:, 0].flip(-1).T,
            "conv.bias": peer.conv1d.bias,
            "select.kernel": peer.x_proj.weight.T,
            "step_kernel": peer.dt_proj.weight.T,
            "step_bias": peer.dt_proj.bias,
            "log_rate": peer.A_log,
            "skip": peer.D,
            "out.kernel": peer.out_proj.weight.T,
        }
    for path, weight in weights.items():
        *groups, name = path.split(".")
        holder = ours
        for group in groups:
            holder = getattr(holder, group)
        assert getattr(holder, name).get_value().shape == weight.shape
        setattr(holder, name, nnx.Param(jnp.asarray(weight.detach().numpy())))
    same(torch, ours, drawn(), peer)


@pytest.mark.parametrize("whole", [True, False])
def test_rglru_is_that_of_recurrentgemma(whole):
    torch = pytest.importorskip("torch", reason="the peer, PyTorch, is not installed")
    peers = pytest.importorskip(
        "transformers.models.recurrent_gemma.modeling_recurrent_gemma"
    )
    config = peers.RecurrentGemmaConfig(
        hidden_size=D, lru_width=D, num_attention_heads=1, num_key_value_heads=1,
        conv1d_width=4, hidden_activation="gelu_pytorch_tanh",
    )  # fmt: skip
    peer = peers.RecurrentGemmaRecurrentBlock(config, layer_idx=0)
    ours = mixer("rglru", whole=whole)
    with torch.no_grad():
        for parameter in peer.parameters():
            parameter.copy_(0.5 * torch.randn_like(parameter))
        both = torch.cat([peer.linear_x.weight, peer.linear_y.weight]).T
        lru = peer.rg_lru
        gates = lru.recurrent_gate_weight[0], lru.input_gate_weight[0]
        gate_biases = lru.recurrent_gate_bias[0], lru.input_gate_bias[0]
        weights = [
            (ours.input, "kernel", both),
            (ours.input, "bias", torch.cat([peer.linear_x.bias, peer.linear_y.bias])),
            (ours.conv, "kernel", peer.conv_1d.weight[:, 0].flip(-1).T),
            (ours.conv, "bias", peer.conv_1d.bias),
            (ours.gates, "kernel", torch.cat(gates, dim=1)),
            (ours.gates, "bias", torch.cat(gate_biases)),
            (ours, "rate", lru.recurrent_param),
            (ours.out, "kernel", peer.linear_out.weight.T),
        ]
    for holder, name, weight in weights:
        assert getattr(holder, name).get_value().shape == weight.shape
        setattr(holder, name, nnx.Param(jnp.asarray(weight.detach().numpy())))
    # At position 0 the peer leaves out the factor sqrt(1 - a^2) of the paper.
    position_BT = (not whole) + torch.arange(T)[None].repeat(2, 1)

    def block(x):
        y_BTD, _ = peer(x, position_BT, torch.ones(2, T), use_cache=False)
        return y_BTD - peer.linear_out.bias

    same(torch, ours, drawn(), block)


@pytest.mark.parametrize("whole", [True, False])
def test_rglru_is_its_formula_from_the_first_token_of_each_segment(whole):
    ours = mixer("diagonal", whole=whole, gate=False, state=5)
    segments_T, h_N, want = [7, 7, 7, 0, 9, 2, 2], np.zeros(5), []
    x_TD = np.random.default_rng(3).standard_normal((7, D)).astype(np.float32)
    kernel, bias = (
        np.float64(p.get_value()) for p in (ours.input.kernel, ours.input.bias)
    )
    for t, segment in enumerate(segments_T):
        u, r, i = np.split(x_TD[t] @ kernel + bias, 3)
        rate = np.log1p(np.exp(np.float64(ours.rate.get_value())))
        a = np.exp(-8 * rate / (1 + np.exp(-r)))
        first = t == 0 or segments_T[t - 1] != segment
        scale = 1 if first and whole else np.sqrt(1 - a**2)
        h_N = (0 if first else a) * h_N + scale * u / (1 + np.exp(-i))
        want.append(h_N @ np.float64(ours.out.kernel.get_value()) * (segment != 0))
    got = jax.jit(ours)(x_TD[None], np.array([segments_T], np.int32))[0]
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_a_closed_gate_of_rglru_writes_what_its_formula_says():
    """1 - a^2 far below a millionth: the root is exact and its slope is bounded."""
    one = jnp.ones(())

    def written(forget):
        return diagonal.rglru(one, forget, 1e3 * one, one)[1]

    for forget in (-10.0, -20.0, -30.0):
        value, slope = jax.jit(jax.value_and_grad(written))(jnp.float32(forget))
        want = np.sqrt(-np.expm1(-16 / (1 + np.exp(-forget))))
        np.testing.assert_allclose(value, want, rtol=1e-5)
        assert 0 < slope <= 1.01 * want / 2
    assert jax.jit(jax.grad(written))(jnp.float32(-1e4)) == 0


def test_only_rglru_writes_a_token_whole():
    with pytest.raises(BadInput, match="kind=mingru and whole=true"):
        mixer("mingru", whole=True)


@pytest.mark.parametrize("name", ["lru", "s5"])
def test_modal_recurrences_are_their_formula(name):
    ours = mixer(name, state=3)
    x_BTD = drawn()
    if name == "lru":
        decay = ours.decay
        a_N = np.exp(-np.exp(value(decay.nu)) + 1j * np.exp(value(decay.theta)))
        scale_N = np.exp(value(decay.gamma))
        np.testing.assert_allclose(scale_N, np.sqrt(1 - abs(a_N) ** 2), rtol=1e-5)
    else:
        decay = ours.decay
        pole_N = -np.exp(value(decay.log_rate)) + 1j * value(decay.frequency)
        a_N = np.exp(np.exp(value(decay.log_step)) * pole_N)
        scale_N = (a_N - 1) / pole_N
    real, imaginary = np.split(value(ours.write.kernel), 2, axis=1)
    write_DN = real + 1j * imaginary
    real, imaginary = np.split(value(ours.read.kernel), 2, axis=0)
    read_ND = real - 1j * imaginary
    h_BN, y_BTD = np.zeros((2, 3), complex), np.zeros(x_BTD.shape)
    for t in range(T):
        h_BN = a_N * h_BN + scale_N * (x_BTD[:, t] @ write_DN)
        y_BTD[:, t] = (h_BN @ read_ND).real
    want_BTD = readout(ours.out, y_BTD, x_BTD)
    np.testing.assert_allclose(jax.jit(ours)(x_BTD), want_BTD, atol=2e-6)


def test_s4d_is_its_formula():
    ours = mixer("s4d", state=3)
    x_BTD = drawn()
    pole_DN = -np.exp(value(ours.log_rate)) + 1j * value(ours.frequency)
    a_DN = np.exp(np.exp(value(ours.log_step))[:, None] * pole_DN)
    real, imaginary = value(ours.read)
    read_DN = (real + 1j * imaginary) * (a_DN - 1) / pole_DN
    h_BDN, y_BTD = np.zeros((2, D, 3), complex), np.zeros(x_BTD.shape)
    for t in range(T):
        h_BDN = a_DN * h_BDN + x_BTD[:, t, :, None]
        y_BTD[:, t] = 2 * (read_DN * h_BDN).real.sum(-1)
    want_BTD = readout(ours.out, y_BTD, x_BTD)
    np.testing.assert_allclose(jax.jit(ours)(x_BTD), want_BTD, atol=2e-6)


def test_hippo_modes_are_those_of_the_matrix():
    N = 3
    frequency_N, basis_SN = hippo_modes(N)
    root_S = np.sqrt(2 * np.arange(2 * N) + 1)
    # HiPPO-LegS plus the term of rank one that makes it normal.
    legs_SS = -np.tril(np.outer(root_S, root_S), -1) - np.diag(np.arange(2 * N) + 1.0)
    normal_SS = legs_SS + np.outer(root_S, root_S) / 2
    pole_N = -0.5 + 1j * frequency_N
    np.testing.assert_allclose(normal_SS @ basis_SN, basis_SN * pole_N, atol=1e-12)
    assert (frequency_N > 0).all()


def test_dynamics_start_where_their_sources_put_them():
    ring = mixer("lru", state=400).decay
    size_N = np.exp(-np.exp(value(ring.nu)))
    assert 0.9 <= size_N.min() < 0.91 and 0.99 < size_N.max() < 0.9991
    step_D = np.exp(value(mixer("s4d").log_step))
    assert 1e-3 <= step_D.min() and step_D.max() <= 1e-1
    frequency_DN = value(mixer("s4d", state=4, init="inverse").frequency)
    np.testing.assert_allclose(frequency_DN[0, 0], 8 / np.pi * 7, rtol=1e-6)
    mamba = mixer("mamba", state=3)
    np.testing.assert_allclose(np.exp(value(mamba.log_rate))[5], [1, 2, 3], rtol=1e-6)
    step_E = np.log1p(np.exp(value(mamba.step_bias)))
    assert 0.99e-3 <= step_E.min() and step_E.max() <= 1.01e-1


def test_impossible_options_are_refused():
    with pytest.raises(BadInput, match="outer must be larger than inner"):
        mixer("lru", inner=0.9, outer=0.5)
    with pytest.raises(BadInput, match="mamba cannot decode token by token"):
        mixer("mamba", False).start(1, T)
