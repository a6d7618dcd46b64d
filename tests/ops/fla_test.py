"""Linear attention, decays, gates and the delta rule against flash-linear-attention.

Its plain PyTorch references, each loaded as a file: the package around them asks for a
compiler of kernels.
"""

import functools
import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research.ops.delta import delta_rule, generalized_delta_rule
from attn_research.ops.features import elu_plus_one, taylor
from attn_research.ops.flash import flash_attention
from attn_research.ops.linear import linear_attention
from attn_research.ops.linear.bonus import bonus_attention
from attn_research.ops.logits import Logits
from attn_research.ops.masks import CAUSAL, window
from attn_research.ops.recurrence import diagonal_recurrence

B, T, H, K, E = 2, 64, 3, 4, 5
SCALE = K**-0.5
GROUND = "PyTorch, the peer's ground, is not installed"
HEADS_FIRST = (0, 2, 1, 3)


def naive(family: str, file: str = "naive"):
    """The module of plain forms of one family."""
    pytest.importorskip("torch", reason=GROUND)
    pytest.importorskip("einops", reason="the peer is not installed")
    found = importlib.util.find_spec("fla")
    if found is None:
        pytest.skip("fla-core, the peer, is not installed")
    (root,) = found.submodule_search_locations or [None]
    path = Path(str(root)) / "ops" / family / f"{file}.py"
    spec = importlib.util.spec_from_file_location("fla_naive", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def drawn():
    """q, k, v, a gate per feature and one per head (at most 0), a rate in (0, 1)."""
    noise = np.random.default_rng(0)
    shapes = [(B, T, H, K)] * 2 + [(B, T, H, E), (B, T, H, K)] + [(B, T, H)] * 2
    shapes += [(B, T, H, K)] * 2 + [(B, T, H, E)]
    q, k, v, gate, decay, beta, q2, erase, write = (
        noise.standard_normal(s, np.float32) for s in shapes
    )
    return {
        "q2": q2,
        "erase": 1 / (1 + np.exp(-erase)),
        "write": 1 / (1 + np.exp(-write)),
        "q": q,
        "k": k,
        "v": v,
        "gate": -np.logaddexp(0, gate),
        "decay": -np.logaddexp(0, decay),
        "beta": 1 / (1 + np.exp(-beta)),
    }


def same(ours, peer, names: str, *, heads_first: bool = False):
    """Outputs and gradients agree; `heads_first` is how the peer orders its axes."""
    torch = pytest.importorskip("torch", reason=GROUND)
    arrays = [drawn()[name] for name in names.split()]
    out, back = jax.vjp(jax.jit(ours), *map(jnp.asarray, arrays))
    leaves = [torch.tensor(a, requires_grad=True) for a in arrays]
    turned = [x.transpose(1, 2) for x in leaves] if heads_first else leaves
    peer_out = peer(*turned)
    if isinstance(peer_out, tuple):
        peer_out = peer_out[0]
    peer_out = peer_out.transpose(1, 2) if heads_first else peer_out
    np.testing.assert_allclose(out, peer_out.detach().numpy(), rtol=1e-4, atol=2e-5)
    cotangent = np.random.default_rng(1).standard_normal(out.shape, np.float32)
    peer_out.backward(torch.tensor(cotangent))
    for got, one in zip(back(jnp.asarray(cotangent)), leaves, strict=True):
        want = one.grad.numpy()
        bound = 2e-5 * max(1, abs(want).max())
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=bound)


@pytest.mark.parametrize("normalize", [False, True])
def test_linear_attention(normalize):
    peers = naive("linear_attn")
    from torch.nn.functional import elu

    def ours(q, k, v):
        q, k = elu_plus_one(q), elu_plus_one(k)
        scale = 1 if normalize else SCALE
        return linear_attention(q * scale, k, v, normalize=normalize, chunk=16)

    def peer(q, k, v):
        return peers.naive_recurrent_linear_attn(
            elu(q) + 1, elu(k) + 1, v, normalize=normalize
        )

    same(ours, peer, "q k v")


def test_retention():
    rate_H = jnp.asarray(np.log1p(-(2.0 ** (-5.0 - np.arange(H)))), jnp.float32)
    ours = functools.partial(linear_attention, log_decay=rate_H, chunk=16)
    peer = naive("retention").naive_retention
    same(lambda q, k, v: ours(q * SCALE, k, v), peer, "q k v", heads_first=True)


def test_a_decay_per_token():
    def ours(q, k, v, decay):
        return linear_attention(q * SCALE, k, v, log_decay=decay, chunk=16)

    same(ours, naive("simple_gla").naive_recurrent_simple_gla, "q k v decay")


def test_a_gate_per_feature():
    def ours(q, k, v, gate):
        return linear_attention(q * SCALE, k, v, log_decay=gate, chunk=16)

    same(ours, naive("gla").naive_recurrent_gla, "q k v gate")


def test_taylor_features():
    def ours(q, k, v):
        return linear_attention(taylor(q), taylor(k), v, normalize=True, chunk=16)

    peer = naive("based").naive_parallel_based
    same(ours, peer, "q k v", heads_first=True)


def unit(x):
    return x / jnp.sqrt((x * x).sum(-1, keepdims=True))


def torch_unit(x):
    return x / x.square().sum(-1, keepdim=True).sqrt()


def test_the_delta_rule():
    peers = naive("delta_rule")

    def ours(q, k, v, beta):
        return delta_rule(q * SCALE, unit(k), v, beta, chunk=16)

    def peer(q, k, v, beta):
        return peers.delta_rule_recurrence(q, torch_unit(k), v, beta)

    same(ours, peer, "q k v beta", heads_first=True)


def test_the_gated_delta_rule():
    peers = naive("gated_delta_rule")

    def ours(q, k, v, beta, decay):
        return delta_rule(q * SCALE, unit(k), v, beta, log_decay_BTH=decay, chunk=16)

    def peer(q, k, v, beta, decay):
        return peers.naive_recurrent_gated_delta_rule(q, torch_unit(k), v, beta, decay)

    same(ours, peer, "q k v beta decay")


def one(x):
    """The arrays of a token's only update."""
    return x[:, :, None]


def test_kimi_delta_attention():
    def ours(q, k, v, gate, beta):
        k, beta = one(unit(k)), one(beta)[..., None]
        return generalized_delta_rule(
            q * SCALE, k, beta * one(v), beta * k, log_decay_BTHK=gate, chunk=16
        )

    def peer(q, k, v, gate, beta):
        return naive("kda").naive_recurrent_kda(q, torch_unit(k), v, gate, beta)

    same(ours, peer, "q k v gate beta")


def test_gated_deltanet_2():
    def ours(q, k, v, gate, erase, write):
        k = one(unit(k))
        return generalized_delta_rule(
            q * SCALE, k, one(write * v), one(erase) * k, log_decay_BTHK=gate, chunk=16
        )

    def peer(q, k, v, gate, erase, write):
        k = torch_unit(k)
        return naive("gdn2").naive_recurrent_gdn2(q, k, v, gate, erase, write)

    same(ours, peer, "q k v gate erase write")


def test_comba():
    def ours(q, k, v, p, beta, decay):
        k, beta = one(unit(k)), one(beta)[..., None]
        return generalized_delta_rule(
            q * SCALE, k, beta * one(v), beta * one(unit(p)),
            log_decay_BTHK=decay[..., None], chunk=16,
        )  # fmt: skip

    def peer(q, k, v, p, beta, decay):
        k, p = torch_unit(k), torch_unit(p)
        return naive("comba").naive_recurrent_comba(q, k, v, p, beta, decay)

    same(ours, peer, "q k v q2 beta decay")


@pytest.mark.parametrize("gated", [False, True])
def test_products_of_delta_rules(gated):
    """Two updates for each token: those of an even and of an odd place of the keys."""

    def ours(q, k, v, beta, decay):
        k, v, beta = (x.reshape(B, T // 2, 2, *x.shape[2:]) for x in (k, v, beta))
        k, beta = unit(k), 2 * beta[..., None]
        log_decay = decay[:, ::2, :, None] * float(gated)
        return generalized_delta_rule(
            q[:, ::2] * SCALE, k, beta * v, beta * k, log_decay_BTHK=log_decay, chunk=16
        )

    def peer(q, k, v, beta, decay):
        return naive("gated_delta_product").naive_recurrent_gated_delta_product(
            q[:, ::2], torch_unit(k), v, decay[:, ::2] * gated, 2 * beta,
            SCALE, num_householder=2,
        )  # fmt: skip

    same(ours, peer, "q k v beta decay")


def test_the_rule_of_rwkv_7():
    """It reads the state before its decay, which is at least exp(-exp(-1/2))."""
    weakest = np.exp(-0.5)

    def ours(q, k, v, q2, erase, gate):
        known, log_decay = unit(q2), weakest * gate / (1 - gate)
        return generalized_delta_rule(
            q * SCALE, one(k), one(v), one(known * jnp.exp(-log_decay)),
            remove_BTJHK=one(known * erase), log_decay_BTHK=log_decay, chunk=16,
        )  # fmt: skip

    def peer(q, k, v, q2, erase, gate):
        known, log_decay = torch_unit(q2), weakest * gate / (1 - gate)
        return naive("generalized_delta_rule/dplr").dplr_recurrence(
            q, k, v, -known, known * erase, log_decay
        )

    same(ours, peer, "q k v q2 erase gate", heads_first=True)


def test_the_bonus_of_rwkv_6():
    def ours(q, k, v, gate):
        bonus_HK = q[0, 0]
        return bonus_attention(q * SCALE, k, v, bonus_HK, log_decay_BTHM=gate, chunk=16)

    def peer(q, k, v, gate):
        peers = naive("rwkv6", "recurrent_naive")
        return peers.naive_recurrent_rwkv6(q, k, v, gate, q[0, :, 0])

    same(ours, peer, "q k v gate", heads_first=True)


@pytest.mark.parametrize("span", [None, 9])
def test_forgetting_attention(span):
    mask = CAUSAL if span is None else window(span - 1, 0)

    def ours(q, k, v, decay):
        logits = Logits(log_forget_BTH=decay)
        return flash_attention(q, k, v, mask=mask, logits=logits, block=16)

    def peer(q, k, v, decay):
        peers = naive("forgetting_attn")
        return peers.naive_forgetting_attn(q, k, v, decay, window_size=span)

    same(ours, peer, "q k v decay")


def test_a_gated_diagonal_recurrence():
    peers = naive("hgrn")

    def ours(k, gate):
        flat = [x.reshape(B, T, H * K) for x in (jnp.exp(gate), k)]
        return diagonal_recurrence(*flat)

    def peer(k, gate):
        return peers.naive_recurrent_hgrn(k.reshape(B, T, -1), gate.reshape(B, T, -1))

    same(ours, peer, "k gate")
