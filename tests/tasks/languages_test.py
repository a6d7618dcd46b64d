"""Every row of the formal languages against an oracle that reads it token by token."""

from functools import cache, partial

import jax
import numpy as np
import pytest

from attn_research import tasks
from attn_research.tasks.parts import groups
from tests.tasks import oracles_languages as oracles

ROWS = 2000
CASES = {
    "parity(length=9,test_length=40)": oracles.parity,
    "cycle_navigation(length=9,test_length=40,places=4)": partial(
        oracles.cycle, places=4
    ),
    "group_word(length=9,test_length=24,group=S4)": partial(oracles.group, name="S4"),
    "group_word(length=9,test_length=24,group=A4xZ3)": partial(
        oracles.group, name="A4xZ3"
    ),
    "modular_arithmetic(length=9,test_length=40)": partial(
        oracles.arithmetic, modulus=5
    ),
    "modular_arithmetic(length=9,test_length=39,modulus=3,times=false)": partial(
        oracles.arithmetic, modulus=3
    ),
    "modular_arithmetic(length=9,test_length=40,brackets=true)": partial(
        oracles.bracketed, modulus=5
    ),
    "flip_flop(length=9,test_length=40,ignore=0.5,test_ignore=0.7)": oracles.flip_flop,
    "dyck(length=9,test_length=40,kinds=3,depth=4)": partial(
        oracles.dyck, kinds=3, depth=4
    ),
    "reverse(length=9,test_length=40,symbols=3)": oracles.reverse,
    "bucket_sort(length=9,test_length=40)": oracles.bucket_sort,
    "stack_manipulation(length=9,test_length=40)": oracles.stack_manipulation,
}
LAST = [
    "parity(length=9,test_length=40,answers=last)",
    "group_word(length=9,test_length=24,group=S4,answers=last)",
    "modular_arithmetic(length=9,test_length=40,answers=last)",
    "modular_arithmetic(length=9,test_length=40,brackets=true,answers=last)",
    "dyck(length=9,test_length=40,kinds=3,depth=4,answers=last)",
]


@cache
def drawn(spec, split="test"):
    """A batch as numpy; all but training by one program, as the evaluation has it."""
    task = tasks.make(spec)
    if split == "train":
        batch = jax.jit(lambda key: task.batch(key, split, ROWS))(jax.random.key(1))
        return jax.tree.map(np.asarray, batch)
    batch = evaluated(spec)(jax.random.key(2), tasks.SPLITS.index(split))
    return jax.tree.map(np.asarray, batch)


@cache
def evaluated(spec):
    task = tasks.make(spec)
    return jax.jit(lambda key, split: task.batch(key, split, ROWS))


def assert_solved(batch, solve):
    """Every answer, its gap and its place are the oracle's; the rest is padding."""
    for row in range(len(batch.inputs)):
        size = int(batch.segments[row].sum())
        assert np.all(batch.segments[row, :size] == 1)
        assert not batch.inputs[row, size:].any()
        at = np.flatnonzero(batch.weights[row])
        found = zip(at, batch.targets[row, at], batch.gap[row, at], strict=True)
        wanted = solve(batch.inputs[row, :size].tolist())
        assert [tuple(map(int, answer)) for answer in found] == wanted
    assert set(np.unique(batch.weights)) <= {0, 1}
    assert np.all(batch.gap[batch.weights == 0] == -1)
    assert not batch.targets[batch.weights == 0].any()


@pytest.mark.parametrize("spec", CASES)
def test_every_row_is_what_its_oracle_reads(spec):
    assert_solved(drawn(spec), CASES[spec])
    assert_solved(jax.tree.map(lambda a: a[:200], drawn(spec, "train")), CASES[spec])


@pytest.mark.parametrize("spec", LAST)
def test_the_last_position_alone_answers(spec):
    every = next(c for c in CASES if c.startswith(spec.partition(",answers")[0]))
    some = jax.tree.map(lambda a: a[:400], drawn(spec))
    assert_solved(some, lambda tokens: CASES[every](tokens)[-1:])
    task = tasks.make(spec)
    assert task.spec.labels == 1


# How many lengths there are up to 9 tokens (or symbols) and up to 40.
LENGTHS = {
    "parity": (9, 40),
    "cycle_navigation": (9, 40),
    "modular_arithmetic(length=9,test_length=40)": (5, 20),  # odd ones
    "modular_arithmetic(length=9,test_length=40,brackets": (9, 40),
    "flip_flop": (3, 19),  # even ones from 4
    "dyck": (5, 20),
    "reverse": (9, 40),
    "bucket_sort": (9, 40),
    "stack_manipulation": (9, 40),
}


@pytest.mark.parametrize("name", LENGTHS)
def test_lengths_are_uniform_short_in_training_and_long_in_the_test(name):
    spec = next(c for c in CASES if c.startswith(name))
    assert drawn(spec, "train").inputs.shape[1] < drawn(spec).inputs.shape[1]
    short, long = LENGTHS[name]
    for split, count in (("train", short), ("validation", short), ("test", long)):
        batch = drawn(spec, split)
        # The signs that ask for an answer are no part of a string.
        sign = 1 if name in ("reverse", "bucket_sort", "stack_manipulation") else 0
        found, rows = np.unique(np.sum(batch.inputs > sign, axis=1), return_counts=True)
        assert len(found) == count
        error = np.sqrt((1 - 1 / count) / count / ROWS)
        assert np.all(abs(rows / ROWS - 1 / count) < 4 * error)


def rates(batch, classes):
    """The share of each class among the answers, and its error over rows."""
    asked_BT1 = batch.weights[:, :, None]
    hits_BC = np.sum((batch.targets[:, :, None] == np.arange(classes)) * asked_BT1, 1)
    count_B1 = np.sum(asked_BT1, axis=1)
    rate_C = hits_BC.sum(axis=0) / count_B1.sum()
    off_BC = hits_BC - rate_C * count_B1
    return rate_C, np.sqrt(np.sum(off_BC**2, axis=0)) / count_B1.sum()


@pytest.mark.parametrize(
    "spec",
    [
        "parity(length=9,test_length=40)",
        "group_word(length=9,test_length=24,group=S4)",
        "group_word(length=9,test_length=24,group=A4xZ3)",
        "modular_arithmetic(length=9,test_length=39,modulus=3,times=false)",
        "flip_flop(length=9,test_length=40,ignore=0.5,test_ignore=0.7)",
        "dyck(length=9,test_length=40,kinds=3,depth=4)",
        "reverse(length=9,test_length=40,symbols=3)",
        "bucket_sort(length=9,test_length=40)",
    ],
)
def test_answers_are_balanced_where_they_should_be(spec):
    want = tasks.make(spec).spec
    rate_C, error_C = rates(drawn(spec), want.outputs)
    assert want.chance == pytest.approx(1 / want.outputs)
    assert np.all(abs(rate_C - want.chance) < 4 * error_C)


@pytest.mark.parametrize(
    "spec",
    [
        "cycle_navigation(length=4,test_length=6,places=7)",
        "cycle_navigation(length=4,test_length=6,places=7,answers=last)",
        "modular_arithmetic(length=3,test_length=5,modulus=4)",
        "modular_arithmetic(length=3,test_length=5,modulus=4,answers=last)",
        "modular_arithmetic(length=9,test_length=40,brackets=true)",
        "modular_arithmetic(length=9,test_length=40,brackets=true,answers=last)",
    ],
)
def test_chance_is_the_share_of_the_commonest_answer(spec):
    """Where answers are uneven: by more than the error of the measured share."""
    want = tasks.make(spec).spec
    rate_C, error_C = rates(drawn(spec), want.outputs)
    common = rate_C.argmax()
    assert abs(rate_C[common] - want.chance) < 4 * error_C[common]
    assert want.chance > 1 / want.outputs + 4 * error_C[common]


def test_no_constant_answer_beats_one_half_on_a_stack():
    rate_C, error_C = rates(drawn("stack_manipulation(length=9,test_length=40)"), 3)
    assert abs(rate_C[0] - rate_C[1]) < 4 * (error_C[0] + error_C[1])
    assert 0.45 < rate_C[0] <= tasks.make("stack_manipulation").spec.chance


def test_flip_flop_ignores_as_often_as_it_is_asked_to():
    spec = "flip_flop(length=9,test_length=40,ignore=0.5,test_ignore=0.7)"
    for split, share in (("validation", 0.5), ("test", 0.7)):
        batch = drawn(spec, split)
        inner = batch.inputs[:, 2:-2:2][batch.segments[:, 4::2] > 0]
        for token, wanted in ((5, share), (3, (1 - share) / 2)):
            error = np.sqrt(wanted * (1 - wanted) / inner.size)
            assert abs(np.mean(inner == token) - wanted) < 4 * error


def test_dyck_turns_at_its_walls_and_is_free_between_them():
    batch = drawn("dyck(length=9,test_length=40,kinds=3,depth=4)")
    steps = np.where(batch.inputs == 0, 0, np.where(batch.inputs <= 3, 1, -1))
    before = np.cumsum(steps, axis=1) - steps
    for depth, wanted in enumerate([1.0, 0.5, 0.5, 0.5, 0.0]):
        here = steps[(before == depth) & (steps != 0)]
        error = np.sqrt(wanted * (1 - wanted) / here.size)
        assert abs(np.mean(here > 0) - wanted) <= 4 * error


@pytest.mark.parametrize("name", ["S3", "A4", "A5", "S5", "Z7", "A4xZ5", "Z2xS3xZ2"])
def test_a_table_is_of_a_group(name):
    """The identity is element 0, rows and columns are permutations, it associates."""
    table = groups.table(name)
    order = len(oracles.elements(name))
    assert table.shape == (order, order)
    assert table[0].tolist() == table[:, 0].tolist() == list(range(order))
    assert np.all(np.sort(table, axis=1) == np.arange(order))
    assert np.all(np.sort(table, axis=0).T == np.arange(order))
    a, b, c = np.random.default_rng(0).integers(0, order, (3, 1000))
    assert np.array_equal(table[table[a, b], c], table[a, table[b, c]])
