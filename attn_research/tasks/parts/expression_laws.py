"""Exact distributions of the values of random arithmetic expressions, on the host.

They give the accuracy of the best constant answer. N is the modulus; row i of a law is
for expressions of i + 1 digits, or of i + 1 tokens with brackets.
"""

from functools import cache

import numpy as np

from attn_research.tasks.parts.lengths import Answers


@cache
def plain(operands: int, modulus: int, times: bool) -> np.ndarray:
    """law_LN of expressions without brackets: a product binds closest."""
    sums_NN = np.add.outer(np.arange(modulus), np.arange(modulus)) % modulus
    products_NN = np.multiply.outer(np.arange(modulus), np.arange(modulus)) % modulus
    # State: the sum of the terms before the last one, and the last one.
    state_NN = np.zeros((modulus, modulus))
    state_NN[0] = 1 / modulus
    law_LN = np.zeros((operands, modulus))
    for row_N in law_LN:
        row_N[:] = _gathered(sums_NN, state_NN)
        added_NN = np.repeat(row_N[:, None] / modulus, modulus, axis=1)
        if not times:
            state_NN = added_NN
            continue
        drawn_NN1 = state_NN[:, :, None] / modulus
        times_NN = np.stack([_gathered(products_NN, last_N1) for last_N1 in drawn_NN1])
        state_NN = (2 * added_NN + times_NN) / 3
    return law_LN


@cache
def bracketed(length: int, modulus: int, times: bool) -> np.ndarray:
    """law_LN of expressions with brackets, by the grammar of `bracketed`."""
    numbers = np.arange(modulus)
    tables = [np.add.outer(numbers, numbers), np.subtract.outer(numbers, numbers)]
    tables += [np.multiply.outer(numbers, numbers)] * times
    law_LN = np.full((length, modulus), 1 / modulus)
    for size in range(5, length + 1):
        left_LN = law_LN[: size - 4]
        both_NN = left_LN.T @ left_LN[::-1] / (size - 4)
        row_N = sum(_gathered(table % modulus, both_NN) for table in tables)
        law_LN[size - 1] = row_N / len(tables)
    return law_LN


@cache
def brackets(length: int, answers: Answers) -> np.ndarray:
    """share_L: the number of answers at the end of an expression of i + 1 tokens.

    Summed over one expression of each length up to `length`.
    """
    share_L = np.ones(length)
    if answers == "last":
        return share_L
    share_L[2:] = 0
    # Brackets inside an expression of L tokens, by their own tokens.
    inside_LL = np.zeros((length + 1, length))
    shorter_L = np.zeros(length)
    for size in range(3, length + 1):
        inside_LL[size, size - 1] = 1
        if size >= 5:
            shorter_L += inside_LL[size - 4]
            inside_LL[size] += 2 * shorter_L / (size - 4)
    return share_L + np.sum(inside_LL, axis=0)


def _gathered(table_NN: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The total weight on each number of a table."""
    weight_NN = np.broadcast_to(weight, table_NN.shape)
    return np.bincount(table_NN.ravel(), weight_NN.ravel(), minlength=len(table_NN))
