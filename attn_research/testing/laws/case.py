"""A mixer to be judged, and the few programs that all laws run it through."""

import dataclasses
import functools
import typing
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from attn_research.testing.laws.measure import GRADIENT

BATCH, LENGTH, WIDTH = 3, 17, 8
ONES = np.ones((BATCH, LENGTH), np.int32)


def quick_to_compile() -> dict[str, Any]:
    """Compiler options for the same mathematics in a quarter of the compile time.

    The laws compile some hundred small programs and run each for a millisecond: they
    do without the optimiser of machine code, and without XLA's newer writer of loops
    where there still is an older one. The tests of the ops compile as users do.
    """
    options: dict[str, Any] = {"xla_backend_optimization_level": 0}
    older = {"xla_cpu_use_fusion_emitters": False}
    try:
        jax.jit(lambda: 0, compiler_options=older)()
    except jax.errors.JaxRuntimeError:
        return options
    return options | older


compiled = functools.partial(jax.jit, compiler_options=quick_to_compile())


@dataclasses.dataclass(frozen=True)
class Case:
    """A mixer class, its options, its direction; hashable, so programs are shared.

    `flat` names the parameters whose exact gradient is zero: rounding noise is all
    that a gradient of theirs holds. `same` is how far two results may part that differ
    in nothing but the order of their sums, `narrow` how far bfloat16 gradients may be,
    `gradient` how far float32 ones.
    `holes`: within its reach the mixer sees what its `mask` admits. `draws`: inputs
    after which a mixer that selects by content has seen all within its reach.
    `selects`: what it sees is chosen by content, so that outputs jump. `exact`: no bit
    of an output depends on a later token, not even by the order of a sum.
    `lacks` names the implementations that refuse these options. `flops` is how far the
    multiply-adds it tells may be from those of its program, as a factor either way.
    """

    mixer: Any
    options: Any
    causal: bool
    name: str = ""
    flat: tuple[str, ...] = ()
    same: float = 1e-6
    narrow: float = 2e-2
    gradient: float = GRADIENT
    holes: bool = False
    draws: int = 1
    selects: bool = False
    exact: bool = True
    lacks: tuple[str, ...] = ()
    flops: float = 5.0
    length: int = LENGTH

    def build(self, rngs: nnx.Rngs | None = None) -> Any:
        return self.mixer(
            self.options,
            width=WIDTH,
            causal=self.causal,
            length=self.length,
            rngs=rngs or nnx.Rngs(0),
        )

    def with_options(self, **changes: Any) -> "Case":
        options = dataclasses.replace(self.options, **changes)
        return dataclasses.replace(self, options=options)

    def implementations(self) -> list[str]:
        """The implementations that the type of the options names, less `lacks`."""
        kind = typing.get_type_hints(type(self.options)).get("implementation")
        inner = [kind, *typing.get_args(kind)]
        names = [n for k in inner for n in typing.get_args(k) if isinstance(n, str)]
        return [name for name in names if name not in self.lacks]

    def __str__(self) -> str:
        return f"{self.name}-{'causal' if self.causal else 'both'}"


class Pull(NamedTuple):
    """An output and the gradients of its product with a cotangent."""

    y_BTD: Any
    params: Any
    x_BTD: Any


@functools.cache
def split(case: Case) -> tuple[Any, Any]:
    """The graph and the parameters of a case, all moved off their initial value."""
    graph, state = nnx.split(case.build())
    leaves, tree = jax.tree.flatten(state)
    noise = np.random.default_rng(0)
    moved = [leaf + draw(noise, *leaf.shape) * 0.1 for leaf in leaves]
    return graph, jax.tree.unflatten(tree, moved)


@functools.partial(compiled, static_argnums=0)
def pull(graph, state, x_BTD, segments_BT, cotangent_BTD) -> Pull:
    """The one program of most laws: forward and backward."""
    y_BTD, back = jax.vjp(
        lambda state, x_BTD: nnx.merge(graph, state)(x_BTD, segments_BT), state, x_BTD
    )
    return Pull(y_BTD, *back(cotangent_BTD))


@functools.cache
def twin(case: Case, row: tuple[int, ...], dtype: Any = jnp.float32) -> Pull:
    """Output and gradients of the naive form in float64; `row` are the segments.

    Of inputs as `dtype` holds them: their own rounding is no error of the mixer.
    """
    if "naive" in case.implementations():
        case = case.with_options(implementation="naive")
    _, state = split(case)
    segments_BT = np.tile(np.array(row, np.int32), (BATCH, 1))
    with jax.enable_x64(True):
        graph, _ = nnx.split(case.build())
        state = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), state)
        x_BTD, ct_BTD = (a.astype(dtype).astype(np.float64) for a in inputs(len(row)))
        got = pull(graph, state, x_BTD, segments_BT, ct_BTD)
        assert got.y_BTD.dtype == jnp.float64, "the twin is not float64"
        return jax.tree.map(np.asarray, got)


def exact(case: Case, x_BTD: np.ndarray) -> np.ndarray:
    """The output in float64, of rows of one segment each."""
    _, state = split(case)
    with jax.enable_x64(True):
        graph, _ = nnx.split(case.build())
        state = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), state)
        y_BTD = forward(graph, state, x_BTD.astype(np.float64))
        assert y_BTD.dtype == jnp.float64, "the twin is not float64"
        return np.asarray(y_BTD)


@functools.partial(compiled, static_argnums=0)
def forward(graph, state, x_BTD) -> jax.Array:
    return nnx.merge(graph, state)(x_BTD, jnp.ones(x_BTD.shape[:2], jnp.int32))


def draw(source: int | np.random.Generator, *shape: int) -> np.ndarray:
    """Standard normal float32 numbers."""
    return np.random.default_rng(source).standard_normal(shape, np.float32)


def inputs(length: int = LENGTH) -> tuple[np.ndarray, np.ndarray]:
    """x_BTD and a cotangent of the same shape."""
    return draw(1, BATCH, length, WIDTH), draw(2, BATCH, length, WIDTH)


def packed_row(length: int) -> tuple[int, ...]:
    """Segments of one row: one of a single token, two that touch, and padding."""
    row = np.zeros(length, np.int32)
    row[: length // 3] = 1
    row[length // 3 + 1] = 2
    row[length // 3 + 2 : length - length // 8] = 3
    return tuple(row.tolist())
