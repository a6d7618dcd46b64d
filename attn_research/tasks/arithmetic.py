"""Modular arithmetic: the value of an expression, with brackets or without.

Train short, test long (see `lengths`). Tokens: 0 padding, the digits, then + - * and,
with brackets, ( and ).
"""

import jax
import jax.numpy as jnp

from attn_research.options import BadInput, declared, option
from attn_research.tasks.contract import Batch, Draws, Spec, Split, no_arrays
from attn_research.tasks.parts import bracketed, expression_laws, lengths, overlap
from attn_research.tasks.parts.lengths import Answers
from attn_research.tasks.state_tracking import majority, running_spec

# Tokens of an expression, at most, and of one with brackets, whose law is quadratic.
LONGEST, NESTED = 2**14, 2**12


@declared
class ModularArithmetic:
    """The value modulo `modulus` of an expression; products bind most tightly.

    Without brackets an expression is digits with operators between them;
    `answers=every` asks at each digit for the value so far, and `gap` is the distance
    to the first token, as all of them matter. With brackets it is (left op right), or
    d, -d, (d), (-d) if fewer than five tokens are left; `answers=every` asks at each
    closing bracket for the value inside, and `gap` is the distance to the opening one.
    The last token always answers with the value of the whole. Deletang et al., 2022,
    arXiv:2207.02098, which asks at the end.
    """

    length: int = option(
        40, "Tokens in a training expression, at most.", low=1, high=LONGEST
    )
    test_length: int = option(
        320, "Tokens in a test expression, at most.", low=1, high=LONGEST
    )
    modulus: int = option(5, "Number of digits.", low=2, high=16)
    brackets: bool = option(False, "Nested brackets.")
    times: bool = option(True, "Products beside sums and differences.")
    answers: Answers = option("every", "Positions that answer.")

    def __post_init__(self) -> None:
        lengths.check("modular_arithmetic", self.length, self.test_length)
        if self.brackets and self.test_length > NESTED:
            raise BadInput(
                f"modular_arithmetic.test_length is {self.test_length}; with brackets "
                f"it must be at most {NESTED}"
            )

    @property
    def spec(self) -> Spec:
        tested = self.test_length
        if self.brackets:
            law_LN = expression_laws.bracketed(tested, self.modulus, self.times)
            share_L = expression_laws.brackets(tested, self.answers)
        else:
            operands = (tested + 1) // 2
            law_LN = expression_laws.plain(operands, self.modulus, self.times)
            share_L = lengths.shares(operands, self.answers)
        return running_spec(
            length=tested,
            answers=self.answers,
            symbols=self.modulus + (5 if self.brackets else 3),
            states=self.modulus,
            chance=majority(law_LN, share_L),
        )

    arrays, notes = no_arrays, overlap.notes

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: object = ()
    ) -> Batch:
        make = self._bracketed if self.brackets else self._plain
        return make(key, split, size)

    def _plain(self, key: jax.Array, split: Split | jax.Array, size: int) -> Batch:
        length = lengths.room(split, self.length, self.test_length)
        operands = (length + 1) // 2
        draws = Draws(key, split, size, 1 + 2 * operands)
        count_B1 = lengths.sampled(
            draws, split, (self.length + 1) // 2, (self.test_length + 1) // 2
        )
        digit_BN = draws.integers(operands, self.modulus)
        after_BN = draws.integers(operands, 2 + self.times)
        value_BN = running_value(digit_BN, after_BN, self.modulus)
        symbol_BN2 = jnp.stack([digit_BN, self.modulus + after_BN], axis=2)
        symbol_BT = symbol_BN2.reshape(size, -1)[:, :length]
        value_BT = jnp.repeat(value_BN, 2, axis=1)[:, :length]
        at_1T = jnp.arange(length)[None]
        size_B1 = 2 * count_B1 - 1
        asked_BT = lengths.asked(self.answers, size_B1, length) & (at_1T % 2 == 0)
        return lengths.rows(1 + symbol_BT, value_BT, asked_BT, at_1T, size_B1)

    def _bracketed(self, key: jax.Array, split: Split | jax.Array, size: int) -> Batch:
        length = lengths.room(split, self.length, self.test_length)
        draws = Draws(key, split, size, 1 + length)
        size_B1 = lengths.sampled(draws, split, self.length, self.test_length)
        made = bracketed.expressions(
            draws.bits(length), size_B1[:, 0], self.modulus, 2 + self.times
        )
        at_1T = jnp.arange(length)[None]
        asked_BT = at_1T == size_B1 - 1
        if self.answers == "every":
            asked_BT |= made.closes_BT
        return lengths.rows(
            1 + made.symbol_BT, made.value_BT, asked_BT, at_1T - made.begin_BT, size_B1
        )


def running_value(digit_BN: jax.Array, after_BN: jax.Array, modulus: int) -> jax.Array:
    """The value of an expression up to each digit, BN; `after` are the operators.

    The last term is p' = digit * p after a product, else p' = digit or -digit: a linear
    recurrence, solved by an associative scan. The terms before it are summed.
    """
    before_BN = jnp.pad(after_BN, ((0, 0), (1, 0)))[:, :-1]
    product_BN = before_BN == bracketed.TIMES
    signed_BN = jnp.where(before_BN == bracketed.MINUS, -digit_BN, digit_BN)
    factor_BN = jnp.where(product_BN, digit_BN, 0)
    fresh_BN = jnp.where(product_BN, 0, signed_BN % modulus)

    def joined(left, right):
        return left[0] * right[0] % modulus, (left[1] * right[0] + right[1]) % modulus

    term_BN = jax.lax.associative_scan(joined, (factor_BN, fresh_BN), axis=1)[1]
    ended_BN = jnp.where(after_BN == bracketed.TIMES, 0, term_BN)
    return (jnp.cumsum(ended_BN, axis=1) - ended_BN + term_BN) % modulus
