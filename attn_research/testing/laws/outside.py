"""What others rely on: the cost told, pure functions of dicts, and Linen models."""

import dataclasses
import functools

import jax
import numpy as np
from flax import nnx
from flax.core import meta

from attn_research.modules.contract import carry_bytes, parameters
from attn_research.pure import functional, to_params
from attn_research.testing.laws.case import (
    LENGTH,
    ONES,
    WIDTH,
    Case,
    compiled,
    inputs,
    pull,
    split,
)
from attn_research.testing.laws.far import FAR
from attn_research.testing.laws.measure import close
from attn_research.testing.laws.products import flops

# How much faster flops may grow with the length than those of the program do: a form
# for short sequences may differ from that for long ones.
GROWTH = 3.0


def law_cost(case: Case) -> None:
    """`cost` tells the parameters and the size of the carry, at any length."""
    mixer = dataclasses.replace(case, length=FAR).build()
    for length in (1, LENGTH, 4 * LENGTH, FAR):
        cost, half = mixer.cost(length), mixer.cost(max(1, length // 2))
        assert cost.params == parameters(mixer), f"params {cost.params}"
        carry = functools.partial(mixer.start, 1, length)
        state_bytes = carry_bytes(jax.eval_shape(carry)) if case.causal else 0
        where = f"of {length} tokens"
        assert cost.state_bytes == state_bytes, f"state_bytes {where}: {cost}"
        assert cost.flops > half.flops > 0 or length == 1, f"flops {where}: {cost}"


def law_flops(case: Case) -> None:
    """`cost` tells the multiply-adds of the program, within a factor, at any length."""
    ratios = []
    for length in (LENGTH, FAR):
        mixer = dataclasses.replace(case, length=length).build()
        x_BTD = jax.ShapeDtypeStruct((1, length, WIDTH), np.float32)
        made = flops(jax.make_jaxpr(lambda x, mixer=mixer: mixer(x))(x_BTD).jaxpr)
        ratios.append(mixer.cost(length).flops / made)
        assert 1 / case.flops <= ratios[-1] <= case.flops, (
            f"{mixer.cost(length).flops} flops of {length} tokens; the program makes "
            f"{made:.0f}"
        )
    growth, bound = ratios[1] / ratios[0], max(GROWTH, case.flops - 2)
    assert 1 / bound <= growth <= bound, f"flops grow {growth:.2f} times as fast"


def law_functional(case: Case) -> None:
    """Bound to a dict of its parameters, the module is the one they came from."""
    graph, state = split(case)
    bound = nnx.split(functional(case.build).bind(to_params(state)))
    x_BTD, ct_BTD = inputs()
    np.testing.assert_array_equal(
        pull(*bound, x_BTD, ONES, ct_BTD).y_BTD,
        pull(graph, state, x_BTD, ONES, ct_BTD).y_BTD,
    )


def named(tree):
    """Nested dicts with string keys."""
    if not isinstance(tree, dict):
        return tree
    return {str(name): named(leaf) for name, leaf in tree.items()}


def law_bridge(case: Case) -> None:
    """Inside a Linen model the mixer gives what it gives alone."""
    model = functional(case.build)
    linen = nnx.bridge.ToLinen(
        case.mixer,
        args=(case.options,),
        kwargs={"width": WIDTH, "causal": case.causal, "length": LENGTH},
    )

    def both(x_BTD):
        variables = linen.init(jax.random.key(0), x_BTD)
        # Linen boxes what has a learning rate of its own, and numbers lists by int.
        params = named(meta.unbox(variables["params"]))
        alone_BTD = model.apply(params, x_BTD)
        return linen.apply(variables, x_BTD), alone_BTD

    through_BTD, alone_BTD = compiled(both)(inputs()[0])
    close(through_BTD, alone_BTD, case.same, "through Linen")
