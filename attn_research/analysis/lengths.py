"""Train short, test long: the answers of a model at lengths that were not trained.

A model gets its own task with another `length`. Generalisation to unseen lengths
differs by mixer and by the encoding of positions (Press et al., 2021, arXiv:2108.12409;
Kazemnejad et al., 2023, arXiv:2305.19466).
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from attn_research import tasks
from attn_research.analysis.answers import Answers, each_answer, join
from attn_research.analysis.layers import check_inputs, open_model
from attn_research.analysis.subject import Subject, of_split
from attn_research.checkpoint import Restored, check_data
from attn_research.config import edit
from attn_research.options import BadInput
from attn_research.options.specs import parse, spell
from attn_research.tasks.contract import Batch
from attn_research.tasks.parts import windows


class AtLengths(NamedTuple):
    """Answers of sequences of several lengths, and the length of their sequence."""

    answers: Answers
    length_N: np.ndarray


def at_lengths(
    restored: Restored, lengths: Sequence[int], sequences: int = 32
) -> AtLengths:
    """Every answer of `sequences` test sequences of each length.

    Lengths that the task refuses, or that are beyond a table of positions, are left
    out. Raises `BadInput` if none but the trained length is left, or if the data of the
    task are not those that the model was trained with.
    """
    if restored.data:
        check_data(restored, windows.content(tasks.make(restored.config.task)))
    sizes: list[int] = []
    by_length: list[Answers] = []
    refused = BadInput(
        f"The lengths are {list(lengths)}; one must differ from the trained length"
    )
    trained = open_model(restored).trunk.sizes.length
    for length in lengths:
        try:
            subject = _subject(restored, length, sequences)
        except BadInput as error:
            refused = error
            continue
        by_length.append(each_answer(restored, subject.answered[0], _batches(subject)))
        sizes.append(length)
    if set(sizes) <= {trained}:
        raise refused
    counts = [len(answers.loss_N) for answers in by_length]
    return AtLengths(join(by_length), np.repeat(sizes, counts))


def _subject(restored: Restored, length: int, sequences: int) -> Subject:
    """Sequences of the task at another length; raises `BadInput` if they do not fit."""
    name, options = parse(restored.config.task)
    if options.get("test_length"):
        raise BadInput(
            f"{name} is tested at every length up to its test_length, so that its "
            "answers by position are those by length; it must be a task of one length"
        )
    if "length" not in options:
        raise BadInput(f"{name} has no option length; the task must have one")
    task = spell(name, {**options, "length": length})
    tasks.make(task)
    asked = edit(restored.config, {"task": task})
    # What fits into another length may differ, and with it the digest.
    other = restored._replace(config=asked, data="")
    subject = of_split(other, "test", sequences, length)
    check_inputs(open_model(restored), subject.inputs_B)
    return subject


def _batches(subject: Subject) -> Iterator[Batch]:
    for part in subject.parts():
        yield part.answered[1]
