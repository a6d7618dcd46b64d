"""Differential attention: by its formula, and beside that of DiffLlama."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attn_research.modules import MIXERS
from attn_research.options import BadInput

T, D, H = 7, 16, 2
K = D // (2 * H)


def built(causal=True, **options):
    mixer = MIXERS["differential"](
        MIXERS["differential"].Options(**({"heads": H} | options)),
        width=D,
        causal=causal,
        length=T,
        rngs=nnx.Rngs(0),
    )
    noise = np.random.default_rng(0)
    moved = jax.tree.map(
        lambda leaf: leaf + 0.3 * noise.standard_normal(leaf.shape, np.float32),
        nnx.state(mixer),
    )
    nnx.update(mixer, moved)
    return mixer, noise.standard_normal((2, T, D), np.float32)


def number(param) -> np.ndarray:
    return np.asarray(param.get_value(), np.float64)


def turned(x_K, t):
    """Pairs of numbers, the halves of the vector, as complex ones that turn with t."""
    half = len(x_K) // 2
    pair = x_K[:half] + 1j * x_K[half:]
    pair = pair * np.exp(1j * t * 10_000.0 ** (-np.arange(half) / half))
    return np.concatenate([pair.real, pair.imag])


def formula(mixer, x_TD, start, rope):
    """The definition, a query at a time, in float64."""
    x = np.float64(x_TD)
    q, k = (
        (x @ number(p.kernel)).reshape(T, H, 2, K) for p in (mixer.query, mixer.key)
    )
    v = (x @ number(mixer.value.kernel)).reshape(T, H, 2 * K)
    a, b, a_2, b_2 = number(mixer.shares)
    share = np.exp(a @ b) - np.exp(a_2 @ b_2) + start
    read = np.zeros((T, H, 2 * K))
    for t, h in np.ndindex(T, H):
        weights = []
        for one in range(2):
            queries, keys = q[t, h, one], k[: t + 1, h, one]
            if rope:
                queries = turned(queries, t)
                keys = np.stack([turned(key, s) for s, key in enumerate(keys)])
            power = np.exp(keys @ queries / np.sqrt(K))
            weights.append(power / power.sum())
        y = (weights[0] - share * weights[1]) @ v[: t + 1, h]
        y = y / np.sqrt((y**2).mean() + 1e-6) * number(mixer.scale)
        read[t, h] = (1 - start) * y
    return read.reshape(T, D) @ number(mixer.out.kernel)


@pytest.mark.parametrize("positions", ["none", "rope"])
def test_it_is_the_formula(positions):
    mixer, x_BTD = built(positions=positions, start=0.4)
    got_BTD = jax.jit(mixer)(jnp.asarray(x_BTD))
    for got_TD, x_TD in zip(got_BTD, x_BTD, strict=True):
        want_TD = formula(mixer, x_TD, 0.4, positions == "rope")
        np.testing.assert_allclose(got_TD, want_TD, rtol=2e-4, atol=2e-5)


def test_two_softmaxes_that_weigh_alike_leave_one_less_the_share_of_the_other():
    """Keys of zeros weigh all tokens alike: (1 - L) of their mean, normalised."""
    mixer, x_BTD = built(start=0.25)
    mixer.key.kernel.set_value(jnp.zeros((D, D)))
    mixer.shares.set_value(jnp.zeros((4, K)))
    assert float(mixer.share()) == 0.25
    v_THE = (np.float64(x_BTD[0]) @ number(mixer.value.kernel)).reshape(T, H, 2 * K)
    y = 0.75 * v_THE.cumsum(0) / np.arange(1, T + 1)[:, None, None]
    y = y / np.sqrt((y**2).mean(-1, keepdims=True) + 1e-6) * number(mixer.scale)
    want_TD = 0.75 * y.reshape(T, D) @ number(mixer.out.kernel)
    got_TD = jax.jit(mixer)(jnp.asarray(x_BTD))[0]
    np.testing.assert_allclose(got_TD, want_TD, rtol=1e-4, atol=1e-5)


def test_its_cache_holds_two_keys_and_a_value_of_each_head():
    mixer, x_BTD = built()
    assert mixer.cost(9).state_bytes == 4 * (9 * 2 * D + 1)
    carry, step = mixer.start(2, 3), jax.jit(mixer.step)
    for t in range(5):
        y_BD, carry = step(x_BTD[:, t], carry)
        assert np.isnan(y_BD).all() == (t >= 3) == np.isnan(y_BD).any()


@pytest.mark.parametrize(
    "options, said",
    [
        ({"heads": 3}, "width 16 and 3 heads of two softmaxes"),
        ({"heads": 8, "positions": "rope"}, "keys of size 1, it must be even"),
        ({"start": 1.0}, "start"),
    ],
)
def test_impossible_options_are_refused(options, said):
    with pytest.raises(BadInput, match=said):
        built(**options)
    with pytest.raises(BadInput, match="built with causal=False"):
        built(causal=False)[0].start(1, T)


def test_it_is_that_of_diffllama():
    """Its third layer; it lists the first softmaxes of all heads, then the others."""
    torch = pytest.importorskip("torch", reason="the peer is not installed")
    peers = pytest.importorskip("transformers.models.diffllama.modeling_diffllama")
    from transformers import DiffLlamaConfig

    start = 0.8 - 0.6 * np.exp(-0.6)
    mixer, x_BTD = built(positions="rope", start=start)
    mixer.scale.set_value(jnp.ones(2 * K))
    config = DiffLlamaConfig(
        hidden_size=D, num_attention_heads=2 * H, num_key_value_heads=2 * H,
        head_dim=K, rms_norm_eps=1e-6, attn_implementation="eager",
    )  # fmt: skip
    peer = peers.DiffLlamaAttention(config, layer_idx=2)
    names = "q_proj", "k_proj", "v_proj"
    projections = mixer.query, mixer.key, mixer.value
    weights = {"o_proj.weight": number(mixer.out.kernel).T}
    for name, p in zip(names, projections, strict=True):
        halves_DHXK = number(p.kernel).reshape(D, H, 2, K).swapaxes(1, 2)
        weights[f"{name}.weight"] = halves_DHXK.reshape(D, D).T
    for name, row in zip(("q1", "k1", "q2", "k2"), number(mixer.shares), strict=True):
        weights[f"lambda_{name}"] = row
    peer.load_state_dict({name: torch.tensor(w) for name, w in weights.items()})
    x = torch.tensor(x_BTD)
    turns = peers.DiffLlamaRotaryEmbedding(config)(x, torch.arange(T)[None])
    ahead = torch.full((T, T), -torch.inf).triu(1)[None, None]
    want_BTD, _ = peer(x, position_embeddings=turns, attention_mask=ahead)
    got_BTD = jax.jit(mixer)(jnp.asarray(x_BTD))
    np.testing.assert_allclose(got_BTD, want_BTD.detach(), rtol=1e-4, atol=2e-5)
