"""The public table of ops: it is whole, explained, checked, and costs no import."""

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research import ops

MODULES = {path.stem for path in Path(ops.__file__).parent.iterdir()}


@pytest.mark.parametrize("name", ops.__all__)
def test_every_name_is_an_op_with_a_docstring(name):
    op = getattr(ops, name)
    # A mask such as CAUSAL is a value; its class has the docstring.
    assert callable(op) or callable(getattr(op, "admit", None))
    assert inspect.getdoc(op)
    # Once the module were imported, it would stand in the place of the op.
    assert name not in MODULES


def test_the_table_is_whole():
    assert set(ops.__all__) == set(ops._PUBLIC) <= set(dir(ops))
    with pytest.raises(AttributeError, match="no attribute 'attend'"):
        _ = ops.attend


def test_the_table_alone_imports_no_jax():
    code = "import sys, attn_research.ops; print('jax' in sys.modules)"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "False"


B, T, H, K, E = 2, 6, 2, 4, 3


def arrays(**more):
    """Queries, keys and values of one shape each."""
    rng = np.random.default_rng(0)
    shapes = {"q": (B, T, H, K), "k": (B, T, H, K), "v": (B, T, H, E)}
    made = {n: jnp.asarray(rng.normal(size=s), jnp.float32) for n, s in shapes.items()}
    return [*{**made, **more}.values()]


@pytest.mark.parametrize("name", ["attention", "linear_attention", "delta_rule"])
def test_an_op_from_the_public_door_names_the_array_that_does_not_fit(name):
    op, more = getattr(ops, name), []
    if name == "delta_rule":
        more = [jnp.full((B, T, H), 0.5)]
    good = op(*arrays(), *more)
    inner = getattr(importlib.import_module(op.__module__), name)
    np.testing.assert_array_equal(good, inner(*arrays(), *more))
    wrong = {
        "q": jnp.ones((T, H, K)),
        "k": jnp.ones((B, T, H, K + 1)),
        "v": jnp.ones((B, T + 1, H, E)),
    }
    for array, value in wrong.items():
        with pytest.raises(ValueError, match=f"_.* of {name} has .*must"):
            op(*arrays(**{array: value}), *more)
    with pytest.raises(ValueError, match="must be of real numbers"):
        op(*arrays(q=jnp.ones((B, T, H, K), jnp.int32)), *more)
    with pytest.raises(ValueError, match="none of them empty"):
        op(*arrays(q=jnp.ones((B, 0, H, K))), *more)
    with pytest.raises(ValueError, match="segments_BT"):
        op(*arrays(), *more, segments_BT=jnp.ones((B, T + 1), jnp.int32))
    for array in "qkv":
        with pytest.raises(ValueError, match=f"^{array}_.* of {name} is None; it must"):
            op(*arrays(**{array: None}), *more)
        listed = np.zeros((B, T, H, K)).tolist()
        with pytest.raises(ValueError, match=f"^{array}_.* is of the type list; it mu"):
            op(*arrays(**{array: listed}), *more)
    assert op(*arrays(), *more, segments_BT=None).shape == good.shape
    jitted = jax.jit(lambda q, k, v: op(q, k, v, *more))
    np.testing.assert_allclose(jitted(*arrays()), good, rtol=1e-5, atol=1e-6)
