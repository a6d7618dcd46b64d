"""The subjects of `mixers.py` that are ours: bare ops, and every mixer as a whole.

A subject is built for a length and a dtype. It has two calls, forward and forward with
backward, each of which blocks until its result is ready, and the bytes that the
compiler reserves for them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

HEADS, SIZE = 4, 64
WIDTH = HEADS * SIZE
STATES = 16


class Subject(NamedTuple):
    """Two calls and, if a compiler predicts it, their peak memory in bytes.

    `both` is None if there is no backward. `both_temporary_bytes` is the part of its
    memory that is neither arguments, which include the cotangent, nor results.
    """

    forward: Callable[[], Any]
    both: Callable[[], Any] | None
    forward_bytes: int | None = None
    both_bytes: int | None = None
    both_temporary_bytes: int | None = None


def ops() -> dict[str, Callable[[int, str], Subject]]:
    """The ops that have a peer, on heads of plain arrays."""
    import jax
    import jax.numpy as jnp

    from attn_research.ops import dense, sparse
    from attn_research.ops.linear import linear_attention
    from attn_research.ops.masks import CAUSAL, window
    from attn_research.ops.recurrence import diagonal_recurrence
    from attn_research.ops.selective import selective_scan

    def chunked(q, k, v):
        return dense.attention(q, k, v, mask=CAUSAL, implementation="chunked")

    def library(q, k, v):
        return jax.nn.dot_product_attention(q, k, v, is_causal=True)

    def windowed(q, k, v):
        return sparse.sparse_attention(q, k, v, mask=window(255, 0))

    def linear(q, k, v):
        q, k = (jax.nn.elu(x) + jnp.asarray(1, x.dtype) for x in (q, k))
        return linear_attention(q, k, v, causal=True, normalize=False)

    def recurrence(a, b, _):
        a, b = (x.reshape(*x.shape[:2], -1) for x in (a, b))
        return diagonal_recurrence(jax.nn.sigmoid(a), b)

    def selective(u, step, both):
        u, step = (x.reshape(*x.shape[:2], -1) for x in (u, step))
        write, read = (both[:, :, head, :STATES] for head in (0, 1))
        rate = jnp.arange(1, STATES + 1, dtype=u.dtype)
        rate = jnp.broadcast_to(rate, (WIDTH, STATES))
        return selective_scan(u, jax.nn.softplus(step), rate, write, read)

    return {
        "dense chunked": _op(chunked),
        "jax.nn.dot_product_attention": _op(library),
        "window 256": _op(windowed),
        "linear chunked": _op(linear),
        "diagonal recurrence": _op(recurrence),
        "selective scan": _op(selective),
    }


def mixers() -> dict[str, Callable[[int, str], Subject]]:
    """Every mixer of the table with its projections; causal if it has such a form."""
    from attn_research.modules import MIXERS

    return {name: _mixer(name) for name in MIXERS}


def _op(call: Callable[..., Any]) -> Callable[[int, str], Subject]:
    def make(length: int, dtype: str) -> Subject:
        import jax

        keys = jax.random.split(jax.random.key(0), 3)
        shape = 1, length, HEADS, SIZE
        arrays = tuple(jax.random.normal(key, shape, dtype) for key in keys)
        return _subject(call, arrays)

    return make


def _mixer(name: str) -> Callable[[int, str], Subject]:
    def make(length: int, dtype: str) -> Subject:
        import jax

        from attn_research.modules import MIXERS
        from attn_research.modules.contract import both_ways_only
        from attn_research.pure import functional

        mixer: Any = MIXERS[name]
        causal = not both_ways_only(mixer)
        model = functional(
            lambda rngs: mixer(
                mixer.Options(), width=WIDTH, causal=causal, length=length, rngs=rngs
            )
        )
        params = jax.jit(model.init)(jax.random.key(0))
        x_BTD = jax.random.normal(jax.random.key(1), (1, length, WIDTH), dtype)
        return _subject(model.apply, (params, x_BTD))

    return make


def _subject(call: Callable[..., Any], arguments: tuple[Any, ...]) -> Subject:
    import jax

    from attn_research.host import memory

    def pulled(cotangent: jax.Array, *arguments: Any) -> Any:
        output, back = jax.vjp(call, *arguments)
        return output, back(cotangent)

    forward = jax.jit(call).lower(*arguments).compile()
    like = jax.eval_shape(call, *arguments)
    cotangent = jax.random.normal(jax.random.key(2), like.shape, like.dtype)
    both: Any = jax.jit(pulled).lower(cotangent, *arguments).compile()
    return Subject(
        lambda: jax.block_until_ready(forward(*arguments)),
        lambda: jax.block_until_ready(both(cotangent, *arguments)),
        memory.predict(forward),
        memory.predict(both),
        both.memory_analysis().temp_size_in_bytes,
    )
