"""Train short, test long: how well sequences of other lengths than in training go.

A model is asked its own task, with another `length`. Generalisation to lengths that
were never trained differs by mixer and by how positions are told (Press et al., 2021,
arXiv:2108.12409; Kazemnejad et al., 2023, arXiv:2305.19466).
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from attn_research import tasks
from attn_research.analysis.answers import Answers, each_answer, joined
from attn_research.analysis.opened import checked, opened
from attn_research.analysis.subject import Subject, of_split
from attn_research.checkpoint import Restored
from attn_research.config import replace
from attn_research.options import BadInput, parse, spell
from attn_research.tasks.contract import Batch


class AtLengths(NamedTuple):
    """Answers of sequences of several lengths, and how long that of each is."""

    answers: Answers
    length_N: np.ndarray


def at_lengths(
    restored: Restored, lengths: Sequence[int], sequences: int = 32
) -> AtLengths:
    """Every answer of so many test sequences of each length.

    Lengths that the task refuses, or that are beyond a table of positions, are left
    out. Raises `BadInput` where none is left but the one of the training.
    """
    sizes: list[int] = []
    found: list[Answers] = []
    refused = BadInput(f"The lengths are {list(lengths)}; give others than the trained")
    trained = opened(restored).trunk.sizes.length
    for length in lengths:
        try:
            subject = _subject(restored, length, sequences)
        except BadInput as error:
            refused = error
            continue
        found.append(each_answer(restored, subject.answered[0], _batches(subject)))
        sizes.append(length)
    if set(sizes) <= {trained}:
        raise refused
    counts = [len(one.loss_N) for one in found]
    return AtLengths(joined(found), np.repeat(sizes, counts))


def _subject(restored: Restored, length: int, sequences: int) -> Subject:
    """Sequences of the task at another length, which the model can take."""
    name, options = parse(restored.config.task)
    if options.get("test_length"):
        raise BadInput(
            f"{name} is tested at every length up to its test_length; its answers by "
            "position are those by length"
        )
    if "length" not in options:
        raise BadInput(f"{name} has no length that could be another one")
    task = spell(name, {**options, "length": length})
    tasks.make(task)
    asked = replace(restored.config, {"task": task})
    subject = of_split(restored._replace(config=asked), "test", sequences, length)
    checked(opened(restored), subject.inputs_B)
    return subject


def _batches(subject: Subject) -> Iterator[Batch]:
    for part in subject.parts():
        yield part.answered[1]
