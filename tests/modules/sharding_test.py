"""A batch that is sharded over devices stays sharded through a mixer."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as Along

import attn_research as ar
from attn_research.modules.contract import both_ways_only

B, T, D = 4, 12, 8
QUICK = {"window", "gated_delta", "lstm", "s5", "nystrom"}
MOVED = re.compile(r"= \S+ (all-gather|all-to-all|collective-permute)(?:-start)?\(")


def model(name: str, causal: bool):
    return ar.functional(
        lambda rngs: ar.mixer(name, width=D, length=T, causal=causal, rngs=rngs)
    )


def arrays():
    x_BTD = jax.random.normal(jax.random.key(1), (B, T, D))
    return x_BTD, ar.segments([[1] * 5 + [2] * 5 + [0, 0]] * B)


def across(kind: AxisType):
    return jax.make_mesh((2,), ("data",), axis_types=(kind,))


def marked(names):
    for name in names:
        yield pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)


def outputs(pure):
    """params, x, segments -> y and the gradients of a loss by params and x."""

    def loss(params, x_BTD, ids_BT):
        y_BTD = pure.apply(params, x_BTD, ids_BT)
        return jnp.sum(y_BTD * y_BTD), y_BTD

    def both(params, x_BTD, ids_BT):
        of = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)
        (_, y_BTD), grads = of(params, x_BTD, ids_BT)
        return y_BTD, grads

    return jax.jit(both)


@pytest.mark.parametrize("kind", [AxisType.Explicit, AxisType.Auto])
@pytest.mark.parametrize("name", [*marked(ar.MIXERS)])
def test_a_sharded_batch_stays_sharded_through_a_mixer(name, kind):
    pure = model(name, causal=not both_ways_only(ar.MIXERS[name]))
    params, inputs = pure.init(jax.random.key(0)), arrays()
    want, (dparams, dx_BTD) = outputs(pure)(params, *inputs)
    mesh = across(kind)
    rows, whole = NamedSharding(mesh, Along("data")), NamedSharding(mesh, Along())
    with jax.set_mesh(mesh):
        given = jax.device_put(params, whole), *jax.device_put(inputs, rows)
        compiled = outputs(pure).lower(*given).compile()
        y_BTD, (dp, dx) = compiled(*given)
        forward = jax.jit(pure.apply).lower(*given).compile()
    # The sums over the batch differ in their order.
    close = {"rtol": 1e-4, "atol": 1e-4}
    for one, other in zip(
        jax.tree.leaves((want, dparams, dx_BTD)),
        jax.tree.leaves((y_BTD, dp, dx)),
        strict=True,
    ):
        np.testing.assert_allclose(jax.device_get(other), one, **close)
    assert not MOVED.findall(forward.as_text())
    assert y_BTD.sharding.is_equivalent_to(rows, 3)
    assert not MOVED.findall(compiled.as_text())
    if kind is AxisType.Explicit:
        assert dx.sharding.is_equivalent_to(rows, 3)
        assert all(leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(dp))


def test_what_moves_activations_is_seen():
    """The same program, with the batch gathered: the test above must see it."""
    mesh = across(AxisType.Auto)
    rows, whole = NamedSharding(mesh, Along("data")), NamedSharding(mesh, Along())
    gathered = jax.jit(
        lambda x_BTD: jax.lax.with_sharding_constraint(x_BTD + 1, whole) * 2
    )
    x_BTD = jax.device_put(arrays()[0], rows)
    assert MOVED.findall(gathered.lower(x_BTD).compile().as_text())


@pytest.mark.parametrize("name", ["conv", "conv|linear"])
def test_explicit_axes_need_no_jit_and_no_segments(name):
    pure, (x_BTD, _) = model(name, True), arrays()
    params = pure.init(jax.random.key(0))
    want = pure.apply(params, x_BTD)
    mesh = across(AxisType.Explicit)
    rows, whole = NamedSharding(mesh, Along("data")), NamedSharding(mesh, Along())
    with jax.set_mesh(mesh):
        params = jax.device_put(params, whole)
        y_BTD = pure.apply(params, jax.device_put(x_BTD, rows))
        assert y_BTD.sharding.is_equivalent_to(rows, 3)
        np.testing.assert_allclose(jax.device_get(y_BTD), want, rtol=1e-5, atol=1e-6)
        time = NamedSharding(mesh, Along(None, "data"))
        with pytest.raises(ar.BadInput, match="sharded along the batch alone"):
            pure.apply(params, jax.device_put(x_BTD, time))
