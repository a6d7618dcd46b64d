"""What the laws cannot know of linear mixers and fast weights: how they start, what
they refuse, and that each is the published one."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attn_research.modules import MIXERS
from attn_research.modules.contract import Preset, carry_bytes
from attn_research.options import BadInput, build
from attn_research.pure import functional
from attn_research.testing.laws.case import compiled

D, T = 16, 37


def mixer(name: str, causal: bool = True, **options):
    kind = MIXERS[name]
    return kind(
        build(kind.Options, options, name), width=D, causal=causal, length=T,
        rngs=nnx.Rngs(0),
    )  # fmt: skip


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def run(mixer, x_BTD) -> jax.Array:
    graph, state = nnx.split(mixer)
    call = compiled(lambda state, x_BTD: nnx.merge(graph, state)(x_BTD))
    return call(state, jnp.asarray(x_BTD, jnp.float32))


def kept(mixer, x_BTD=None) -> list[np.ndarray]:
    """The decays of a token, for each direction."""
    x_BTD = np.zeros((1, 1, D), np.float32) if x_BTD is None else x_BTD
    return [np.exp(np.float64(decay)) for decay in jax.jit(mixer.forgetting)(x_BTD)]


@pytest.mark.parametrize("decay", ["fixed", "scalar", "input"])
def test_linear_decays_start_as_in_retnet(decay):
    for direction in kept(mixer("linear", False, decay=decay)):
        np.testing.assert_allclose(direction[..., 0], 1 - 1 / 32, rtol=1e-5)
        np.testing.assert_allclose(direction[..., -1], 1 - 1 / 512, rtol=1e-5)


def test_both_directions_forget_for_themselves():
    past, future = kept(mixer("gla", False), normal(1, T, D))
    assert past.shape == future.shape == (1, T, 2, D // 2)
    assert (past != future).all() and (past < 1).all()


def test_fixed_decays_and_random_features_are_no_parameters():
    assert not jax.tree.leaves(nnx.state(mixer("retnet").forgetting))
    first, other = (mixer("performer", seed=seed) for seed in (0, 1))
    assert not jax.tree.leaves(nnx.state(first.map))
    assert (first.map.directions() != other.map.directions()).all()


def test_what_sets_the_dynamics_learns_at_a_rate_of_its_own():
    for name, path in (
        ("gated_delta", ("rates", "step", "log_rate")),
        ("kda", ("rates", "step", "bias")),
        ("rwkv4", ("log_rate",)),
        ("rwkv6", ("decay", "bias")),
        ("rwkv7", ("decay", "bias")),
        ("hgrn2", ("bound",)),
        ("mamba2", ("time_step", "bias")),
        ("mlstm", ("bias",)),
    ):
        model = functional(lambda *, rngs, n=name: mixer(n))
        trait = model.traits
        for key in path:
            trait = trait[key]
        assert trait.rate is not None and trait.rate < 1


def test_time_steps_start_within_their_range():
    wide = MIXERS["mamba2"](
        MIXERS["mamba2"].Options(heads=256), width=256, causal=True, length=T,
        rngs=nnx.Rngs(0),
    )  # fmt: skip
    found = jax.jit(wide.time_step)(np.zeros(256, np.float32))
    step_H, log_decay_H = map(np.asarray, found)
    assert 1e-3 < step_H.min() < 1.2e-3 and 0.08 < step_H.max() < 0.1
    rate_H = -log_decay_H / step_H
    assert 1 <= rate_H.min() < 1.5 and 15 < rate_H.max() <= 16


@pytest.mark.parametrize("name", ["gated_delta", "mlstm", "mamba2"])
def test_two_directions_are_summed(name):
    both = mixer(name, causal=False)
    x_BTD = normal(2, 7, D)
    backward_BTD = np.asarray(run(both.backward, x_BTD[:, ::-1]))[:, ::-1]
    both_BTD = run(both, x_BTD)
    both.backward = None
    np.testing.assert_allclose(both_BTD, run(both, x_BTD) + backward_BTD, atol=1e-6)


def test_one_sum_sees_both_sides():
    """A mixer that is not causal reads the same however the sequence is turned."""
    one = mixer("linear", causal=False, decay="fixed", feature="relu2")
    x_BTD = normal(2, 7, D)
    turned_BTD = np.asarray(run(one, x_BTD[:, ::-1]))[:, ::-1]
    np.testing.assert_allclose(run(one, x_BTD), turned_BTD, rtol=1e-4, atol=1e-5)


def test_the_state_of_a_preset_is_what_its_sizes_say():
    K = D // 4
    for name, floats in (
        ("linear", 4 * K * (K + 2)),  # sums of values and of ones, and their units
        ("performer", 4 * 2 * K * (K + 2)),
        ("based", 4 * 153 * (K + 1)),
        ("retnet", 2 * 8 * 8 + 1),
        ("gla", 2 * 8 * 8),
        ("hgrn2", 2 * 8 * 8),
        ("mamba2", 2 * D * 64 + 3 * (2 * D + 128)),
        ("delta", 2 * 8 * 8 + 3 * 3 * D),
        ("kda", 2 * 8 * 8 + 3 * 3 * D),
        ("gdn2", 2 * 8 * 8 + 3 * 3 * D),
        ("comba", 2 * 8 * 8 + 3 * 3 * D),
        ("deltaproduct", 2 * 8 * 8 + 3 * 5 * D),
        ("gated_deltaproduct", 2 * 8 * 8 + 3 * 5 * D),
        ("rwkv4", 3 * D + D),
        ("rwkv6", 2 * 8 * 8 + D),
        ("rwkv7", 2 * 8 * 8 + D),
        ("mlstm", 2 * 8 * 9 + 2 + 3 * D),
    ):
        carry = jax.eval_shape(partial(mixer(name).start, 1, T))
        assert carry_bytes(carry) == 4 * floats, name


def test_beta_of_the_delta_rule_reaches_two_only_when_asked():
    x_BTD = normal(4, T, D) * 10
    for negative, most in ((False, 1), (True, 2)):
        delta = mixer("delta", negative=negative)
        beta_BTH = jax.jit(lambda x, one=delta: one.strengths(x)[0])(x_BTD)
        assert 0.9 * most < beta_BTH.max() <= most


def test_mamba2_is_the_mamba2_of_transformers():
    torch = pytest.importorskip("torch", reason="the peer, PyTorch, is not installed")
    pytest.importorskip("transformers", reason="the peer is not installed")
    from transformers.models.mamba2.modeling_mamba2 import Mamba2Config, Mamba2Mixer

    H, N = 4, 6
    ours = mixer("mamba2", heads=H, state=N, chunk=8)
    config = Mamba2Config(
        hidden_size=D, num_heads=H, head_dim=2 * D // H, state_size=N, expand=2,
        n_groups=1, conv_kernel=4, chunk_size=8, layer_norm_epsilon=1e-6,
        num_hidden_layers=1,
    )  # fmt: skip
    peer = Mamba2Mixer(config, layer_idx=0)
    noise = np.random.default_rng(1)
    for param in jax.tree.leaves(nnx.state(ours, nnx.Param), is_leaf=_is_param):
        moved = param.get_value() + 0.1 * noise.standard_normal(param.shape)
        param.set_value(jnp.asarray(moved, jnp.float32))
    weights = {
        "in_proj.weight": ours.input.kernel.get_value().T,
        "conv1d.weight": jnp.flip(ours.conv.kernel.get_value(), 0).T[:, None],
        "conv1d.bias": ours.conv.bias.get_value(),
        "dt_bias": ours.time_step.bias.get_value(),
        "A_log": ours.time_step.log_rate.get_value(),
        "D": ours.skip.get_value(),
        "norm.weight": ours.scale.get_value(),
        "out_proj.weight": ours.out.kernel.get_value().T,
    }
    state = {name: torch.tensor(np.array(value)) for name, value in weights.items()}
    peer.load_state_dict(state, strict=True)
    x_BTD = normal(2, T, D)
    x = torch.tensor(x_BTD, requires_grad=True)
    want_BTD = peer(x)
    want_BTD.sum().backward()

    @jax.jit
    def pulled(x_BTD):
        y_BTD, back = jax.vjp(ours, x_BTD)
        return y_BTD, *back(jnp.ones_like(y_BTD))

    got_BTD, gradient_BTD = pulled(x_BTD)
    np.testing.assert_allclose(got_BTD, want_BTD.detach().numpy(), atol=2e-5)
    np.testing.assert_allclose(gradient_BTD, x.grad.numpy(), rtol=1e-4, atol=1e-4)


def _is_param(leaf) -> bool:
    return isinstance(leaf, nnx.Param)


def test_mlstm_is_the_cell_of_the_paper():
    """Equations 19 to 27, token by token in float64 and without a stabiliser."""
    ours = mixer("mlstm", conv=0)
    x_TD = np.float64(normal(T, D))

    def weight(projection):
        return np.float64(projection.kernel.get_value())

    H, K = 2, D // 2
    q, k = np.split((x_TD @ weight(ours.qk)).reshape(T, 2 * H, K), 2, axis=1)
    v = (x_TD @ weight(ours.value)).reshape(T, H, K)
    gates = x_TD @ weight(ours.gates) + np.float64(ours.bias.get_value())
    i, f = np.exp(gates[:, :H]), 1 / (1 + np.exp(-gates[:, H:]))
    h = np.zeros((T, H, K))
    for head in range(H):
        C, n = np.zeros((K, K)), np.zeros(K)
        for t in range(T):
            C = f[t, head] * C + i[t, head] * np.outer(v[t, head], k[t, head])
            n = f[t, head] * n + i[t, head] * k[t, head]
            query = q[t, head] / np.sqrt(K)
            h[t, head] = C @ query / max(abs(n @ query), 1)
    h /= np.sqrt((h**2).mean(-1, keepdims=True) + 1e-3)
    o = 1 / (1 + np.exp(-x_TD @ weight(ours.norm.gate)))
    want_TD = (o * h.reshape(T, D)) @ weight(ours.out)
    got_TD = np.asarray(run(ours, x_TD[None]))[0]
    np.testing.assert_allclose(got_TD, want_TD, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("linear", {"heads": 3}, "width 16 and 3 heads"),
        ("delta", {"heads": 3}, "width 16 and 3 heads"),
        ("delta", {"channels": True}, "decay must be true, or channels false"),
        ("rwkv6", {"heads": 3}, "width 16 and 3 heads"),
        ("rwkv7", {"heads": 3}, "width 16 and 3 heads"),
        ("hgrn2", {"heads": 3}, "width 16 and 3 heads"),
        ("hgrn2", {"bound": 1.0}, "bound"),
        ("mlstm", {"heads": 3}, "width 16 and 3 heads"),
        ("mamba2", {"heads": 3}, "inner width 32 and 3 heads"),
        ("linear", {"feature": "identity"}, "so normalize must be false"),
        ("linear", {"gate": "silu"}, "gate=silu and normalize=true"),
        ("linear", {"features": 3}, "features must be 0, or feature must be random"),
        ("linear", {"positions": "rope"}, "must be identity and the size even"),
        ("retnet", {"key_size": 3}, "keys of size 3"),
    ],
)
def test_impossible_options_are_refused(name, options, message):
    with pytest.raises(BadInput, match=message):
        mixer(name, **options)


def test_a_mixer_that_sees_the_future_does_not_decode():
    for name in ("gla", "hgrn2", "delta", "rwkv6", "rwkv7", "mlstm", "mamba2"):
        with pytest.raises(BadInput, match="built with causal=False"):
            mixer(name, False).start(1, T)


def test_presets_share_the_module_they_set():
    assert isinstance(MIXERS["gated_delta"], Preset)
    assert MIXERS["gated_delta"].module is MIXERS["delta"].module
