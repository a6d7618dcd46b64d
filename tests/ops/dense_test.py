"""Every form of attention against the naive one in float64, and against torch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from attn_research.ops import dense, flash, sparse
from attn_research.ops.masks import CAUSAL, FULL, Band, tiling, window

# B, T, S, H, G, K, E: one token, odd lengths, grouped heads, wide values, cross.
SHAPES = (
    (1, 1, 1, 1, 1, 1, 1),
    (3, 65, 65, 4, 2, 8, 8),
    (2, 33, 65, 3, 3, 16, 5),
    (1, 65, 17, 2, 1, 2, 2),
)


def arrays(shape, dtype=np.float32):
    B, T, S, H, G, K, E = shape
    source = np.random.default_rng(0)
    sizes = (B, T, H, K), (B, S, G, K), (B, S, G, E), (B, T, H, E)
    return [source.standard_normal(size).astype(dtype) for size in sizes]


def segments(batch: int, length: int, seed: int) -> np.ndarray:
    """Rows of packed segments among padding; the last row is only padding."""
    source = np.random.default_rng(seed)
    ids_BT = np.sort(source.integers(0, 4, (batch, length)), axis=1)
    if batch > 1:
        ids_BT[-1] = 0
    return ids_BT.astype(np.int32)


def blocks(size: int):
    return functools.partial(flash.flash_attention, block=size)


FORMS = {
    "chunked": flash.flash_attention,
    "blocks of 5": blocks(5),
    "library": dense.library,
}


@functools.partial(jax.jit, static_argnums=(0, 1))
def pulled(form, mask, ids, q, k, v, ct):
    out, back = jax.vjp(
        lambda q, k, v: form(q, k, v, mask=mask, segments_BT=ids[0], source_BS=ids[1]),
        q,
        k,
        v,
    )
    return out, *back(ct)


def error(got, want) -> float:
    got, want = np.asarray(got, np.float64), np.asarray(want)
    return float(np.linalg.norm(got - want) / (np.linalg.norm(want) or 1))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_forms_agree_with_the_naive_one_in_float64(form, shape):
    B, T, S, _, _, K, E = shape
    if form == "library" and K != E:
        pytest.skip("the library takes values of the head size of the keys")
    mask = window(6, 3) if T == 33 else CAUSAL
    ids = segments(B, T, 1), segments(B, S, 2)
    for given in ((None, None), ids):
        with jax.enable_x64(True):
            wide = arrays(shape, np.float64)
            want = pulled(dense.naive, mask, given, *wide)
        got = pulled(FORMS[form], mask, given, *arrays(shape))
        for one, two, reach in zip(got, want, (2e-6, 1e-5, 1e-5, 1e-5), strict=True):
            assert error(one, two) <= reach


@pytest.mark.parametrize("form", ["chunked", "library"])
def test_bfloat16_stays_close_to_float64(form):
    shape = SHAPES[1]
    with jax.enable_x64(True):
        want = pulled(dense.naive, CAUSAL, (None, None), *arrays(shape, np.float64))
    narrow = [jnp.asarray(a, jnp.bfloat16) for a in arrays(shape)]
    # The library itself promotes bfloat16 in its backward pass.
    with jax.numpy_dtype_promotion("standard" if form == "library" else "strict"):
        got = pulled(FORMS[form], CAUSAL, (None, None), *narrow)
    for one, two, reach in zip(got, want, (1e-2, 2e-2, 2e-2, 2e-2), strict=True):
        assert one.dtype == jnp.bfloat16
        assert error(one, two) <= reach


@pytest.mark.parametrize("form", ["naive", *FORMS])
def test_a_query_that_sees_nothing_gives_exact_zeros(form):
    form = dense.naive if form == "naive" else FORMS[form]
    q, k, v, ct = arrays((2, 9, 9, 2, 2, 4, 4))
    ids = np.ones((2, 9), np.int32)
    ids[0, 3:6] = ids[1] = 0
    out, dq, dk, dv = pulled(form, FULL, (ids, ids), q, k, v, ct)
    for leaf in (out, dq, dk, dv):
        assert np.isfinite(leaf).all()
        assert not np.asarray(leaf)[ids == 0].any()
    assert np.asarray(out)[ids == 1].all()


@pytest.mark.parametrize("form", ["naive", *FORMS])
def test_extreme_inputs_stay_finite(form):
    form = dense.naive if form == "naive" else FORMS[form]
    q, k, v, ct = arrays((1, 9, 9, 1, 1, 4, 4))
    for a, b in ((1e4, 1.0), (1.0, 1e30), (0.0, 0.0), (1e-40, 1e-40)):
        a, b = np.float32(a), np.float32(b)
        for leaf in pulled(form, CAUSAL, (None, None), q * a, k, v * b, ct):
            assert np.isfinite(leaf).all()


def test_gradients_are_those_of_finite_differences():
    with jax.enable_x64(True):
        q, k, v, _ = arrays((1, 5, 5, 2, 1, 2, 3), np.float64)
        ids = np.array([[1, 1, 0, 2, 2]])

        def of(form):
            return jax.jit(
                lambda q, k, v: form(
                    q, k, v, mask=CAUSAL, segments_BT=ids, source_BS=ids
                )
            )

        near = {"modes": ["rev"], "rtol": 1e-6, "atol": 1e-6}
        check_grads(of(dense.naive), (q, k, v), order=2, **near)
        check_grads(of(blocks(2)), (q, k, v), order=1, **near)


def test_members_of_a_population_agree_with_one_alone():
    q, k, v, _ = arrays((3, 17, 17, 2, 1, 4, 4))

    def loss(q, k, v):
        return (flash.flash_attention(q, k, v, mask=CAUSAL, block=8) ** 2).sum()

    grad = jax.grad(loss, (0, 1, 2))
    got = jax.jit(jax.vmap(grad))(*(a[:, None] for a in (q, k, v)))
    want = jax.jit(grad)(q, k, v)
    for one, two in zip(got, want, strict=True):
        assert error(np.asarray(one)[:, 0], two) <= 1e-6


@pytest.mark.parametrize("mask", [CAUSAL, window(255, 0)], ids=str)
def test_memory_is_linear_in_the_length(mask):
    def temporaries(length: int) -> int:
        like = jax.ShapeDtypeStruct((1, length, 2, 16), jnp.float32)
        grad = jax.grad(
            lambda q, k, v: dense.attention(q, k, v, mask=mask).sum(), (0, 1, 2)
        )
        program = jax.jit(grad).lower(like, like, like).compile()
        return program.memory_analysis().temp_size_in_bytes

    assert temporaries(16_384) <= 4.5 * temporaries(4_096)


@pytest.mark.parametrize("span", [1, 9, 40, 300])
def test_a_window_is_dense_attention_with_its_mask(span):
    q, k, v, _ = arrays((2, 141, 141, 2, 1, 4, 4))
    ids = segments(2, 141, 3)
    band = window(span - 1, 0)

    @jax.jit
    def seen(q, k, v):
        dense_of = functools.partial(dense.attention, q, k, v, segments_BT=ids)
        sparse_of = functools.partial(
            sparse.sparse_attention, q, k, v, mask=band, segments_BT=ids
        )
        return [
            dense_of(mask=band, implementation="naive"),
            *(sparse_of(implementation=form) for form in (None, "chunked", "naive")),
            *([dense_of(mask=CAUSAL)] if span >= 141 else []),
        ]

    want, *every = seen(q, k, v)
    for got in every:
        assert error(got, want) <= 2e-6


def test_a_window_block_is_never_far_wider_than_the_window():
    assert [sparse.block(window(w - 1, 0)) for w in (1, 64, 256, 4096)] == [
        64, 64, 128, 256,
    ]  # fmt: skip
    assert sparse.block(Band(left=3)) == flash.BLOCK


def test_source_segments_mask_a_cache():
    q, k, v, _ = arrays((2, 1, 6, 2, 2, 4, 4))
    held = np.array([[1, 1, 1, 0, 0, 0]] * 2, np.int32)
    see = jax.jit(dense.attention)
    got = see(q, k, v, source_BS=held)
    want = see(q, k[:, :3], v[:, :3])
    assert error(got, want) <= 2e-6


def test_what_cannot_run_is_refused():
    q, k, v, _ = arrays((1, 4, 4, 2, 2, 4, 3))
    with pytest.raises(ValueError, match="head size of the keys"):
        dense.attention(q, k, v, implementation="library")
    for attend in (
        dense.attention,
        functools.partial(sparse.sparse_attention, mask=CAUSAL),
    ):
        with pytest.raises(ValueError, match="'fast'; it must be one of naive"):
            attend(q, k, v, implementation="fast")
        with pytest.raises(ValueError, match="multiple of G"):
            attend(q[:, :, :1], k, v)
        with pytest.raises(ValueError, match=r"are \(1, 9\); they must be \(1, 4\)"):
            attend(q, k, v, segments_BT=np.ones((1, 9), int))
    for attend in (dense.attention, sparse.sparse_attention):
        with pytest.raises(ValueError, match="mask is ndarray; it must be one of"):
            attend(q, k, v, mask=np.ones((4, 4), bool))
    with pytest.raises(ValueError, match="block is 0; it must be at least 1"):
        tiling(CAUSAL, 4, 4, 0)


def test_torch_gives_the_same_outputs_and_gradients():
    torch = pytest.importorskip("torch", reason="torch, the peer, is not installed")
    given = arrays((2, 33, 33, 4, 2, 8, 8))
    heads = [
        torch.tensor(a.swapaxes(1, 2), requires_grad=i < 3) for i, a in enumerate(given)
    ]
    out = torch.nn.functional.scaled_dot_product_attention(
        *heads[:3], is_causal=True, enable_gqa=True
    )
    out.backward(heads[3])
    got = pulled(flash.flash_attention, CAUSAL, (None, None), *given)
    for one, two in zip(got, [out, *(a.grad for a in heads[:3])], strict=True):
        assert error(np.swapaxes(one, 1, 2), two.detach().numpy()) <= 2e-6
