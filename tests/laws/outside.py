"""What others rely on: the cost told, pure functions of dicts, and Linen models."""

import jax
import numpy as np
from flax import nnx
from flax.core import meta

from attn_research.functional import functional, to_params
from attn_research.modules.contract import carry_bytes, parameters
from tests.laws.case import LENGTH, ONES, WIDTH, Case, compiled, inputs, pull, split
from tests.laws.measure import close


def law_cost(case: Case) -> None:
    """`cost` tells the real number of parameters and the real size of the carry."""
    mixer = case.build()
    cost, half = mixer.cost(LENGTH), mixer.cost(LENGTH // 2)
    assert cost.params == parameters(mixer), f"params {cost.params}"
    state_bytes = carry_bytes(mixer.start(1, LENGTH)) if case.causal else 0
    assert cost.state_bytes == state_bytes, f"state_bytes {cost.state_bytes}"
    assert cost.flops > half.flops > 0, f"flops {cost.flops} and {half.flops}"


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

    close(*compiled(both)(inputs()[0]), case.same, "through Linen")
