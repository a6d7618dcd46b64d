"""Latent attention: by its formula, and what decoding keeps of a token."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attn_research.modules import MIXERS
from attn_research.options import BadInput

T, D, H, K, M, R = 7, 16, 2, 5, 6, 4
SIZES = {"heads": H, "head_size": K, "rank": M, "rotary": R}


def built(causal=True, **options):
    mixer = MIXERS["mla"](
        MIXERS["mla"].Options(**(SIZES | options)),
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


def normed(x, scale):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * number(scale)


def turned(x_R, t):
    """Pairs of numbers, the halves of the vector, as complex ones that turn with t."""
    half = len(x_R) // 2
    pair = x_R[:half] + 1j * x_R[half:]
    pair = pair * np.exp(1j * t * 10_000.0 ** (-np.arange(half) / half))
    return np.concatenate([pair.real, pair.imag])


def formula(mixer, x_TD):
    """The definition, a query at a time, in float64."""
    x = np.float64(x_TD)
    down = x @ number(mixer.down.kernel)
    c, shared = normed(down[:, :M], mixer.scale), down[:, M:]
    k = (c @ number(mixer.key.kernel)).reshape(T, H, K)
    v = (c @ number(mixer.value.kernel)).reshape(T, H, K)
    if mixer.low is not None:
        x = normed(x @ number(mixer.low.kernel), mixer.low_scale)
    q = (x @ number(mixer.query.kernel)).reshape(T, H, K + R)
    read = np.zeros((T, H, K))
    for t, h in np.ndindex(T, H):
        score = [
            q[t, h, :K] @ k[s, h] + turned(q[t, h, K:], t) @ turned(shared[s], s)
            for s in range(t + 1)
        ]
        weight = np.exp(np.array(score) / np.sqrt(K + R))
        read[t, h] = weight @ v[: t + 1, h] / weight.sum()
    return read.reshape(T, H * K) @ number(mixer.out.kernel)


@pytest.mark.parametrize("query_rank", [0, 3])
def test_it_is_the_formula(query_rank):
    mixer, x_BTD = built(query_rank=query_rank)
    got_BTD = jax.jit(mixer)(jnp.asarray(x_BTD))
    for got_TD, x_TD in zip(got_BTD, x_BTD, strict=True):
        want_TD = formula(mixer, x_TD)
        np.testing.assert_allclose(got_TD, want_TD, rtol=1e-4, atol=1e-5)


def test_decoding_keeps_the_latent_vector_and_one_rotary_key_of_a_token():
    mixer, _ = built()
    for length in (1, 7, 64):
        assert mixer.cost(length).state_bytes == 4 * (length * (M + R) + 1)
    assert mixer.start(3, 7).c_BSM.shape == (3, 7, M)
    # At their defaults, heads that cache keys and values keep 2 D of a token.
    sizes = {"width": 64, "causal": True, "length": 9, "rngs": nnx.Rngs(0)}
    latent, dense = (
        MIXERS[name](MIXERS[name].Options(), **sizes).cost(1000).state_bytes
        for name in ("mla", "dense")
    )
    assert latent == 4 * (1000 * (32 + 8) + 1) and dense == 4 * (1000 * 128 + 1)


def test_no_step_makes_a_key_or_a_value():
    """In the program of a step nothing has an axis of slots and one of heads and K."""
    mixer, x_BTD = built()
    carry, slots = mixer.start(2, 53), 53
    shapes = {
        tuple(variable.aval.shape)
        for equation in jax.make_jaxpr(mixer.step)(x_BTD[:, 0], carry).jaxpr.eqns
        for variable in equation.outvars
    }
    assert (2, slots, M) in shapes
    assert not [shape for shape in shapes if slots in shape and K in shape]


def test_after_its_length_a_step_is_not_a_number():
    mixer, x_BTD = built()
    carry, step = mixer.start(2, 3), jax.jit(mixer.step)
    for t in range(5):
        y_BD, carry = step(x_BTD[:, t], carry)
        assert np.isnan(y_BD).all() == (t >= 3) == np.isnan(y_BD).any()


@pytest.mark.parametrize(
    "options, said",
    [
        ({"rotary": 3}, "rotary of mla is 3, it must be even"),
        ({"heads": 3, "head_size": 0}, "width 16 and 3 heads"),
    ],
)
def test_impossible_options_are_refused(options, said):
    with pytest.raises(BadInput, match=said):
        built(**options)
    with pytest.raises(BadInput, match="built with causal=False"):
        built(causal=False)[0].start(1, T)


@pytest.mark.parametrize("query_rank", [0, 3])
def test_it_is_that_of_deepseek_v3(query_rank):
    torch = pytest.importorskip("torch", reason="the peer is not installed")
    peers = pytest.importorskip("transformers.models.deepseek_v3.modeling_deepseek_v3")
    from transformers import DeepseekV3Config

    mixer, x_BTD = built(query_rank=query_rank)
    config = DeepseekV3Config(
        hidden_size=D, num_attention_heads=H, num_key_value_heads=H,
        q_lora_rank=query_rank or None, kv_lora_rank=M, qk_nope_head_dim=K,
        qk_rope_head_dim=R, v_head_dim=K, rope_interleave=False,
        attn_implementation="eager",
    )  # fmt: skip
    peer = peers.DeepseekV3Attention(config, layer_idx=0)
    up = [number(p.kernel).reshape(M, H, K) for p in (mixer.key, mixer.value)]
    weights = {
        "kv_a_proj_with_mqa.weight": number(mixer.down.kernel).T,
        "kv_a_layernorm.weight": number(mixer.scale),
        "kv_b_proj.weight": np.concatenate(up, axis=2).reshape(M, -1).T,
        "o_proj.weight": number(mixer.out.kernel).T,
    }
    query = number(mixer.query.kernel).T
    if query_rank:
        weights["q_a_proj.weight"] = number(mixer.low.kernel).T
        weights["q_a_layernorm.weight"] = number(mixer.low_scale)
        weights["q_b_proj.weight"] = query
    else:
        weights["q_proj.weight"] = query
    peer.load_state_dict({name: torch.tensor(w) for name, w in weights.items()})
    x = torch.tensor(x_BTD)
    place = torch.arange(T)[None]
    turns = peers.DeepseekV3RotaryEmbedding(config)(x, place)
    ahead = torch.full((T, T), -torch.inf).triu(1)[None, None]
    want_BTD, _ = peer(x, position_embeddings=turns, attention_mask=ahead)
    got_BTD = jax.jit(mixer)(jnp.asarray(x_BTD))
    np.testing.assert_allclose(got_BTD, want_BTD.detach(), rtol=1e-4, atol=2e-5)
