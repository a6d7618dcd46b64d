"""Gated recurrences of matrix states, each by its formula, a token at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attn_research.modules import MIXERS

T, D, H = 9, 16, 2
K = D // H


def built(name, **options):
    """A mixer whose parameters are all moved off their initial values, and x_TD."""
    mixer = MIXERS[name](
        MIXERS[name].Options(**options),
        width=D,
        causal=True,
        length=T,
        rngs=nnx.Rngs(0),
    )
    noise = np.random.default_rng(0)
    moved = jax.tree.map(
        lambda leaf: leaf + 0.2 * noise.standard_normal(leaf.shape, np.float32),
        nnx.state(mixer),
    )
    nnx.update(mixer, moved)
    return mixer, noise.standard_normal((T, D), np.float32)


def number(param) -> np.ndarray:
    return np.asarray(param.get_value(), np.float64)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def agree(mixer, x_TD, want_TD):
    got_TD = jax.jit(mixer)(jnp.asarray(x_TD)[None])[0]
    np.testing.assert_allclose(got_TD, want_TD, rtol=1e-4, atol=2e-5)


def test_hgrn2_keeps_of_each_channel_what_it_does_not_write():
    mixer, x_TD = built("hgrn2", heads=H, bound=0.3)
    x = np.float64(x_TD)
    q, v = np.split(x @ number(mixer.qv.kernel), 2, axis=1)
    bound_D = sigmoid(number(mixer.bound))
    assert abs(np.median(bound_D) - 0.3) < 0.1
    forget = bound_D + (1 - bound_D) * sigmoid(x @ number(mixer.forget.kernel))
    q = q * sigmoid(q)
    read = np.zeros((T, D))
    for head in range(H):
        own = slice(head * K, (head + 1) * K)
        S = np.zeros((K, K))
        for t in range(T):
            f = forget[t, own]
            S = f[:, None] * S + np.outer(1 - f, v[t, own])
            read[t, own] = S.T @ q[t, own]
    # The norm's epsilon is that of queries scaled by their size, see `head_norm`.
    read /= np.sqrt((read**2).mean(1, keepdims=True) + 1e-3)
    agree(mixer, x_TD, (read * number(mixer.scale)) @ number(mixer.out.kernel))


def test_rwkv6_reads_before_it_writes_and_adds_its_bonus():
    mixer, x_TD = built("rwkv6", heads=H, rank=3, decay_rank=5)
    x = np.float64(x_TD)
    shift = np.concatenate([np.zeros((1, D)), x[:-1]]) - x
    first, *shares = number(mixer.mixture)
    low = np.tanh((x + shift * first) @ number(mixer.low.kernel))
    mixed = [
        x + shift * (share + low[:, 3 * n : 3 * n + 3] @ number(high.kernel))
        for n, (share, high) in enumerate(zip(shares, mixer.high, strict=True))
    ]
    r, k, v, g = (z @ number(p.kernel) for z, p in zip(mixed, mixer.rkvg, strict=False))
    decay = np.tanh(mixed[4] @ number(mixer.decay.low.kernel))
    decay = decay @ number(mixer.decay.high.kernel) + number(mixer.decay.bias)
    kept = np.exp(-np.exp(decay))
    read = np.zeros((T, D))
    for head in range(H):
        own, u = slice(head * K, (head + 1) * K), number(mixer.bonus)[head]
        S = np.zeros((K, K))
        for t in range(T):
            new = np.outer(k[t, own], v[t, own])
            o = r[t, own] @ (S + u[:, None] * new)
            S = kept[t, own][:, None] * S + new
            # The norm's epsilon is that of queries scaled by their size.
            read[t, own] = (o - o.mean()) / np.sqrt(o.var() + 1e-3)
    read = read * number(mixer.scale) + number(mixer.bias)
    want_TD = (read * g * sigmoid(g)) @ number(mixer.out.kernel)
    agree(mixer, x_TD, want_TD)


def test_rwkv4_averages_the_values_before_and_the_token_itself():
    mixer, x_TD = built("rwkv4")
    x = np.float64(x_TD)
    shift = np.concatenate([np.zeros((1, D)), x[:-1]]) - x
    r, k, v = (
        (x + shift * share) @ number(p.kernel)
        for share, p in zip(number(mixer.mixture), mixer.rkv, strict=True)
    )
    rate, bonus = np.exp(number(mixer.log_rate)), number(mixer.bonus)
    read = np.zeros((T, D))
    for t in range(T):
        back = t - 1 - np.arange(t)[:, None]
        log = np.concatenate([k[:t] - back * rate, [bonus + k[t]]])
        weight = np.exp(log)
        read[t] = (weight * v[: t + 1]).sum(0) / weight.sum(0)
    agree(mixer, x_TD, (sigmoid(r) * read) @ number(mixer.out.kernel))


def test_rwkv4_is_that_of_transformers():
    torch = pytest.importorskip("torch", reason="the peer is not installed")
    peers = pytest.importorskip("transformers.models.rwkv.modeling_rwkv")
    from transformers import RwkvConfig

    mixer, x_TD = built("rwkv4")
    peer = peers.RwkvSelfAttention(RwkvConfig(hidden_size=D, attention_hidden_size=D))
    weights = {
        "time_decay": number(mixer.log_rate),
        "time_first": number(mixer.bonus),
        "output.weight": number(mixer.out.kernel).T,
    }
    names = "receptance", "key", "value"
    for name, p, share in zip(names, mixer.rkv, number(mixer.mixture), strict=True):
        weights[f"{name}.weight"] = number(p.kernel).T
        weights[f"time_mix_{name}"] = 1 - share[None, None]
    peer.load_state_dict({name: torch.tensor(w) for name, w in weights.items()})
    want, _ = peer(torch.tensor(x_TD)[None])
    agree(mixer, x_TD, want[0].detach().numpy())
