"""What tasks need of the features of a packed data set, whoever prepared it."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from attn_research.options import BadInput
from attn_research.tasks.contract import SPLITS
from attn_research.tasks.data.packed import Column, Columns
from attn_research.tasks.data.schema import Kind


class Form(NamedTuple):
    """The kind of a feature; for numbers their dtypes and their axes.

    `dtypes` are names, or letters of numpy's kinds; an axis of None may vary from
    example to example, one of -1 may have any length.
    """

    kind: Kind
    dtypes: tuple[str, ...] = ()
    axes: tuple[tuple[int | None, ...], ...] = ()


TEXT, TEXTS, LABEL = Form("text"), Form("texts"), Form("label")
WHOLE = ("i", "u")
PLACE = Form("array", WHOLE, ((2,),))
# The dtypes that the tasks scale: images by 255, audio by 32768.
FORMS: dict[str, Form] = {
    "image": Form("array", ("uint8",), ((-1, -1), (-1, -1, -1))),
    "audio": Form("array", ("int16",), ((None,),)),
    "values": Form("array", ("i", "u", "f"), ((None, -1),)),
    "text": TEXT,
    "document": TEXT,
    "question": TEXT,
    "context": TEXT,
    "answer": TEXT,
    "start": Form("array", WHOLE, ((),)),
    "answers.text": TEXTS,
    "answers.answer_start": Form("array", WHOLE, ((None,),)),
    "transcript": TEXT,
    "queries": TEXTS,
    "summaries": TEXTS,
    "turns": Form("array", WHOLE, ((None,),)),
    "spans": Form("array", WHOLE, ((None, 3),)),
    "pronoun": PLACE,
    "a": PLACE,
    "b": PLACE,
}


def check(columns: Columns, data: str, features: Iterable[str]) -> None:
    """Raises `BadInput` if a feature is missing, of another form, or not finite."""
    for feature in features:
        for split in SPLITS:
            if feature not in columns[split]:
                raise BadInput(
                    f"The data set {data} has {', '.join(columns[split])}; it must "
                    f"have {feature}"
                )
        column = columns["train"][feature]
        if wrong := fault(column, FORMS.get(feature)):
            raise BadInput(f"The {feature} of the data set {data} {wrong}")
        if np.issubdtype(column.values.dtype, np.inexact):
            _check_finite(columns, data, feature)


def fault(column: Column, form: Form | None) -> str | None:
    """What is wrong with a column, None if it is of a form."""
    feature = column.feature
    if form is None:
        return None
    if feature.kind != form.kind:
        return f"is of the kind {feature.kind}; it must be {form.kind}"
    if form.kind != "array":
        return None
    dtype = np.dtype(feature.dtype)
    if not {dtype.name, dtype.kind} & set(form.dtypes):
        known = {"i": "signed", "u": "unsigned", "f": "floating"}
        names = [known.get(name, name) for name in form.dtypes]
        return f"has the dtype {dtype}; it must be {' or '.join(names)}"
    if not any(_same(feature.shape, axes) for axes in form.axes):
        axes = " or ".join(map(_axes, form.axes))
        return f"has the shape {_axes(feature.shape)}; it must be {axes}"
    return None


def _same(shape: tuple[int | None, ...], axes: tuple[int | None, ...]) -> bool:
    return len(shape) == len(axes) and all(
        size == axis or (axis == -1 and size is not None and size > 0)
        for size, axis in zip(shape, axes, strict=True)
    )


def _axes(shape: tuple[int | None, ...]) -> str:
    names = ("any" if n is None else "n" if n == -1 else str(n) for n in shape)
    return f"({', '.join(names)})"


def _check_finite(columns: Columns, data: str, feature: str) -> None:
    """Raises `BadInput` for the first number that is not finite."""
    for split in SPLITS:
        for number, value in enumerate(columns[split][feature]):
            for place in np.argwhere(~np.isfinite(value)):
                at, wrong = ", ".join(map(str, place)), value[tuple(place)]
                raise BadInput(
                    f"Example {number} of {data} ({split}) holds {wrong} at [{at}] of "
                    f"{feature}; every number must be finite"
                )


def check_places(
    columns: Mapping[str, Column], data: str, split: str, names: Iterable[str]
) -> None:
    """Raises `BadInput` for a part of a text that lies outside of it."""
    sizes = np.diff(np.asarray(columns["text"].offsets))
    for name in names:
        place_N2 = np.asarray(columns[name].values, np.int64)
        first_N, last_N = place_N2.T
        wrong_N = (first_N < 0) | (last_N <= first_N) | (last_N > sizes)
        for number in np.flatnonzero(wrong_N)[:1].tolist():
            raise BadInput(
                f"Example {number} of {data} ({split}) has {name} at "
                f"{first_N[number]} to {last_N[number]} of a text of {sizes[number]:,} "
                "bytes; it must lie in it"
            )
