"""Selective attention: the definition by loops, chunks, packing and memory."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research.ops.highest import by_sorting, by_sweeping
from attn_research.ops.logits import Logits, alibi, distances
from attn_research.ops.selection import (
    Best,
    Blocks,
    selected_attention,
)

RULES = (Best(3), Blocks(1, 4), Blocks(3, 4))
ROWS = np.array([[1] * 5 + [2] * 2 + [3] * 14 + [0] * 2, [0] * 3 + [7] * 20], np.int32)


def arrays(dtype=np.float32, T=23):
    source = np.random.default_rng(0)
    sizes = ((2, T, heads, 4) for heads in (4, 2, 2, 4))
    return [source.standard_normal(size).astype(dtype) for size in sizes]


def chosen(rule, q_K, k_SK, t: int, seen: list[int]) -> list[int]:
    """The keys that the query t selects among those seen."""
    if isinstance(rule, Best):
        return sorted(seen, key=lambda s: -(q_K @ k_SK[s]))[: rule.count]
    parts: dict[int, list[int]] = {}
    for s in seen:
        parts.setdefault(s // rule.size, []).append(s)
    own = parts.pop(t // rule.size)
    best = sorted(parts.values(), key=lambda part: -(q_K @ k_SK[part].mean(0)))
    return sum(best[: rule.count - 1], own)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_naive_is_the_definition(rule, causal):
    with jax.enable_x64(True):
        q, k, v, _ = arrays(np.float64)
        naive = functools.partial(selected_attention, rule=rule, implementation="naive")
        got = np.asarray(jax.jit(functools.partial(naive, causal=causal))(q, k, v))
    want = np.zeros(got.shape)
    for b, t, h in np.ndindex(2, 23, 4):
        k_SK, q_K = k[b, :, h // 2], q[b, t, h]
        seen = chosen(rule, q_K, k_SK, t, list(range(t + 1 if causal else 23)))
        power = np.exp(k_SK[seen] @ q_K / 2)
        want[b, t, h] = power @ v[b, seen, h // 2] / power.sum()
    np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def pulled(rule, causal, form, ids, q, k, v, ct):
    logits = Logits(None, alibi(distances(23, 23), 4, q.dtype), None)

    def of(q, k, v):
        return selected_attention(
            q, k, v, rule=rule, causal=causal, segments_BT=ids,
            logits=logits, chunk=6, implementation=form,
        )  # fmt: skip

    out, back = jax.vjp(of, q, k, v)
    return out, *back(ct)


@pytest.mark.parametrize(
    "rule, causal, packed",
    [
        (Best(3), True, True),
        (Blocks(3, 4), False, True),
        (Blocks(3, 4), True, True),
        (Blocks(3, 4), True, False),
        (Blocks(1, 4), False, False),
    ],
)
def test_chunks_give_what_the_naive_form_gives_in_float64(rule, causal, packed):
    rows = ROWS if packed else None
    with jax.enable_x64(True):
        want = pulled(rule, causal, "naive", rows, *arrays(np.float64))
    got = pulled(rule, causal, "chunked", rows, *arrays())
    for one, two, reach in zip(got, want, (2e-6, 1e-5, 1e-5, 1e-5), strict=True):
        one, two = np.asarray(one, np.float64), np.asarray(two)
        assert np.linalg.norm(one - two) <= reach * np.linalg.norm(two)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_packed_sequence_selects_what_it_selects_alone(rule):
    q, k, v, _ = arrays()
    select = jax.jit(
        functools.partial(selected_attention, rule=rule, causal=True, chunk=6)
    )
    got = np.asarray(select(q, k, v, segments_BT=ROWS))
    for row, low, high in ((0, 0, 5), (0, 5, 7), (0, 7, 21), (1, 3, 23)):
        # From the first place on, with padding behind: one program for all.
        moved = [np.roll(x[[row, row]], -low, axis=1) for x in (q, k, v)]
        only_BT = np.tile(np.arange(23) < high - low, (2, 1)).astype(np.int32)
        alone = np.asarray(select(*moved, segments_BT=only_BT))[0, : high - low]
        np.testing.assert_allclose(got[row, low:high], alone, rtol=1e-5, atol=1e-6)
    # And without any segments.
    last = select(*(x[1:, 3:] for x in (q, k, v)))
    np.testing.assert_allclose(got[1:, 3:], last, rtol=1e-5, atol=1e-6)
    assert not got[ROWS == 0].any()


def test_memory_is_linear_in_the_length():
    def temporaries(length: int) -> int:
        like = jax.ShapeDtypeStruct((1, length, 2, 16), jnp.float32)

        def loss(q, k, v):
            return selected_attention(q, k, v, rule=Blocks(3, 64), causal=True).sum()

        program = jax.jit(jax.grad(loss, (0, 1, 2))).lower(like, like, like).compile()
        return program.memory_analysis().temp_size_in_bytes

    assert temporaries(8_192) <= 4.5 * temporaries(2_048)


@pytest.mark.parametrize("select", [by_sweeping, by_sorting])
def test_the_highest_are_those_of_a_sort(select):
    x = np.random.default_rng(0).standard_normal((3, 5, 40)).astype(np.float32)
    x[0, 0, :30], x[1, 1], x[2, 2] = -np.inf, -abs(x[1, 1]), 1.5
    highest = jax.jit(select, static_argnums=1)
    for count in (1, 7, 39):
        want = x >= np.sort(x, axis=-1)[..., -count, None]
        np.testing.assert_array_equal(highest(x, count), want)
        with jax.enable_x64(True):
            wide = np.asarray(highest(x.astype(np.float64) * np.pi, count))
        np.testing.assert_array_equal(wide, want)


def test_the_highest_score_is_reached_by_itself_however_it_is_compiled():
    """A score with a bias may be computed twice, in two roundings."""
    draw = np.random.default_rng(0)
    q, k, v = draw.standard_normal((3, 3, 17, 4, 2)).astype(np.float32)
    slope_H = 2.0 ** (-2 * (np.arange(4) + 1))
    apart_D = np.asarray(distances(17, 17))
    bias_HD = (-slope_H[:, None] * np.abs(apart_D)).astype(np.float32)
    attend = functools.partial(selected_attention, rule=Best(1), causal=True)
    score_BHTS = np.einsum("BTHK,BSHK->BHTS", q, k, dtype=np.float64) / 2**0.5
    time = np.arange(17)
    score_BHTS -= slope_H[:, None, None] * (time[:, None] - time)
    score_BHTS[..., time[:, None] < time] = -np.inf
    best_BTH = score_BHTS.argmax(axis=-1).swapaxes(1, 2)
    want = np.take_along_axis(v, best_BTH[..., None], axis=1)
    for form in ("naive", "chunked"):
        call = functools.partial(
            attend, logits=Logits(bias_HD=bias_HD), implementation=form
        )
        np.testing.assert_allclose(jax.jit(call)(q, k, v), want, rtol=1e-5)
