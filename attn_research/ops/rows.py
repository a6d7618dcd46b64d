"""Independent rows of batch and head: one after another on a CPU, else side by side.

On a CPU, products of one row stay in cache, and rows as a batch axis are several times
slower. On an accelerator each step of a loop is a kernel of its own, so that a loop
over the rows would take as many times the time of one.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from attn_research.ops.forgetting import fading
from attn_research.ops.plan import At, Chosen, Plan
from attn_research.ops.platform import accelerated
from attn_research.ops.tiles import Tiles


def each(row: Callable[..., Any], *arrays: Any) -> Any:
    """`row` of every entry of the first axis of all arrays, along a first axis."""
    if accelerated():
        return jax.vmap(row)(*arrays)
    return jax.lax.map(lambda one: row(*one), arrays)


class Rows(NamedTuple):
    """What attention reads: R rows of batch and query head, X of batch and key head.

    Axes as in `flash`; the last three are those of the backward pass. `forget_RJS` are
    the logarithms of forget gates, and the other two of 2 their sums, constants here.
    """

    q_RICK: Any
    k_XJSK: Any
    v_XJSE: Any
    segment_BIC: Any
    source_BJS: Any
    listed: Tiles | None
    chosen: Chosen | None
    bias_HD: Any
    sink_H: Any
    forget_RJS: Any = None
    upto_RIC2: Any = None
    upto_RJS2: Any = None
    out_RICE: Any = None
    log_RIC: Any = None
    grad_RICE: Any = None

    def fading(self, at: At, i: Any, j: Any) -> jax.Array | None:
        """bias_CS of the block i of queries and the block j of keys."""
        if self.upto_RIC2 is None:
            return None
        return fading(self.upto_RIC2[*at.row, i], self.upto_RJS2[*at.row, j])


HEADS = ("q_RICK", "out_RICE", "log_RIC", "grad_RICE", "forget_RJS", "upto_RIC2",
         "upto_RJS2")  # fmt: skip


def over(plan: Plan, row: Callable[[At, Rows], Any], rows: Rows) -> Any:
    """row(at, rows) of each of the R rows, along a first axis."""
    run = _beside if accelerated() else _after
    return run(plan, row, rows)


def _after(plan: Plan, row: Callable[[At, Rows], Any], rows: Rows) -> Any:
    last = 0 if rows.listed is None else rows.listed.count_BI.shape[0] - 1

    def one(r: jax.Array) -> Any:
        batch, head = r // plan.heads, r % plan.heads
        key = batch * plan.groups + head // (plan.heads // plan.groups)
        at = At((r,), (key,), (batch,), (head,), (jnp.minimum(batch, last),))
        return row(at, rows)

    return jax.lax.map(one, jnp.arange(rows.q_RICK.shape[0], dtype=jnp.int32))


def _beside(plan: Plan, row: Callable[[At, Rows], Any], rows: Rows) -> Any:
    """Over batch, key heads, and the query heads of each, without a gather."""
    batch, groups = rows.segment_BIC.shape[0], plan.groups
    heads = batch, groups, plan.heads // groups
    shared = rows.listed is not None and rows.listed.count_BI.shape[0] == 1
    chosen = rows.chosen
    split = rows._replace(
        k_XJSK=_split(rows.k_XJSK, heads[:2]),
        v_XJSE=_split(rows.v_XJSE, heads[:2]),
        listed=jax.tree.map(lambda x: x[0], rows.listed) if shared else rows.listed,
        chosen=chosen and chosen._replace(best=_split(chosen.best, heads)),
        bias_HD=_split(rows.bias_HD, heads[1:]),
        sink_H=_split(rows.sink_H, heads[1:]),
        **{name: _split(getattr(rows, name), heads) for name in HEADS},
    )
    none: Any = Rows(*[None] * len(Rows._fields))
    of_query = none._replace(bias_HD=0, sink_H=0, **dict.fromkeys(HEADS, 0))
    if chosen is not None:
        rest: Any = {"best": 0, "own": None, "keys": None}
        of_query = of_query._replace(chosen=Chosen(**rest))
    of_key = of_query._replace(k_XJSK=0, v_XJSE=0)
    of_batch = none._replace(**dict.fromkeys(Rows._fields, 0))._replace(
        listed=None if shared else 0, bias_HD=None, sink_H=None
    )

    def call(one: Rows) -> Any:
        return row(At(), one)

    for axes in (of_query, of_key, of_batch):
        call = jax.vmap(call, in_axes=(axes,))
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[3:]), call(split))


def _split(x: Any, axes: tuple[int, ...]) -> Any:
    """x with its first axis as these axes."""
    return None if x is None else x.reshape(*axes, *x.shape[1:])
