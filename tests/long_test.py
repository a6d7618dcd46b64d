"""Long sequences keep their digits: every scanned form against its scan in float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attn_research.modules import MIXERS
from attn_research.options.specs import choose
from attn_research.testing.laws.case import WIDTH, Case, draw, split
from attn_research.testing.laws.measure import close

# Each with the form that its float64 twin takes: the plain scan over tokens.
SCANNED = {
    "linear(heads=2)": "recurrent",
    "linear(heads=2,decay=scalar)": "recurrent",
    "linear(heads=2,feature=identity,normalize=false,decay=scalar)": "recurrent",
    "diagonal(implementation=sequential)": "sequential",
    "diagonal(implementation=associative)": "sequential",
}
# Of the rotations of `retnet` every angle rounds with its position: see ops/positions.
FORGETTING = {
    "linear(heads=2,feature=hedgehog,decay=input)": "recurrent",
    "performer(heads=2)": "recurrent",
    "based(heads=2,key_size=4)": "recurrent",
    "retnet(positions=none)": "recurrent",
    "gla": "recurrent",
    "mamba2(state=8)": "recurrent",
    "delta(negative=true)": "recurrent",
    "gated_delta": "recurrent",
    "mlstm": "recurrent",
}
OTHERS = {"lstm": None, "gru": None, "conv": None, "dilated": None}
TABLES = {name: mixer.Options for name, mixer in MIXERS.items()}
# Written with twice the strength, a key that is rounded is twice as far off: 1.1e-2.
NARROW = {"delta(negative=true)": 2e-2}


@functools.partial(jax.jit, static_argnums=0)
def forward(graph, state, x_BTD):
    return nnx.merge(graph, state)(x_BTD)


def compare(spec: str, form: str | None, length: int, dtype, reach: float) -> None:
    mixer = MIXERS[spec.partition("(")[0]]
    case = Case(mixer, choose(spec, TABLES, "mixer"), True, spec)
    graph, state = split(case)
    x_BTD = draw(1, 1, length, WIDTH)
    got_BTD = forward(graph, state, jnp.asarray(x_BTD, dtype))
    with jax.enable_x64(True):
        plain = case.with_options(implementation=form) if form else case
        graph, _ = nnx.split(plain.build())
        state = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), state)
        want_BTD = np.asarray(forward(graph, state, x_BTD.astype(np.float64)))
    close(got_BTD, want_BTD, reach, f"{spec} at {length:,} tokens")


@pytest.mark.parametrize("spec", SCANNED)
def test_a_thousand_tokens_keep_their_digits(spec):
    compare(spec, SCANNED[spec], 1024, jnp.float32, 2e-6)
    compare(spec, SCANNED[spec], 1024, jnp.bfloat16, 1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("spec", FORGETTING)
def test_so_do_those_that_forget(spec):
    compare(spec, FORGETTING[spec], 1024, jnp.float32, 2e-6)
    compare(spec, FORGETTING[spec], 1024, jnp.bfloat16, NARROW.get(spec, 1e-2))


@pytest.mark.slow
@pytest.mark.parametrize("spec", SCANNED | FORGETTING)
def test_sixteen_thousand_tokens_keep_their_digits(spec):
    compare(spec, (SCANNED | FORGETTING)[spec], 16_384, jnp.float32, 2e-6)
    every = SCANNED | FORGETTING
    compare(spec, every[spec], 16_384, jnp.bfloat16, NARROW.get(spec, 1e-2))


@pytest.mark.slow
@pytest.mark.parametrize("spec", SCANNED | FORGETTING | OTHERS)
def test_a_hundred_thousand_tokens_keep_their_digits(spec):
    compare(spec, (SCANNED | FORGETTING | OTHERS)[spec], 131_072, jnp.float32, 1e-5)
