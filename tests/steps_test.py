"""On an accelerator no mixer takes more steps one after another than it must.

Counted in the traced program of a batch of 64 packed rows of 4,096 tokens, at width 512
with 8 heads in bfloat16. Nothing is compiled, and no accelerator is needed.
"""

import functools

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from attn_research.modules import MIXERS
from attn_research.modules.contract import both_ways_only
from attn_research.ops.platform import on
from attn_research.options import build
from attn_research.testing.laws.steps import sequential

BATCH, LENGTH, WIDTH, HEADS = 64, 4096, 512, 8

# A state is handed from token to token, through a function that is not linear.
TOKENS = dict.fromkeys(("rnn", "lstm", "gru", "slstm"), LENGTH)
# A state is handed from chunk to chunk.
CHUNKS = dict.fromkeys(
    ("linear", "performer", "based", "retnet", "gla", "mamba2", "mlstm", "mamba")
    + ("delta", "gated_delta", "kda", "gdn2", "comba", "rwkv7", "hgrn2", "rwkv6"),
    LENGTH // 128,
)
# All tokens at once, by sweeps or transforms.
NONE = dict.fromkeys(
    ("rwkv4", "diagonal", "rglru", "mingru", "minlstm", "lru", "s4d", "s5")
    + ("conv", "dilated", "baseconv", "hyena"),
    0,
)
BOUNDS = TOKENS | CHUNKS | NONE
# Any other mixer, by blocks of at least 64 tokens; or by chunks of at least 128 updates
# of a state, two for each token.
BLOCKS = LENGTH // 64


@functools.cache
def shapes(name: str, causal: bool):
    """The graph of a mixer and the shapes of its parameters."""
    options = MIXERS[name].Options
    given = {"heads": str(HEADS)} if hasattr(options(), "heads") else {}
    if name == "s5":
        given["state"] = "16"  # its poles are eigenvalues, which take long to find

    def make():
        chosen = build(options, given, name)
        sizes = {"width": WIDTH, "causal": causal, "length": LENGTH}
        return MIXERS[name](chosen, **sizes, rngs=nnx.Rngs(0))

    graph, state = nnx.split(nnx.eval_shape(make))
    return graph, jax.tree.map(narrow, state)


def narrow(leaf):
    floating = jnp.issubdtype(leaf.dtype, jnp.floating)
    return jax.ShapeDtypeStruct(leaf.shape, jnp.bfloat16 if floating else leaf.dtype)


def steps(name: str, platform: str, causal: bool, packed: bool = True) -> int:
    """Sequential steps of one forward pass."""
    graph, state = shapes(name, causal)
    x_BTD = jax.ShapeDtypeStruct((BATCH, LENGTH, WIDTH), jnp.bfloat16)
    ids = [jax.ShapeDtypeStruct((BATCH, LENGTH), jnp.int32)] if packed else []
    with on(platform):
        traced = jax.make_jaxpr(lambda state, *x: nnx.merge(graph, state)(*x))
        return sequential(traced(state, x_BTD, *ids).jaxpr)


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize("name", MIXERS)
def test_no_mixer_is_sequential_where_it_need_not_be(name, platform):
    causal = not both_ways_only(MIXERS[name])
    assert steps(name, platform, causal) <= BOUNDS.get(name, BLOCKS)


@pytest.mark.slow
@pytest.mark.parametrize("platform", ["cuda", "rocm", "tpu"])
@pytest.mark.parametrize("name", MIXERS)
def test_nor_is_it_both_ways_or_with_whole_rows(name, platform):
    """A recurrence runs once in each direction."""
    bound = BOUNDS.get(name, BLOCKS)
    assert steps(name, platform, causal=False) <= 2 * bound
    assert steps(name, platform, causal=False, packed=False) <= 2 * bound
    if not both_ways_only(MIXERS[name]):
        assert steps(name, platform, causal=True, packed=False) <= bound


def test_the_kernels_for_tpus_hold_no_loop_of_ours():
    assert [steps(name, "tpu", True) for name in ("dense", "window")] == [0, 0]


def test_the_count_sees_the_loops_of_a_cpu():
    """What the law is there to reject: rows one after another."""
    assert steps("dense", "cpu", True) >= BATCH * HEADS
    assert steps("reformer", "cpu", True) >= BATCH * HEADS
    assert steps("diagonal", "cpu", True) == LENGTH


def test_the_count_of_steps():
    def body(carry, _):
        inner = jax.lax.fori_loop(0, 5, lambda _, x: x + 1, carry)
        return jax.lax.cond(inner > 3, lambda x: jnp.sin(x), jnp.cos, inner), None

    def program(x, end):
        once = jax.lax.scan(body, x, None, length=7)[0]
        return once + jax.lax.fori_loop(0, end, lambda _, x: x * 2, x)

    traced = jax.make_jaxpr(program)(1.0, jnp.int32(3))
    assert sequential(traced.jaxpr) == 5 * 7 + 1
    assert sequential(jax.make_jaxpr(jnp.sin)(1.0).jaxpr) == 0
    both = jax.make_jaxpr(jax.grad(lambda x: program(x, 3)))(1.0)
    assert sequential(both.jaxpr) >= 2 * 5 * 7
