"""The splash kernel, step by step on any platform, against the naive twin."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research.ops import dense
from attn_research.ops.kernels import splash
from attn_research.ops.logits import PLAIN, Logits
from attn_research.ops.masks import CAUSAL, FULL, window
from attn_research.ops.patterns import Globals

B, T, H, G, K = 2, 130, 2, 1, 128
SEGMENTS = np.array([[1] * 40 + [2] * 60 + [0] * 30, [1] * 130], np.int32)


@pytest.mark.slow
@pytest.mark.parametrize("mask", [CAUSAL, FULL, window(5, 3)])
def test_the_kernel_is_the_naive_form(mask):
    noise = np.random.default_rng(0)
    q, k, v, ct = (
        noise.standard_normal((B, T, heads, K), np.float32) for heads in (H, G, G, H)
    )
    seen = {"mask": mask, "segments_BT": jnp.asarray(SEGMENTS)}
    run = functools.partial(splash.splash_attention, **seen, interpret=True)
    naive = functools.partial(dense.naive, **seen, source_BS=seen["segments_BT"])

    for one, two in zip(
        _pulled(run, q, k, v, ct), _pulled(naive, q, k, v, ct), strict=True
    ):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=2e-4)


def test_a_kernel_made_within_one_program_serves_the_next():
    q = jnp.ones((1, 128, 1, 128))
    run = functools.partial(splash.splash_attention, mask=CAUSAL, interpret=True)
    splash._kernel.cache_clear()
    one = jax.jit(lambda q: run(q, q, q))(q)
    two = jax.jit(lambda q: run(q, q, 2 * q))(q)
    np.testing.assert_allclose(one, np.ones_like(one), rtol=1e-5)
    np.testing.assert_allclose(two, 2 * np.ones_like(one), rtol=1e-5)


def _pulled(call, *arrays):
    *inputs, ct = map(jnp.asarray, arrays)
    out, back = jax.vjp(jax.jit(call), *inputs)
    return out, *back(ct)


def test_what_it_lacks_is_refused_in_words():
    q = jnp.ones((1, 2, 1, 4))
    with pytest.raises(ValueError, match="splash runs on a TPU; this is a cpu"):
        dense.attention(q, q, q, implementation="splash")
    assert splash.lacks(CAUSAL, PLAIN, jnp.float32) is None
    assert "windows" in str(splash.lacks(Globals(2), PLAIN, jnp.float32))
    biased = Logits(None, jnp.ones((1, 3)), None)
    assert "biases" in str(splash.lacks(CAUSAL, biased, jnp.float32))
    forgets = Logits(log_forget_BTH=jnp.zeros((1, 3, 1)))
    assert splash.lacks(CAUSAL, forgets, jnp.float32) == "forget gates"
    assert splash.lacks(CAUSAL, PLAIN, jnp.float64) == "float64"
