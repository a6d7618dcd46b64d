"""ListOps expressions, grown and evaluated by the thousand with numpy.

A forest is a list of levels, the roots first; each array is one level of all its trees.
The arguments of a node are adjacent on the next level, nodes in the same order.
"""

from typing import NamedTuple

import numpy as np

# Tokens: 0 padding, 1 to 10 the digits, [MIN [MAX [MED [SM, and the bracket that ends.
DIGIT, OPERATION, END, TOKENS = 1, 11, 15, 16
MIN, MAX, MED, SM = range(4)
OPERATES = 0.25  # the probability that a node is an operation, not a digit


class Level(NamedTuple):
    """The nodes of one depth: their trees, numbers of arguments, and symbols.

    A node without arguments is a digit, any other an operation.
    """

    tree_N: np.ndarray
    count_N: np.ndarray
    what_N: np.ndarray


def expected(depth: int, arguments: int) -> float:
    """The mean number of nodes of a tree; infinity if it is beyond every memory."""
    each = (2 + arguments) / 2
    total, level = 1.0, each
    for _ in range(depth - 1):
        total += level
        level *= each * OPERATES
        if level < 1e-9 or total > 1e18:
            break
    return total


def grown(
    rng: np.random.Generator, trees: int, depth: int, arguments: int
) -> list[Level]:
    """A random forest whose roots are operations: a single digit is not a list."""
    tree_N, levels = np.arange(trees, dtype=np.int32), []
    for at in range(depth):
        operates_N = rng.random(tree_N.size, np.float32) < OPERATES
        operates_N = (operates_N | (at == 0)) & (at < depth - 1)
        count_N = rng.integers(2, arguments + 1, tree_N.size, np.int32) * operates_N
        what_N = rng.integers(0, 20, tree_N.size, np.uint8)
        what_N = np.where(operates_N, what_N % 4, what_N % 10)
        levels.append(Level(tree_N, count_N, what_N))
        tree_N = np.repeat(tree_N, count_N)
        if not tree_N.size:
            break
    return levels


def sizes(forest: list[Level], trees: int) -> np.ndarray:
    """The number of tokens of each tree: one per digit, two per operation."""
    size_B = np.zeros(trees, np.int64)
    for level in forest:
        tokens_N = 1 + (level.count_N > 0)
        size_B += np.bincount(level.tree_N, tokens_N, trees).astype(np.int64)
    return size_B


def selected(forest: list[Level], keep_B: np.ndarray) -> list[Level]:
    """The forest of the trees to keep, renumbered."""
    number_B = np.cumsum(keep_B, dtype=np.int32) - 1
    found = []
    for level in forest:
        stays_N = keep_B[level.tree_N]
        tree_N, count_N, what_N = (array_N[stays_N] for array_N in level)
        found.append(Level(number_B[tree_N], count_N, what_N))
    return found


def evaluated(forest: list[Level]) -> np.ndarray:
    """The value of each tree, from the deepest level up.

    The median of an even number is the mean of the middle two, rounded down.
    """
    value_N = forest[-1].what_N.astype(np.int64)
    for level in reversed(forest[:-1]):
        inner_N = level.count_N > 0
        count_P, operation_P = level.count_N[inner_N], level.what_N[inner_N]
        own_N, value_N = level.what_N.astype(np.int64), value_N.astype(np.int64)
        if count_P.size:
            begin_P = np.cumsum(count_P) - count_P
            parent_N = np.repeat(np.arange(count_P.size), count_P)
            sorted_N = value_N[np.lexsort((value_N, parent_N))]
            low_P = sorted_N[begin_P + (count_P - 1) // 2]
            high_P = sorted_N[begin_P + count_P // 2]
            ends_P = begin_P + count_P - 1
            sum_P = np.add.reduceat(value_N, begin_P)
            choices = [sorted_N[begin_P], sorted_N[ends_P], (low_P + high_P) // 2]
            own_N[inner_N] = np.choose(operation_P, [*choices, sum_P % 10])
        value_N = own_N
    return value_N


def written(forest: list[Level]) -> np.ndarray:
    """The concatenated tokens of all trees, operations before their arguments."""
    span_N, spans = np.zeros(0, np.int64), []
    for level in reversed(forest):
        inner_N = level.count_N > 0
        own_N = np.ones(level.count_N.size, np.int64)
        if inner_N.any():
            begin_P = (np.cumsum(level.count_N) - level.count_N)[inner_N]
            own_N[inner_N] = 2 + np.add.reduceat(span_N, begin_P)
        span_N = own_N
        spans.insert(0, span_N)
    tokens_L = np.zeros(int(np.sum(spans[0])), np.uint8)
    at_N = np.cumsum(spans[0]) - spans[0]
    for level, span_N, below_N in zip(forest, spans, [*spans[1:], None], strict=True):
        inner_N = level.count_N > 0
        tokens_L[at_N] = level.what_N + np.where(inner_N, OPERATION, DIGIT)
        tokens_L[(at_N + span_N - 1)[inner_N]] = END
        if below_N is None or not inner_N.any():
            break
        # An argument stands after its operation and the arguments before it.
        count_P = level.count_N[inner_N]
        before_N = np.cumsum(below_N) - below_N
        first_P = np.cumsum(count_P) - count_P
        shift_P = at_N[inner_N] + 1 - before_N[first_P]
        at_N = before_N + np.repeat(shift_P, count_P)
    return tokens_L
