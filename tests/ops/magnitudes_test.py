"""Normalised linear attention at any magnitude, against its formula in float64.

The oracle is one softmax over all sources and features, written here from logarithms:
it divides by no floor, and shares no line with the ops.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research import ops
from attn_research.modules import MIXERS
from attn_research.ops import features
from attn_research.ops.linear import linear_attention, linear_start, linear_step
from attn_research.options import build
from attn_research.pure import functional
from attn_research.testing.laws.case import compiled

B, T, H, E = 2, 19, 2, 3
DECAYS = ((0.0, "fixed"), (0.3, "fixed"), (0.3, "scalar"), (0.3, "channel"))
FORMS = ("naive", "recurrent", "chunked")


class Sizes(NamedTuple):
    """Deviations of the logarithms: of a token as a whole, and of its features."""

    token: float
    feature: float


ORDINARY, TOKENS, ALL = Sizes(0, 1), Sizes(300, 10), Sizes(300, 100)


def drawn(sizes: Sizes):
    """Logarithms of features of q and k, normal, and v."""
    draw = np.random.default_rng(0).standard_normal
    whole, each = draw((2, B, T, H, 1)), draw((2, B, T, H, 5))
    return *(whole * sizes.token + each * sizes.feature), draw((B, T, H, E))


def row() -> np.ndarray:
    """Seven touching segments of any numbers, single padding tokens between."""
    lengths = [(9, 1), (2**30, 4), (0, 1), (5, 3), (7, 1), (4, 2), (0, 1), (8, 5)]
    ids = np.concatenate([np.full(n, number) for number, n in [*lengths, (-3, 1)]])
    return np.stack([ids, np.ones(T, int)]).astype(np.int32)


def oracle(log_q, log_k, v, log_decay, causal: bool, segments):
    """out of one softmax over every source s and feature m; decays (B, T, H, M)."""
    place = jnp.arange(T)
    back = place[:, None] - place[None, :]
    total = jnp.cumsum(log_decay, axis=1)
    # From s to t all that decays after s; ahead of t all that decays before s.
    past = total[:, :, None] - total[:, None]
    ahead = (total - log_decay)[:, None] - (total - log_decay)[:, :, None]
    faded = jnp.where(back[None, :, :, None, None] >= 0, past, ahead)
    score = log_q[:, :, None] + log_k[:, None] + faded
    seen = segments[:, :, None] == segments[:, None]
    seen &= (segments != 0)[:, None] & ((back >= 0) | (not causal))[None]
    score = jnp.where(seen[..., None, None], score, -jnp.inf)
    flat = jnp.moveaxis(score, 3, 2).reshape(B, T, H, -1)
    real = (segments != 0)[..., None, None]
    weight = jnp.where(real, jax.nn.softmax(jnp.where(real, flat, 0)), 0)
    weight = weight.reshape(B, T, H, T, -1).sum(-1)
    return jnp.einsum("bths,bshe->bthe", weight, v)


@functools.cache
def want(sizes: Sizes, decay: float, causal: bool):
    """The oracle and its gradients for a cotangent of ones and twos."""
    with jax.enable_x64(True):
        log_q, log_k, v = drawn(sizes)
        rates = np.full((B, T, H, 5), -decay)
        run = functools.partial(oracle, causal=causal, segments=row())
        out, back = jax.jit(functools.partial(jax.vjp, run))(log_q, log_k, v, rates)
        return jax.tree.map(np.asarray, (out, *back(cotangent())[:3]))


def cotangent() -> np.ndarray:
    return 1 + (np.arange(B * T * H * E) % 2).reshape(B, T, H, E).astype(float)


@functools.partial(compiled, static_argnames=("causal", "form", "chunk"))
def pull(log_q, log_k, v, log_decay, segments, ct, causal, form, chunk):
    def run(log_q, log_k, v):
        return linear_attention(
            log_q, log_k, v, causal=causal, log_decay=log_decay, normalize=True,
            logarithms=True, segments_BT=segments, chunk=chunk, implementation=form,
        )  # fmt: skip

    out, back = jax.vjp(run, log_q, log_k, v)
    return out, *back(ct)


def decays(decay: float, kind: str) -> np.ndarray:
    shape = {"fixed": (H,), "scalar": (B, T, H), "channel": (B, T, H, 5)}[kind]
    return np.full(shape, -decay, np.float32)


CASES = [
    *((form, 4, sizes) for form in ("naive", "recurrent") for sizes in (ORDINARY, ALL)),
    *(("chunked", 4, sizes) for sizes in (ORDINARY, TOKENS)),
    pytest.param("chunked", 32, TOKENS, marks=pytest.mark.slow),
]


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("form, chunk, sizes", CASES)
def test_every_form_is_the_softmax_at_any_magnitude(form, chunk, sizes, causal):
    arrays = [a.astype(np.float32) for a in drawn(sizes)]
    ct = np.float32(cotangent())
    for decay, kind in DECAYS:
        got = pull(*arrays, decays(decay, kind), row(), ct, causal, form, chunk)
        # Logarithms of size 1000 carry 6e-5 in float32.
        bound = 2e-6 if sizes is ORDINARY else 2e-4
        for one, two in zip(got, want(sizes, decay, causal), strict=True):
            off = np.abs(one - two).max()
            assert off <= bound * max(1, np.abs(two).max()), (kind, off)


def test_step_by_step_is_the_softmax_at_any_magnitude():
    log_q, log_k, v = (a.astype(np.float32) for a in drawn(ALL))
    step = jax.jit(functools.partial(linear_step, logarithms=True))
    state, outs = linear_start(B, H, 5, E, True, jnp.float32, logarithms=True), []
    for t in range(T):
        out, state = step(log_q[:, t], log_k[:, t], v[:, t], state)
        outs.append(out)
    with jax.enable_x64(True):
        run = functools.partial(oracle, causal=True, segments=np.ones((B, T), int))
        true = jax.jit(run)(*drawn(ALL), np.zeros((B, T, H, 5)))
        np.testing.assert_allclose(np.stack(outs, 1), true, atol=2e-4)


def maps(kind: str, q, k) -> tuple[tuple, tuple]:
    """Features and their logarithms."""
    if kind == "elu":
        plain = features.elu_plus_one(q), features.elu_plus_one(k)
        return plain, (features.log_elu_plus_one(q), features.log_elu_plus_one(k))
    w_MK = features.orthogonal_directions(0, 128, 64)
    both = ((q, True), (k, False))
    plain = (features.random_positive(x, w_MK, query=query) for x, query in both)
    logs = (features.log_random_positive(x, w_MK, query=query) for x, query in both)
    return tuple(plain), tuple(logs)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind, size", [("elu", -10.0), ("performer", 3.0)])
def test_weights_sum_to_one_at_ordinary_sizes(form, causal, kind, size):
    """Given as features too, as long as their products are float32 numbers."""
    length, K = 70, 8 if kind == "elu" else 64
    normal = np.random.default_rng(1).standard_normal((2, 1, length, 1, K), np.float32)
    q, k = np.full_like(normal, size) if kind == "elu" else normal * size

    share = functools.partial(
        linear_attention, causal=causal, normalize=True, chunk=16, implementation=form
    )

    def run(q, k, v):
        plain, logs = maps(kind, q, k)
        return share(*plain, v), share(*logs, v, logarithms=True)

    @compiled
    def pulled(q, k, v):
        outs, back = jax.vjp(run, q, k, v)
        return outs, back((v, v))

    outs, gradients = pulled(q, k, np.ones((1, length, 1, 1), np.float32))
    for out in outs:
        np.testing.assert_allclose(out, 1, atol=2e-6)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("name, options", [
    ("linear", {"heads": 1}), ("performer", {"heads": 1}),
    ("linear", {"heads": 1, "feature": "hedgehog", "decay": "scalar"}),
    ("linear", {"heads": 1, "feature": "relu2"}),
])  # fmt: skip
def test_a_mixer_of_constant_values_returns_them(name, options):
    """Whatever the size of its queries and keys; of relu2 some see nothing."""
    kind: Any = MIXERS[name]
    model: Any = functional(
        lambda rngs: kind(
            build(kind.Options, {**options, "chunk": 16}, name),
            width=8,
            causal=True,
            length=40,
            rngs=rngs,
        )  # fmt: skip
    )
    params = model.init(jax.random.key(0))
    kernel = np.array(params["qkv"]["kernel"])
    # The last feature of every token is one: values read it alone, queries do not.
    kernel[-1, :16], kernel[:, 16:], kernel[-1, 16:] = 0, 0, 1
    params["qkv"]["kernel"] = jnp.asarray(kernel)
    params["out"]["kernel"] = jnp.eye(8)
    for size in (1.0, 10.0):
        x = np.random.default_rng(2).standard_normal((2, 40, 8), np.float32) * size
        x[..., -1] = 1
        out = np.asarray(compiled(model.apply)(params, x))
        right = np.isclose(out, 1, atol=2e-6)
        if options.get("feature") == "relu2":
            right |= out == 0
        assert right.all(), size


def test_logarithms_are_normalised():
    q = jnp.ones((1, 2, 1, 1))
    with pytest.raises(ValueError, match="normalize must be true"):
        linear_attention(q, q, q, logarithms=True)


def test_the_public_ops_take_logarithms():
    q, k = np.full((2, 1, 9, 1, 8), -300, np.float32)
    log = ops.log_elu_plus_one
    v = np.ones((1, 9, 1, 2), np.float32)
    out = ops.linear_attention(log(q), log(k), v, normalize=True, logarithms=True)
    np.testing.assert_allclose(out, 1, atol=2e-6)
