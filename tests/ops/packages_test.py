"""Mixers against small packages of PyTorch that implement one paper each."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attn_research.modules import MIXERS
from attn_research.modules.diagonal import minlstm
from attn_research.ops import cells
from attn_research.ops.features import random_positive
from attn_research.ops.linear import linear_attention
from attn_research.ops.linformer import linformer_attention
from attn_research.ops.recurrence import diagonal_recurrence
from attn_research.pure import functional

B, T, H, K = 2, 24, 2, 4
D = H * K


def peer(package: str):
    """The package; the test is skipped without it."""
    pytest.importorskip("torch", reason="PyTorch, the peers' ground, is not installed")
    return pytest.importorskip(package, reason=f"{package}, the peer, is not installed")


def drawn(*shapes):
    noise = np.random.default_rng(0)
    return [noise.standard_normal(shape, np.float32) for shape in shapes]


def same(ours, arrays, peer_out, leaves, atol=2e-5):
    """Outputs, and the gradients of their product with a cotangent, agree."""
    out, back = jax.vjp(jax.jit(ours), *map(jnp.asarray, arrays))
    np.testing.assert_allclose(out, peer_out.detach().numpy(), rtol=1e-4, atol=atol)
    (cotangent,) = drawn(out.shape)
    peer_out.backward(peer_out.new_tensor(cotangent))
    for got, leaf in zip(back(jnp.asarray(cotangent)), leaves, strict=True):
        want = leaf.grad.numpy()
        bound = atol * max(1, abs(want).max())
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=bound)


def test_linformer():
    peers = peer("linformer")
    import torch

    layer = peers.LinformerSelfAttention(D, T, k=6, heads=H)
    parts = [layer.to_q, layer.to_k, layer.to_v, layer.to_out]
    x = torch.tensor(drawn((B, T, D))[0], requires_grad=True)
    leaves = [x, *(p.weight for p in parts), layer.proj_k, layer.proj_v]

    def ours(x_BTD, q_DD, k_DD, v_DD, out_DD, key_NM, value_NM):
        heads = [(x_BTD @ w.T).reshape(B, T, H, K) for w in (q_DD, k_DD, v_DD)]
        out_BTHK = linformer_attention(*heads, key_NM, value_NM)
        bias_D = layer.to_out.bias.detach().numpy()
        return out_BTHK.reshape(B, T, D) @ out_DD.T + bias_D[None, None]

    arrays = [leaf.detach().numpy() for leaf in leaves]
    same(ours, arrays, layer(x), leaves)


@pytest.mark.parametrize("causal", [False, True])
def test_performer(causal):
    """Without what it adds to its features so that none is zero."""
    peers = peer("performer_pytorch.performer_pytorch")
    import torch

    q, k, v, directions = drawn(*[(B, T, H, K)] * 3, (16, K))
    leaves = [torch.tensor(a, requires_grad=True) for a in (q, k, v)]
    kernel = functools.partial(
        peers.softmax_kernel, projection_matrix=torch.tensor(directions), eps=0
    )
    q_BHTM, k_BHTM, v_BHTK = (x.transpose(1, 2) for x in leaves)
    q_BHTM, k_BHTM = kernel(q_BHTM, is_query=True), kernel(k_BHTM, is_query=False)
    if causal:
        # Its causal form without a kernel for CUDA: running sums.
        form = functools.partial(peers.causal_linear_attention_noncuda, eps=0)
    else:
        form = peers.linear_attention
    peer_out = form(q_BHTM, k_BHTM, v_BHTK).transpose(1, 2)

    def ours(q, k, v):
        q = random_positive(q, directions, query=True)
        k = random_positive(k, directions, query=False)
        return linear_attention(q, k, v, causal=causal, normalize=True, chunk=8)

    same(ours, (q, k, v), peer_out, leaves, atol=5e-5)


def test_mingru():
    peers = peer("minGRU_pytorch")
    import torch

    layer = peers.minGRU(D)
    model = functional(
        lambda rngs: MIXERS["mingru"](
            MIXERS["mingru"].Options(gate=False),
            width=D,
            causal=True,
            length=T,
            rngs=rngs,
        )  # fmt: skip
    )
    params = model.init(jax.random.key(0))
    weight = layer.to_hidden_and_gate.weight.detach().numpy()
    params["out"]["kernel"] = jnp.eye(D)
    x = torch.tensor(drawn((B, T, D))[0], requires_grad=True)

    def ours(x_BTD, weight_2DD):
        moved = {"kernel": weight_2DD.T, "bias": jnp.zeros(2 * D)}
        return model.apply({**params, "input": moved}, x_BTD)

    leaves = [x, layer.to_hidden_and_gate.weight]
    same(ours, (x.detach().numpy(), weight), layer(x), leaves)


def test_minlstm():
    """The whole state, from its start: the package holds it in logarithms."""
    peers = peer("minGRU_pytorch.minLSTM")
    import torch

    layer = peers.minLSTM(D)
    x = torch.tensor(drawn((B, T, D))[0], requires_grad=True)
    weight = layer.to_hidden_and_f_i_gate.weight

    def ours(x_BTD, weight_3DD):
        parts = jnp.split(x_BTD @ weight_3DD.T, 3, axis=-1)
        return diagonal_recurrence(*minlstm(*parts))

    arrays = x.detach().numpy(), weight.detach().numpy()
    same(ours, arrays, layer(x), [x, weight])


class Bare(nnx.Module):
    """In place of what follows the sum that a mixer reads: nothing."""

    def __call__(self, read_BTD, x_BTD):
        return read_BTD


def test_lru():
    peers = peer("LRU_pytorch")
    import torch

    N = 6
    layer = peers.LRU(D, D, N, rmin=0.5, rmax=0.99)
    with torch.no_grad():
        layer.D.zero_()
    x = torch.tensor(drawn((B, T, D))[0], requires_grad=True)
    lru = MIXERS["lru"]

    def build(rngs):
        mixer = lru(lru.Options(state=N), width=D, causal=True, length=T, rngs=rngs)
        mixer.out = Bare()
        return mixer

    model = functional(build)
    shape = jax.eval_shape(model.init, jax.random.key(0))
    written, read = layer.B.detach().numpy(), layer.C.detach().numpy()
    params = {
        "decay": {
            "nu": layer.nu_log,
            "theta": layer.theta_log,
            "gamma": layer.gamma_log,
        },
        "write": {"kernel": np.concatenate([written.real.T, written.imag.T], axis=1)},
        "read": {"kernel": np.concatenate([read.real.T, -read.imag.T], axis=0)},
    }
    params = jax.tree.map(
        lambda leaf: jnp.asarray(np.asarray(getattr(leaf, "detach", lambda: leaf)())),
        params,
    )
    assert jax.tree.structure(params) == jax.tree.structure(shape)

    def ours(x_BTD, nu_N, theta_N, gamma_N):
        decay = {"nu": nu_N, "theta": theta_N, "gamma": gamma_N}
        return model.apply({**params, "decay": decay}, x_BTD)

    leaves = [x, layer.nu_log, layer.theta_log, layer.gamma_log]
    arrays = [leaf.detach().numpy() for leaf in leaves]
    same(ours, arrays, layer(x), leaves)


def test_s5():
    """Also in its steps and what they write, from other eigenvalues than our start."""
    peers = peer("s5")
    import torch

    N = 6
    torch.manual_seed(0)
    layer = peers.S5(D, N).seq
    with torch.no_grad():
        layer.D.zero_()
    x = torch.tensor(drawn((B, T, D))[0], requires_grad=True)
    s5 = MIXERS["s5"]

    def build(rngs):
        mixer = s5(s5.Options(state=N), width=D, causal=True, length=T, rngs=rngs)
        mixer.out = Bare()
        return mixer

    model = functional(build)
    shape = jax.eval_shape(model.init, jax.random.key(0))
    pole, read = layer.Lambda.detach().numpy(), layer.C.detach().numpy()
    rate_N, frequency_N = jnp.log(-pole.real), jnp.asarray(pole.imag)
    read = {"kernel": jnp.concatenate([read.real.T, -read.imag.T], axis=0)}

    def ours(x_BTD, log_step_N, written_ND2):
        decay = {"log_rate": rate_N, "frequency": frequency_N, "log_step": log_step_N}
        kernel = jnp.concatenate([written_ND2[..., 0].T, written_ND2[..., 1].T], axis=1)
        params = {"decay": decay, "write": {"kernel": kernel}, "read": read}
        assert jax.tree.structure(params) == jax.tree.structure(shape)
        return model.apply(params, x_BTD)

    leaves = [x, layer.log_step, layer.B]
    arrays = [leaf.detach().numpy() for leaf in leaves]
    same(ours, arrays, torch.stack([layer(row) for row in x]), leaves)


def test_slstm():
    peers = peer("xlstm.blocks.slstm.src.vanilla")
    import torch

    z, kernel, bias = drawn((T, B, 4 * D), (H, 4 * K, K), (4 * D,))
    leaves = [torch.tensor(a, requires_grad=True) for a in (z, kernel, bias)]
    gates = peers.slstm_pointwise_function_registry["slstm"]
    states, _, _ = peers.slstm_forward(
        leaves[0], torch.zeros(4, B, D), leaves[1], leaves[2], gates
    )

    def ours(z_TBZ, kernel_HZK, bias_Z):
        # Theirs has the heads of a gate side by side, ours the gates of a head.
        z_TB4HK = (z_TBZ + bias_Z[None, None]).reshape(T, B, 4, H, K)
        z_BTZ = z_TB4HK.transpose(1, 0, 3, 2, 4).reshape(B, T, 4 * D)
        nothing_BD = jnp.zeros((B, D))
        start = *[nothing_BD] * 3, nothing_BD - jnp.inf
        return cells.scan_cell(
            cells.slstm_cell, z_BTZ, start, kernel_HZK.swapaxes(1, 2)
        )

    same(ours, (z, kernel, bias), states[0, 1:].transpose(0, 1), leaves)
