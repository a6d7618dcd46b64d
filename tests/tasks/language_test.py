"""Random languages and temporal order: each example against a naive oracle."""

import numpy as np
import pytest

from attn_research import tasks
from tests.tasks import oracles_language
from tests.tasks.draw import assert_even, drawn, listed


def whole(batch):
    return listed(np.concatenate([batch.inputs, batch.targets[:, -1:]], axis=1))


def asks_for_next_tokens(task, batch, gaps):
    """Every next token is asked for, but those without a whole context."""
    np.testing.assert_array_equal(batch.targets[:, :-1], batch.inputs[:, 1:])
    skipped = task.order - 2
    np.testing.assert_array_equal(batch.gap[:, skipped:], gaps)
    np.testing.assert_array_equal(batch.gap[:, :skipped], -1)
    counted = np.arange(task.length) >= skipped
    np.testing.assert_array_equal(batch.weights, np.tile(counted, (len(gaps), 1)))
    assert task.spec.labels == counted.sum()


def as_likely_as_told(losses, entropies):
    """Losses of the best guess differ from its own entropy by chance alone."""
    surprise = np.array(losses) - np.array(entropies)
    error = surprise.std() / np.sqrt(surprise.size)
    assert abs(surprise.mean()) < 4 * error


def table_of(task):
    """Context (a tuple) to chances, from the bounds that the task draws by."""
    below = task.arrays()["below_CV"].astype(np.float64) / 2**32
    chances = np.diff(below, axis=1, prepend=0.0, append=1.0)
    contexts = np.ndindex(*[task.vocabulary] * (task.order - 1))
    return dict(zip(contexts, listed(chances), strict=True))


@pytest.mark.parametrize(
    "spec",
    [
        "ngram(length=24)",
        "ngram(length=20,vocabulary=5,order=3,concentration=1)",
        "ngram(length=20,vocabulary=3,order=5,concentration=0.1,language=7)",
    ],
)
def test_a_language_is_spoken_by_its_table(spec):
    task, batch = drawn(spec)
    table, order = table_of(task), task.order
    rows = whole(batch)
    losses, entropies = zip(
        *(oracles_language.best_known(table, row, order) for row in rows), strict=True
    )
    asks_for_next_tokens(task, batch, np.full(np.shape(losses), order - 2))
    as_likely_as_told(losses, entropies)
    assert np.mean(losses) < task.spec.chance
    assert_even(batch.inputs[:, : order - 1], task.vocabulary)
    # After the context met most, each token comes as often as its chance says.
    context = max(table, key=lambda c: sum(row[-order:-1] == list(c) for row in rows))
    after = [row[-1] for row in rows if row[-order:-1] == list(context)]
    chances = np.array(table[context])
    counts = np.bincount(after, minlength=task.vocabulary)
    error = np.sqrt(len(after) * chances * (1 - chances))
    assert len(after) > 20
    assert np.all(np.abs(counts - len(after) * chances) < 4 * error + 1)


def test_a_language_is_its_seed():
    one, again, other = (
        tasks.make(f"ngram(language={seed})").arrays()["below_CV"] for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, again)
    assert np.mean(one == other) < 0.01


def test_small_concentrations_are_predictable():
    def entropy(concentration):
        task = tasks.make(f"ngram(concentration={concentration})")
        return np.mean(
            [oracles_language.entropy(chances) for chances in table_of(task).values()]
        )

    assert entropy(0.05) < 1 < entropy(0.5) < 2.6 < entropy(100) < np.log(16)


@pytest.mark.parametrize(
    "spec",
    [
        "in_context_ngram(length=60)",
        "in_context_ngram(length=48,vocabulary=2,order=4)",
        "in_context_ngram(length=48,vocabulary=6,concentration=0.1)",
    ],
)
def test_a_language_of_its_sequence_is_told_by_its_sequence(spec):
    task, batch = drawn(spec)
    solved = [
        oracles_language.best_in_context(
            row, task.order, task.vocabulary, task.concentration
        )
        for row in whole(batch)
    ]
    losses, entropies, gaps = map(np.array, zip(*solved, strict=True))
    asks_for_next_tokens(task, batch, gaps)
    as_likely_as_told(losses, entropies)
    # No position is more predictable than the context so far makes it, none less.
    for late in (slice(0, 10), slice(-10, None)):
        as_likely_as_told(losses[:, late], entropies[:, late])
    assert losses[:, -10:].mean() < losses[:, :10].mean() < task.spec.chance + 0.05
    assert_even(batch.inputs[:, : task.order - 1], task.vocabulary)


def test_sequences_have_tables_of_their_own():
    """A token that came once is likelier, by as much as the flat prior says."""
    _, batch = drawn("in_context_ngram(length=4,vocabulary=2)", rows=4096)
    first = batch.inputs[:, 0]
    # 0 0 or 1 1: the same step once more has chance (1 + 1) / (1 + 2).
    stayed = batch.inputs[:, 1] == first
    again = (batch.inputs[:, 2] == first)[stayed]
    error = np.sqrt(2 / 9 / again.size)
    assert abs(again.mean() - 2 / 3) < 4 * error


@pytest.mark.parametrize(
    ("spec", "places"),
    [
        ("temporal_order", [(10, 20), (50, 60)]),
        ("temporal_order(symbols=3)", [(10, 20), (33, 43), (66, 76)]),
        ("temporal_order(length=20,causal=false)", [(2, 4), (10, 12)]),
    ],
)
def test_the_order_of_symbols_is_the_class(spec, places):
    task, batch = drawn(spec)
    rows = listed(batch.inputs)
    ends, classes, gaps = map(
        np.array, zip(*map(oracles_language.temporal_order, rows), strict=True)
    )
    at = np.arange(len(rows))
    if task.causal:
        np.testing.assert_array_equal(batch.targets[at, ends], classes)
        np.testing.assert_array_equal(batch.gap[at, ends], gaps)
        np.testing.assert_array_equal(np.argwhere(batch.weights > 0)[:, 1], ends)
        assert batch.weights.sum() == len(rows)
    else:
        np.testing.assert_array_equal(batch.targets, classes)
        np.testing.assert_array_equal(batch.gap, gaps)
        np.testing.assert_array_equal(batch.weights, 1)
    assert_even(classes, 2**task.symbols)
    longest = task.spec.length
    real = np.arange(longest)[None] <= ends[:, None]
    np.testing.assert_array_equal(batch.segments, real)
    np.testing.assert_array_equal(batch.inputs == 0, ~real)
    assert_even(ends - (task.length - 1), longest - task.length + 1)
    assert np.all(batch.inputs[:, 0] == 1) and (batch.inputs == 1).sum() == len(rows)
    for place, (low, high) in zip(symbol_places(batch.inputs).T, places, strict=True):
        assert_even(place - low, high - low + 1)
    distractors = batch.inputs[batch.inputs >= 5] - 5
    assert_even(distractors, task.distractors)


def symbol_places(inputs):
    """Positions of X and Y in each row, in order."""
    marked = (inputs == 3) | (inputs == 4)
    return np.argwhere(marked)[:, 1].reshape(inputs.shape[0], -1)
