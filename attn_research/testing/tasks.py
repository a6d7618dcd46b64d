"""The laws of a task, each a plain function `law(drawn)` that raises AssertionError."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from attn_research import tasks
from attn_research.options import BadInput, build
from attn_research.options.specs import parse, spell
from attn_research.tasks.contract import SPLITS, Batch, Split, Task
from attn_research.testing.verdict import Verdict, broken, chosen, first_line

ROWS, KEYS = 4, 2
SAMPLED = 256  # rows of a split that are compared with those of another
SHARED = "rows of train"  # in the note of a task on rows that its splits share
CONTRACT = {"spec", "arrays", "batch"}


class Drawn(NamedTuple):
    """A task, `draw(seed, split)`, which is compiled, and what it gives.

    The leading axes of the `batches` are those of `KEYS` seeds and of the splits.
    """

    task: Any
    draw: Callable[[int, int], Batch]
    batches: Batch


def draw(task: Task) -> Drawn:
    """A task with its batches of all keys and splits."""
    arrays = jax.device_put(task.arrays())

    @jax.jit
    def one(seed, split, arrays):
        return task.batch(jax.random.key(seed), split, ROWS, arrays)

    made = functools.partial(one, arrays=arrays)
    found = [
        jax.device_get([made(seed, split) for split in range(len(SPLITS))])
        for seed in range(KEYS)
    ]
    batches = [batch for each in found for batch in each]
    stacked = jax.tree.map(
        lambda *leaves: np.reshape(leaves, (KEYS, len(SPLITS), *leaves[0].shape)),
        *batches,
    )
    return Drawn(task, made, stacked)


def law_inputs(drawn: Drawn) -> None:
    """The inputs have the shape, the type and the range that the spec says."""
    want, batch, rows = drawn.task.spec, _rows(drawn), _count(drawn)
    _shape("segments", batch.segments, (rows, want.length))
    assert not want.whole or (batch.segments == 1).all(), (
        "the spec says that rows are whole, and a segment is not 1"
    )
    _filled("inputs", batch.inputs, want.inputs, rows, want.length, want.features)
    if not want.source_features:
        return
    assert batch.source is not None, "there is no source"
    shape = rows, want.source_length
    _shape("source_segments", batch.source_segments, shape)
    _filled("source", batch.source, want.source_inputs, *shape, want.source_features)


def law_targets(drawn: Drawn) -> None:
    """The targets, weights, gaps and groups are those that the spec says."""
    want, batch, rows = drawn.task.spec, _rows(drawn), _count(drawn)
    one = want.per_sequence or want.target in ("span", "string")
    per = (rows,) if one else (rows, want.length)
    _shape("weights", batch.weights, per)
    _shape("gap", batch.gap, per)
    rest = batch.targets.shape[len(per) :]
    if want.target == "value" and want.outputs > 1:
        assert rest == (want.outputs,), f"targets have {rest}, not {want.outputs}"
    elif want.target == "string":
        assert len(rest) == 1 and rest[0] <= want.labels, f"strings have {rest}"
    else:
        ends = (2,) if want.target == "span" else ()
        assert rest == ends, f"targets have {rest}, not {ends}"
    if want.target != "value":
        top = want.length if want.target == "span" else want.outputs
        _within("targets", batch.targets, top)
    if want.groups:
        _shape("group", batch.group, (rows,))
        _within("group", batch.group, len(want.groups))
    else:
        assert batch.group is None, "there is a group, and the spec has none"
    counted = (batch.weights > 0).reshape(rows, -1).sum(axis=1)
    assert 1 <= counted.min(), "a row has no target with a weight"
    assert counted.max() <= want.labels, (
        f"a row has {counted.max()} targets, more than the {want.labels} labels"
    )
    low, high = batch.gap.min(), batch.gap.max()
    assert -1 <= low and high < want.length, f"gaps are from {low} to {high}"


def law_repeats(drawn: Drawn) -> None:
    """A batch is a function of key and split, and of nothing else."""
    for seed in range(KEYS):
        for split, name in enumerate(SPLITS):
            again = drawn.draw(seed, split)
            first = jax.tree.map(lambda leaf, at=(seed, split): leaf[at], drawn.batches)
            _same(again, first, f"{name} of key {seed} differs when it is drawn again")


def law_differ(drawn: Drawn) -> None:
    """Another key gives another batch, and so does another split."""
    places = [(seed, name) for seed in range(KEYS) for name in SPLITS]
    inputs = drawn.batches.inputs
    different = inputs.reshape(-1, *inputs.shape[2:])
    for i, one in enumerate(different):
        for j, other in enumerate(different[:i]):
            assert not np.array_equal(one, other), (
                f"key {places[i][0]} of {places[i][1]} and key {places[j][0]} of "
                f"{places[j][1]} have one batch"
            )


def law_apart(drawn: Drawn) -> None:
    """No row of the test is a row of training, or a note of the task says how many.

    Of `SAMPLED` rows of each, so that a test drawn from M rows of training is seen in
    1 - exp(-65,536 / M) of all cases: 95 % at 21,000 rows. A task of few different
    rows says so by `notes = attn_research.tasks.parts.overlap.notes`.
    """
    train, test = (_sampled(drawn, split) for split in ("train", "test"))
    shared = sum(row in set(train) for row in test)
    notes = getattr(drawn.task, "notes", lambda arrays: [])
    if shared and not any(SHARED in note for note in notes(drawn.task.arrays())):
        raise AssertionError(
            f"{shared} of {len(test)} rows of test are among {len(train)} rows of "
            "train, and no note of the task says so"
        )


def law_names(drawn: Drawn) -> None:
    """A split is known by its name too, by which training may be shorter."""
    task, arrays = drawn.task, drawn.task.arrays()

    @jax.jit
    def named(key, arrays):
        return [task.batch(key, split, ROWS, arrays).inputs for split in SPLITS]

    for split, found in enumerate(named(jax.random.key(0), arrays)):
        want = drawn.batches.inputs[0, split]
        short = want[:, : found.shape[1]]
        assert found.shape[1] >= 1 and (found.shape == want.shape or split == 0), (
            f"{SPLITS[split]} has {found.shape}, not {want.shape}"
        )
        if found.shape == want.shape:
            assert np.array_equal(found, short), f"{SPLITS[split]} differs by its name"


def law_finite(drawn: Drawn) -> None:
    """Numbers are finite, and a finite task has its examples by their number."""
    for name, leaf in zip(Batch._fields, drawn.batches, strict=True):
        if leaf is not None:
            assert np.isfinite(leaf).all(), f"{name} is not finite"
    if not drawn.task.spec.finite:
        return
    task = drawn.task
    arrays = jax.device_put(task.arrays())
    for split, name in enumerate(SPLITS):
        count = int(task.count(split, arrays))
        assert count >= 1, f"{name} has {count} examples"
        index_B = np.arange(min(2, count), dtype=np.int32)
        both = task.examples(index_B, split, arrays)
        last = task.examples(index_B[-1:], split, arrays)
        one = jax.tree.map(lambda leaf: np.asarray(leaf)[-1:], both)
        _same(last, one, f"{name}: example {index_B[-1]} differs beside another")


def law_spelled(drawn: Drawn) -> None:
    """A task is the options of a frozen dataclass, and is rebuilt from their text."""
    task = drawn.task
    assert dataclasses.is_dataclass(task), "it is no dataclass"
    _, options = parse(spell("task", task))
    again = build(type(task), options, "task")
    assert again == task, "its text gives another task"
    assert hash(again) == hash(task), "equal tasks differ in hash"


LAWS: dict[str, Callable[[Drawn], None]] = {
    "inputs": law_inputs,
    "targets": law_targets,
    "repeats": law_repeats,
    "differ": law_differ,
    "apart": law_apart,
    "names": law_names,
    "finite": law_finite,
    "spelled": law_spelled,
}
# The first thing asked of a task.
BATCH, BATCH_SENTENCE = "batch", "A compiled function of key and split draws batches."


def task_laws() -> tuple[str, ...]:
    """The names of the laws of a task."""
    return (BATCH, *LAWS)


def sentences() -> dict[str, str]:
    """Each law and what it demands."""
    return {BATCH: BATCH_SENTENCE, **{n: first_line(law) for n, law in LAWS.items()}}


def judge(task: str | Task, laws: Sequence[str] = ()) -> Iterator[Verdict]:
    """The verdict of each of the `laws` on a task, all of them by default."""
    laws = chosen(laws, task_laws())
    made = tasks.make(task) if isinstance(task, str) else task
    if isinstance(made, type) or not CONTRACT <= set(dir(made)):
        raise BadInput(
            f"{task!r} is no task; it must be a spec or what ar.task returns"
        )
    words = task if isinstance(task, str) else type(task).__name__
    kept: list[Drawn] = []
    fault = broken(lambda: kept.append(draw(made)))
    for name in laws:
        found = fault
        if name != BATCH and kept:
            found = broken(lambda law=LAWS[name]: law(kept[0]))
        yield Verdict(name, sentences()[name], words if found else "", found)


def _sampled(drawn: Drawn, split: Split) -> list[bytes]:
    """What a model sees of rows of a split that have a target with a weight."""
    found = []
    for seed in range(SAMPLED // ROWS):
        batch = jax.device_get(drawn.draw(seed, SPLITS.index(split)))
        inputs = [_real(batch.inputs, batch.segments)]
        if batch.source is not None:
            inputs.append(_real(batch.source, batch.source_segments))
        counted_B = (batch.weights > 0).reshape(ROWS, -1).any(axis=1)
        found += [
            b"".join(each[row].tobytes() for each in inputs)
            for row in np.flatnonzero(counted_B)
        ]
    return found


def _real(values: np.ndarray, segments_BT: np.ndarray) -> np.ndarray:
    """Tokens_BT or values_BTF with 0 at padding."""
    real_BT = segments_BT > 0
    return np.where(real_BT if values.ndim == 2 else real_BT[..., None], values, 0)


def _rows(drawn: Drawn) -> Batch:
    """The rows of all keys and splits together."""
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[3:]), drawn.batches)


def _count(drawn: Drawn) -> int:
    return KEYS * len(SPLITS) * ROWS


def _shape(what: str, leaf: Any, want: tuple[int, ...]) -> None:
    assert leaf is not None, f"there is no {what}"
    assert leaf.shape == want, f"{what} has the shape {leaf.shape}, not {want}"


def _within(what: str, leaf: Any, top: int) -> None:
    low, high = leaf.min(), leaf.max()
    assert 0 <= low and high < top, f"{what} are from {low} to {high}, not below {top}"


def _filled(
    what: str, leaf: Any, kind: str, rows: int, length: int, features: int
) -> None:
    """Tokens below `features`, or that many values at each position."""
    if kind == "values":
        _shape(what, leaf, (rows, length, features))
        return
    _shape(what, leaf, (rows, length))
    assert leaf.dtype == np.int32, f"{what} are {leaf.dtype}, not int32"
    _within(what, leaf, features)


def _same(got: Any, want: Any, words: str) -> None:
    for one, two in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert np.array_equal(one, two), words
