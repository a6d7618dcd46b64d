"""The laws of a mixer, each a plain function `law(case)` that raises AssertionError.

A `Case` is a mixer class, its options and its direction; every law builds it small,
with every parameter moved off its initial value (a table of zeros hides bugs), and all
laws share a few compiled programs of equal shape. Figures are those of the numerics
table: relative RMS errors, against the float64 twin where there is one.
"""

import dataclasses
import functools
import typing
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from attn_research.functional import functional, to_params
from attn_research.modules.contract import carry_bytes, parameters
from attn_research.options import BadInput

BATCH, LENGTH, WIDTH, SHORT = 3, 17, 8, 7
FORWARD, GRADIENT, SAME = 2e-6, 1e-5, 1e-6
ONES = np.ones((BATCH, LENGTH), np.int32)

# The laws compile some hundred small programs and run each for a millisecond: without
# the optimiser of machine code they take half the time, for the same mathematics.
compiled = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0}
)


@dataclasses.dataclass(frozen=True)
class Case:
    """A mixer class, its options, its direction; hashable, so programs are shared."""

    mixer: Any
    options: Any
    causal: bool
    name: str = ""

    def build(self, rngs: nnx.Rngs | None = None) -> Any:
        return self.mixer(
            self.options,
            width=WIDTH,
            causal=self.causal,
            length=LENGTH,
            rngs=rngs or nnx.Rngs(0),
        )

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


@functools.partial(compiled, static_argnums=0)
def influence(graph, state, x_TD, segments_T) -> jax.Array:
    """How strongly input s moves output t: the Jacobian, summed over features."""
    jacobian_TDSD = jax.jacrev(
        lambda x_TD: nnx.merge(graph, state)(x_TD[None], segments_T[None])[0]
    )(x_TD)
    return jnp.abs(jacobian_TDSD).sum((1, 3))


@functools.partial(compiled, static_argnums=0)
def decode(graph, state, x_BTD) -> jax.Array:
    """The outputs of `step`, token by token."""
    mixer = nnx.merge(graph, state)
    carry = mixer.start(x_BTD.shape[0], x_BTD.shape[1], x_BTD.dtype)

    def step(carry, x_BD):
        y_BD, carry = mixer.step(x_BD, carry)
        return carry, y_BD

    _, y_TBD = jax.lax.scan(step, carry, x_BTD.swapaxes(0, 1))
    return y_TBD.swapaxes(0, 1)


def draw(source: int | np.random.Generator, *shape: int) -> np.ndarray:
    """Standard normal float32 numbers."""
    return np.random.default_rng(source).standard_normal(shape, np.float32)


def inputs(length: int = LENGTH) -> tuple[np.ndarray, np.ndarray]:
    """x_BTD and a cotangent of the same shape."""
    return draw(1, BATCH, length, WIDTH), draw(2, BATCH, length, WIDTH)


def error(got: Any, want: Any) -> float:
    """The RMS of the difference over the RMS of `want`, of the worst leaf of a tree.

    A leaf is measured against no less than a tenth of the largest one: where the truth
    is zero, rounding noise is no error.
    """

    def size(leaf) -> float:
        return float(np.sqrt(np.mean(np.square(leaf, dtype=np.float64))))

    got, want = (
        [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(tree)]
        for tree in (got, want)
    )
    assert [leaf.shape for leaf in got] == [leaf.shape for leaf in want], "shapes"
    least = 0.1 * max(map(size, want)) or 1.0
    return max(
        size(one - two) / max(size(two), least)
        for one, two in zip(got, want, strict=True)
    )


def close(got: Any, want: Any, reach: float, what: str) -> None:
    worst = error(got, want)
    assert worst <= reach, f"{what}: off by {worst:.1e}, allowed is {reach:.0e}"


def finite(tree: Any) -> bool:
    return all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(tree))


# --- 1: shape, dtype, jit, rows -------------------------------------------------------


def law_shape(case: Case) -> None:
    """Shape and dtype are kept."""
    graph, state = split(case)
    for dtype in (jnp.float32, jnp.bfloat16):
        x_BTD, ct_BTD = (jnp.asarray(a, dtype) for a in inputs())
        y_BTD = pull(graph, state, x_BTD, ONES, ct_BTD).y_BTD
        assert y_BTD.shape == x_BTD.shape, f"{x_BTD.shape} became {y_BTD.shape}"
        assert y_BTD.dtype == dtype, f"{dtype.__name__} became {y_BTD.dtype}"


def law_jit(case: Case) -> None:
    """The compiled mixer gives what the eager one gives."""
    graph, state = split(case)
    x_BTD, ct_BTD = inputs()
    eager = nnx.merge(graph, state)(jnp.asarray(x_BTD), jnp.asarray(ONES))
    close(pull(graph, state, x_BTD, ONES, ct_BTD).y_BTD, eager, FORWARD, "jit")


def law_rows(case: Case) -> None:
    """A row of the batch does not see another row."""
    graph, state = split(case)
    x_BTD, ct_BTD = inputs()
    other_BTD = x_BTD.copy()
    other_BTD[1:] = draw(3, BATCH - 1, LENGTH, WIDTH)
    one, two = (pull(graph, state, x, ONES, ct_BTD) for x in (x_BTD, other_BTD))
    np.testing.assert_array_equal(one.y_BTD[0], two.y_BTD[0], "row 0 saw another")
    np.testing.assert_array_equal(one.x_BTD[0], two.x_BTD[0], "its gradient did")


# --- 2: causality and reach -----------------------------------------------------------


def law_causality(case: Case) -> None:
    """No change of a token, small or huge, changes a bit of the past."""
    if not case.causal:
        return
    graph, state = split(case)
    x_BTD, ct_BTD = inputs()
    before = pull(graph, state, x_BTD, ONES, ct_BTD).y_BTD
    for token in (1, LENGTH // 2, LENGTH - 1):
        for change in (1.0, 1e4):
            x = x_BTD.copy()
            x[:, token] += change
            after = pull(graph, state, x, ONES, ct_BTD).y_BTD
            np.testing.assert_array_equal(
                before[:, :token], after[:, :token], f"token {token} leaked back"
            )


def law_reach(case: Case) -> None:
    """The Jacobian is non-zero exactly where the mixer says that it can see.

    Every token within `reach` moves the output, none beyond it, ahead of it (causal)
    or in another segment does.
    """
    graph, state = split(case)
    reach = case.build().reach(LENGTH)
    back_TS = np.arange(LENGTH)[:, None] - np.arange(LENGTH)[None, :]
    near_TS = (np.abs(back_TS) <= reach) & ((back_TS >= 0) | (not case.causal))
    packed_T = np.repeat(np.array([1, 0, 2, 0], np.int32), (6, 2, 7, 2))
    for segments_T in (ONES[0], packed_T):
        same_TS = (segments_T[:, None] == segments_T[None]) & (segments_T > 0)[:, None]
        moved_TS = np.asarray(
            influence(graph, state, draw(1, LENGTH, WIDTH), segments_T)
        )
        leaked = np.argwhere((moved_TS != 0) & ~(near_TS & same_TS))
        assert not len(leaked), f"output, input that must not meet: {leaked[:3]}"
        lost = np.argwhere((moved_TS == 0) & near_TS & same_TS)
        assert not len(lost), f"output, input within reach that never meet: {lost[:3]}"


# --- 3, 4: padding and packing --------------------------------------------------------


def place(parts_BSD: np.ndarray, offsets: tuple[int, ...], fill: np.ndarray):
    """Copies of short sequences at `offsets` of a long one; segments 1, 2, ..."""
    x_BTD, segments_BT = fill.copy(), np.zeros_like(ONES)
    for number, offset in enumerate(offsets, 1):
        x_BTD[:, offset : offset + SHORT] = parts_BSD[number - 1]
        segments_BT[:, offset : offset + SHORT] = number
    return x_BTD, segments_BT


def packed(case: Case, offsets: tuple[int, ...], fill: np.ndarray) -> None:
    """Short sequences within a long one give what each gives alone."""
    graph, state = split(case)
    x_NBSD = draw(4, len(offsets), BATCH, SHORT, WIDTH)
    ct_NBSD = draw(5, len(offsets), BATCH, SHORT, WIDTH)
    alone = [
        pull(graph, state, x, None, ct) for x, ct in zip(x_NBSD, ct_NBSD, strict=True)
    ]
    x_BTD, segments_BT = place(x_NBSD, offsets, fill)
    # A cotangent at padding too: nothing may come of it.
    ct_BTD, _ = place(ct_NBSD, offsets, draw(6, *fill.shape))
    got = pull(graph, state, x_BTD, segments_BT, ct_BTD)
    for one, offset in zip(alone, offsets, strict=True):
        inside = slice(offset, offset + SHORT)
        where = f"sequence at {offset}"
        close(got.y_BTD[:, inside], one.y_BTD, SAME, f"{where}, output")
        close(got.x_BTD[:, inside], one.x_BTD, GRADIENT, f"{where}, gradient of input")
    total = jax.tree.map(lambda *leaves: sum(leaves), *(one.params for one in alone))
    close(got.params, total, GRADIENT, "gradient of parameters")
    padding_BT = segments_BT == 0
    assert not np.asarray(got.y_BTD)[padding_BT].any(), "padding has an output"
    assert not np.asarray(got.x_BTD)[padding_BT].any(), "padding has a gradient"


def law_padding(case: Case) -> None:
    """Content, side and amount of padding change nothing at real positions."""
    shape = BATCH, LENGTH, WIDTH
    for fill in (np.zeros(shape, np.float32), draw(7, *shape), draw(8, *shape) * 1e4):
        for offset in (0, 5, LENGTH - SHORT):
            packed(case, (offset,), fill)


def law_empty(case: Case) -> None:
    """Rows of only padding give exact zeros, gradients included."""
    graph, state = split(case)
    got = pull(graph, state, inputs()[0], np.zeros_like(ONES), inputs()[1])
    assert finite(got), "not finite"
    for leaf in jax.tree.leaves(got):
        assert not np.asarray(leaf).any(), "not zero"


def law_packing(case: Case) -> None:
    """A packed sequence gives what it gives alone."""
    fill = draw(7, BATCH, LENGTH, WIDTH)
    packed(case, (0, SHORT), fill)
    packed(case, (1, SHORT + 3), fill)


# --- 5: one function, many forms ------------------------------------------------------


def law_step(case: Case) -> None:
    """Token by token gives the parallel form; a bidirectional mixer refuses."""
    graph, state = split(case)
    x_BTD, ct_BTD = inputs()
    if case.causal:
        parallel = pull(graph, state, x_BTD, ONES, ct_BTD).y_BTD
        close(decode(graph, state, x_BTD), parallel, FORWARD, "step by step")
        return
    for call in (
        lambda mixer: mixer.start(BATCH, LENGTH),
        lambda mixer: mixer.step(jnp.asarray(x_BTD[:, 0]), ()),
    ):
        try:
            call(case.build())
        except BadInput:
            continue
        raise AssertionError("a bidirectional mixer decodes")


def forms(case: Case) -> list[Case]:
    """The case in each implementation and with each chunk length it offers."""
    fields = {f.name for f in dataclasses.fields(case.options)}
    found = []
    for implementation in implementations(case.options) or [None]:
        chunks = (1, 5) if "chunk" in fields else (None,)
        if implementation not in (None, "chunked"):
            chunks = chunks[-1:]
        for chunk in chunks:
            change = {"implementation": implementation, "chunk": chunk}
            change = {k: v for k, v in change.items() if v is not None}
            options = dataclasses.replace(case.options, **change)
            found.append(dataclasses.replace(case, options=options))
    return found


def implementations(options: Any) -> list[str]:
    """The implementations that the type of the options names."""
    kind = typing.get_type_hints(type(options)).get("implementation")
    inner = [kind, *typing.get_args(kind)]
    return [n for k in inner for n in typing.get_args(k) if isinstance(n, str)]


def law_forms(case: Case) -> None:
    """Every implementation and chunk length gives the same, gradients included."""
    graph, state = split(case)
    x_BTD, ct_BTD = inputs()
    segments_BT = np.repeat(np.array([[1, 0, 2]], np.int32), (9, 1, 7), 1)
    segments_BT = np.repeat(segments_BT, BATCH, 0)
    want = pull(graph, state, x_BTD, segments_BT, ct_BTD)
    for form in forms(case):
        graph, _ = nnx.split(form.build())
        got = pull(graph, state, x_BTD, segments_BT, ct_BTD)
        close(got.y_BTD, want.y_BTD, FORWARD, f"{form.options}, output")
        close(got[1:], want[1:], GRADIENT, f"{form.options}, gradient")


# --- 6: numerics ----------------------------------------------------------------------


@functools.cache
def twin(case: Case) -> Pull:
    """Output and gradients of the naive form in float64."""
    if "naive" in implementations(case.options):
        options = dataclasses.replace(case.options, implementation="naive")
        naive = dataclasses.replace(case, options=options)
    else:
        naive = case
    _, state = split(case)
    with jax.enable_x64(True):
        graph, _ = nnx.split(naive.build())
        state = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), state)
        x_BTD, ct_BTD = (a.astype(np.float64) for a in inputs())
        got = pull(graph, state, x_BTD, ONES, ct_BTD)
        assert got.y_BTD.dtype == jnp.float64, "the twin is not float64"
        return jax.tree.map(np.asarray, got)


def law_reference(case: Case) -> None:
    """Outputs and gradients agree with the naive float64 twin."""
    graph, state = split(case)
    want = twin(case)
    for dtype, forward, gradient in (
        (jnp.float32, FORWARD, GRADIENT),
        (jnp.bfloat16, 1e-2, 2e-2),
    ):
        x_BTD, ct_BTD = (jnp.asarray(a, dtype) for a in inputs())
        got = pull(graph, state, x_BTD, ONES, ct_BTD)
        close(got.y_BTD, want.y_BTD, forward, f"{dtype.__name__} output")
        close(got[1:], want[1:], gradient, f"{dtype.__name__} gradient")


def law_finite(case: Case) -> None:
    """Huge, zero and denormal inputs give finite outputs and gradients."""
    graph, state = split(case)
    x_BTD, ct_BTD = inputs()
    for scale in (1e4, 0.0, 1e-40):
        got = pull(graph, state, x_BTD * np.float32(scale), ONES, ct_BTD)
        assert finite(got), f"not finite for inputs of size {scale}"


# --- 7, 8: cost, and life inside other frameworks -------------------------------------


def law_cost(case: Case) -> None:
    """`cost` tells the real number of parameters and the real size of the carry."""
    mixer = case.build()
    cost, half = mixer.cost(LENGTH), mixer.cost(LENGTH // 2)
    assert cost.params == parameters(mixer), f"params {cost.params}"
    state_bytes = carry_bytes(mixer.start(1, LENGTH)) if case.causal else 0
    assert cost.state_bytes == state_bytes, f"state_bytes {cost.state_bytes}"
    assert cost.flops > half.flops > 0, f"flops {cost.flops} and {half.flops}"


def law_functional(case: Case) -> None:
    """Pure functions of a dict of parameters give what the module gives."""
    graph, state = split(case)
    model = functional(case.build)
    x_BTD, ct_BTD = inputs()
    got = compiled(model.apply)(to_params(state), x_BTD, ONES)
    close(got, pull(graph, state, x_BTD, ONES, ct_BTD).y_BTD, SAME, "functional")


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
        alone_BTD = model.apply(variables["params"], x_BTD)
        return linen.apply(variables, x_BTD), alone_BTD

    close(*compiled(both)(inputs()[0]), SAME, "through Linen")


LAWS = {
    name.removeprefix("law_"): law
    for name, law in list(globals().items())
    if name.startswith("law_")
}
