"""The forms of the ops for accelerators, run on a CPU, against the naive twins."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from attn_research.ops import dense, flash, linformer, lsh, nystrom, selection, sparse
from attn_research.ops.linear.attention import linear_attention
from attn_research.ops.logits import PLAIN, Logits
from attn_research.ops.masks import CAUSAL, FULL, window
from attn_research.ops.patterns import Globals, Random
from attn_research.ops.platform import accelerated, on, platform

B, T, H, G, K, E = 2, 150, 4, 2, 8, 6
SEGMENTS = jnp.asarray(
    [[3] * 20 + [0] + [9] * 60 + [2] * 69, [1] * 128 + [5] * 22], jnp.int32
)


def normal(seed: int, *shape: int) -> jax.Array:
    noise = np.random.default_rng(seed)
    return jnp.asarray(noise.standard_normal(shape, np.float32))


def pulled(call, *arrays):
    """The output, and the gradients of its product with fixed numbers."""
    out, back = jax.vjp(call, *arrays)
    return out, *back(normal(9, *out.shape).astype(out.dtype))


def agree(run, twin, *arrays, error: float = 2e-5):
    """On a CPU in its own form, in that for accelerators, and in the naive one."""
    want = jax.jit(functools.partial(pulled, twin))(*arrays)
    with on("cuda"):
        got = jax.jit(functools.partial(pulled, run))(*arrays)
    here = jax.jit(functools.partial(pulled, run))(*arrays)
    for one, two, three in zip(got, here, want, strict=True):
        assert np.isfinite(one).all()
        np.testing.assert_allclose(one, three, rtol=error, atol=error * 10)
        np.testing.assert_allclose(one, two, rtol=error, atol=error * 10)


def test_the_platform_is_named_and_known_only_within():
    assert platform() == jax.default_backend() and not accelerated()
    with on("tpu"):
        assert platform() == "tpu" and accelerated()
        with on(None):
            assert platform() == jax.default_backend()
    assert not accelerated()
    with pytest.raises(ValueError, match="is gpu; it must be one of cpu, cuda, rocm"):
        on("gpu")


def test_a_traced_program_is_not_taken_for_another_platform():
    @jax.jit
    def told(x):
        return x + (1 if accelerated() else 0)

    assert told(0) == 0
    with on("cuda"):
        assert told(0) == 1
    assert told(0) == 0


MASKS = {
    "full": FULL,
    "causal": CAUSAL,
    "window": window(9, 0),
    "wide": window(40, 3),
    "bigbird": (window(9, 9) | Globals(3) | Random(2, 16, 0)) & CAUSAL,
}


@pytest.mark.parametrize("ids", [None, SEGMENTS], ids=["one", "packed"])
@pytest.mark.parametrize("mask", MASKS)
def test_rows_side_by_side_are_the_definition(mask, ids, monkeypatch):
    monkeypatch.setattr(flash, "BLOCK", 16)
    monkeypatch.setattr(flash, "LANES", 32)
    monkeypatch.setattr(flash, "KEYS", 64)
    monkeypatch.setattr(flash, "SCORES", 40 * B * H * 64)
    forget = [] if mask == "bigbird" else [-jnp.abs(normal(6, B, T, H))]
    seen = {"mask": MASKS[mask], "segments_BT": ids, "source_BS": ids}
    q, k, v = normal(0, B, T, H, K), normal(1, B, T, G, K), normal(2, B, T, G, E)
    assert flash.narrow(MASKS[mask], T) == (mask in ("window", "wide"))

    def run(op, q, k, v, *logits):
        return op(q, k, v, **seen, logits=Logits(None, *logits))

    arrays = q, k, v, normal(4, H, 2 * T - 1), normal(5, H), *forget
    run_of = functools.partial
    agree(run_of(run, flash.flash_attention), run_of(run, dense.naive), *arrays)


def test_steps_over_rows_would_be_seen(monkeypatch):
    """The planted mistake: rows of the wrong key head."""
    wrong = normal(1, B, T, G, K)[:, :, ::-1]
    q, k, v = normal(0, B, T, H, K), normal(1, B, T, G, K), normal(2, B, T, G, E)
    run = functools.partial(flash.flash_attention, mask=CAUSAL)
    with pytest.raises(AssertionError):
        agree(run, lambda q, k, v: dense.naive(q, wrong, v, mask=CAUSAL), q, k, v)


@pytest.mark.parametrize("ids", [None, SEGMENTS], ids=["one", "packed"])
@pytest.mark.parametrize("rule", [selection.Best(5), selection.Blocks(3, 16)])
def test_selected_keys(rule, ids):
    q, k, v = normal(0, B, T, H, K), normal(1, B, T, G, K), normal(2, B, T, G, E)
    run = functools.partial(
        selection.selected_attention, rule=rule, causal=True, segments_BT=ids, chunk=32
    )
    agree(run, functools.partial(run, implementation="naive"), q, k, v)


def test_sparse_attention_leaves_bands_to_the_choice_of_dense(monkeypatch):
    asked = []
    monkeypatch.setattr(
        dense, "attention", lambda *arrays, **seen: asked.append(seen["mask"])
    )
    q = normal(0, B, T, H, K)
    for place in ("cuda", "tpu"):
        with on(place):
            sparse.sparse_attention(q, q, q, mask=window(3, 0))
            sparse.sparse_attention(q, q, q, mask=Globals(3) | window(3, 0))
    sparse.sparse_attention(q, q, q, mask=window(3, 0))
    assert asked == [window(3, 0)] * 2


@pytest.mark.parametrize("causal", [True, False])
def test_hashed_attention(causal):
    made = lsh.rotations(H, 3, K, 4, 0)
    run = functools.partial(
        lsh.lsh_attention,
        rotations_HNKR=made,
        span=7,
        causal=causal,
        segments_BT=SEGMENTS,
    )
    twin = functools.partial(run, implementation="naive")
    agree(run, twin, normal(0, B, T, H, K), normal(1, B, T, H, E))


def test_low_rank_attention():
    arrays = [normal(n, B, T, H, K) for n in range(3)]
    tables = normal(4, T, 5), normal(5, T, 5)
    run = functools.partial(linformer.linformer_attention, segments_BT=SEGMENTS)
    twin = functools.partial(run, implementation="naive")
    agree(run, twin, *arrays, *tables, error=1e-4)
    run = functools.partial(
        nystrom.nystrom_attention, landmarks=4, segments_BT=SEGMENTS, packed=3
    )
    agree(run, functools.partial(run, implementation="naive"), *arrays, error=1e-3)


def test_chunks_are_longer():
    q, k, v = (normal(n, B, 2 * T, H, K) for n in range(3))
    log_decay = -jnp.abs(normal(3, B, 2 * T, H))
    run = functools.partial(linear_attention, log_decay=log_decay)
    agree(run, functools.partial(run, implementation="naive"), q, k, v, error=1e-4)


BAND = window(255, 0)
CHOICES = [
    # platform, dtype, mask, packed, cuDNN at hand -> implementation
    ("cpu", jnp.bfloat16, CAUSAL, False, True, "chunked"),
    ("cuda", jnp.bfloat16, CAUSAL, False, True, "library"),
    ("cuda", jnp.bfloat16, BAND, False, True, "library"),
    ("cuda", jnp.bfloat16, window(3, 3), False, True, "chunked"),
    ("cuda", jnp.bfloat16, CAUSAL, True, True, "chunked"),
    ("cuda", jnp.float32, CAUSAL, False, True, "chunked"),
    ("cuda", jnp.bfloat16, CAUSAL, False, False, "chunked"),
    ("rocm", jnp.bfloat16, CAUSAL, False, True, "chunked"),
]


@pytest.mark.parametrize(("place", "dtype", "mask", "packed", "has", "want"), CHOICES)
def test_the_choice_of_dense(place, dtype, mask, packed, has, want, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: has or None)
    q = jax.ShapeDtypeStruct((64, 4096, 8, 64), dtype)
    ids = jax.ShapeDtypeStruct((64, 4096), jnp.int32) if packed else None
    with on(place):
        assert dense.choose(q, q, q, mask, ids, PLAIN == Logits()) == want


LSH = lsh.rotations(H, 3, K, 4, 0)
SPARSE = window(9, 0) | Globals(3)
SELECTED = functools.partial(
    selection.selected_attention, causal=True, rule=selection.Blocks(3, 32)
)
FORMS = {
    "flash": lambda q, v, ids: flash.flash_attention(
        q, q, v, mask=CAUSAL, segments_BT=ids, source_BS=ids, block=64
    ),
    "sparse": lambda q, v, ids: sparse.sparse_attention(
        q, q, v, mask=SPARSE, segments_BT=ids
    ),
    "moba": lambda q, v, ids: SELECTED(q, q, v, segments_BT=ids),
    "reformer": lambda q, v, ids: lsh.lsh_attention(
        q, v, rotations_HNKR=LSH, span=32, causal=True, segments_BT=ids
    ),
    "linformer": lambda q, v, ids: linformer.linformer_attention(
        q, q, v, *[jnp.ones((256, 4))] * 2, segments_BT=ids
    ),
    "nystrom": lambda q, v, ids: nystrom.nystrom_attention(
        q, q, v, landmarks=4, segments_BT=ids
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMS)
def test_a_batch_over_devices_is_not_gathered(name):
    """Each device computes its own rows, forward and backward."""
    onto = Mesh(np.array(jax.devices()[:2]), ("B",))
    over = NamedSharding(onto, PartitionSpec("B"))
    heads = jax.ShapeDtypeStruct((4, 256, H, K), jnp.float32, sharding=over)
    ids = jax.ShapeDtypeStruct((4, 256), jnp.int32, sharding=over)

    def loss(q, v, ids):
        return (FORMS[name](q, v, ids) ** 2).sum()

    with on("cuda"):
        lowered = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(heads, heads, ids)
    assert moved(lowered) == []


def test_rows_that_move_between_devices_are_seen():
    onto = Mesh(np.array(jax.devices()[:2]), ("B",))
    over = NamedSharding(onto, PartitionSpec("B"))
    rows = jax.ShapeDtypeStruct((4, 8), jnp.float32, sharding=over)
    assert moved(jax.jit(lambda x: x[::-1], out_shardings=over).lower(rows))


def moved(lowered) -> list[str]:
    """The collectives that move rows between the two devices of a program."""
    text = str(lowered.compile().as_text())
    assert "num_partitions=2" in text
    return re.findall(r"(?:all-gather|all-to-all|collective-permute)\(", text)
