"""Arithmetic expressions with brackets, grown and evaluated token by token.

Growing follows the grammar with a stack of the parts still to be written; evaluating
keeps, per open bracket, the value so far and the pending operator. One scan does both:
a random choice per token, without recursion.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

PLUS, MINUS, TIMES = range(3)
# A part still to be written: an expression of n > 0 tokens, or one of these.
OPERATOR, CLOSE = -1, -2


class Expressions(NamedTuple):
    """Symbols: digits, then + - * ( ). Values where a digit or a bracket ends one."""

    symbol_BT: jax.Array
    value_BT: jax.Array
    begin_BT: jax.Array
    closes_BT: jax.Array


class State(NamedTuple):
    todo_S: jax.Array
    left: jax.Array  # entries of todo_S
    value_D: jax.Array
    waiting_D: jax.Array
    begin_D: jax.Array
    depth: jax.Array
    negative: jax.Array


def expressions(
    bits_BT: jax.Array, size_B: jax.Array, modulus: int, operators: int
) -> Expressions:
    """A random expression of `size` tokens per row, then arbitrary symbols.

    An expression is (left op right), the length of `left` uniform; with fewer than five
    tokens it is d, -d, (d) or (-d). It begins at `begin` and `closes` with a bracket.
    """

    def row(bits_T: jax.Array, size: jax.Array) -> Expressions:
        length = len(bits_T)
        zero, zero_D = jnp.zeros((), jnp.int32), jnp.zeros(length // 2 + 2, jnp.int32)
        todo_S = jnp.zeros(length + 4, jnp.int32).at[0].set(size)
        start = State(todo_S, zero + 1, zero_D, zero_D, zero_D, zero, zero > 0)

        def step(state: State, seen: tuple) -> tuple[State, Expressions]:
            at, bits = seen
            return _token(state, at, bits, modulus, operators)

        return jax.lax.scan(step, start, (jnp.arange(length), bits_T))[1]

    return jax.vmap(row)(bits_BT, size_B)


def _token(
    state: State, at: jax.Array, bits: jax.Array, modulus: int, operators: int
) -> tuple[State, Expressions]:
    """The state after one more token, and that token with its value."""
    item = state.todo_S[state.left - 1]
    opens, closes, operates = item >= 3, item == CLOSE, item == OPERATOR
    signs = item == 2

    def choose(count: int | jax.Array) -> jax.Array:
        return (bits % jnp.asarray(count).astype(jnp.uint32)).astype(jnp.int32)

    # The item is replaced by its parts, the first of them on top.
    first = 1 + choose(jnp.maximum(item - 4, 1))
    pair_4 = jnp.stack([jnp.full_like(item, CLOSE), item - 3 - first, item * 0, first])
    pair_4 = pair_4.at[2].set(OPERATOR)
    unit_4 = pair_4.at[1].set(item - 2)
    rest_4 = jnp.where(opens, jnp.where(item >= 5, pair_4, unit_4), 1)
    parts = jnp.where(item >= 5, 4, jnp.where(opens, 2, signs.astype(jnp.int32)))
    todo_S = jax.lax.dynamic_update_slice(state.todo_S, rest_4, (state.left - 1,))

    digit, operator = choose(modulus), choose(operators)
    depth = state.depth
    inner = jnp.where(
        closes, state.value_D[depth], jnp.where(state.negative, -digit, digit) % modulus
    )
    begin = at - state.negative.astype(jnp.int32)
    begin = jnp.where(closes, state.begin_D[depth], begin)
    depth = depth + opens.astype(jnp.int32) - closes.astype(jnp.int32)
    # A value, of a digit or of a bracket that closes, meets the operator that waits.
    sofar, waits = state.value_D[depth], state.waiting_D[depth]
    met = jnp.stack([sofar + inner, sofar - inner, sofar * inner])[waits] % modulus
    valued = closes | (item == 1)
    value_D = state.value_D.at[depth].set(
        jnp.where(opens, 0, jnp.where(valued, met, sofar))
    )
    waiting_D = state.waiting_D.at[depth].set(
        jnp.where(opens, PLUS, jnp.where(operates, operator, waits))
    )
    begin_D = state.begin_D.at[depth].set(jnp.where(opens, at, state.begin_D[depth]))
    symbol = jnp.where(operates, modulus + operator, digit)
    symbol = jnp.where(signs, modulus + MINUS, symbol)
    symbol = jnp.where(opens, modulus + 3, jnp.where(closes, modulus + 4, symbol))
    after = State(
        todo_S,
        jnp.maximum(state.left - 1 + parts, 0),
        value_D,
        waiting_D,
        begin_D,
        depth,
        signs,
    )
    return after, Expressions(symbol, inner, begin, closes)
