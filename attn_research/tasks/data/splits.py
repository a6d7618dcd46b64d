"""Three splits of a data set that was prepared with fewer of them.

The sets of the catalogue have all three. Many that TFDS prepares keep the labels of the
test to themselves, or leave it to their users to hold something out for validation.
"""

from attn_research.options import BadInput
from attn_research.tasks.contract import SPLITS
from attn_research.tasks.data.packed import Column, Columns

TENTH = 10
Part = tuple[str, int, int]  # a split that there is, and tenths of it


def divided(names: tuple[str, ...], what: str) -> dict[str, Part]:
    """What of which split that there is stands for each of `SPLITS`.

    Where none is for the test, validation is, as those do who publish on such a set;
    where none is left for validation, the last tenth of train is. TFDS shuffles what it
    writes, so that a stretch of it is as good as a draw. Raises `BadInput` where there
    is no train.
    """
    if "train" not in names:
        raise BadInput(
            f"The data set {what} has the splits {', '.join(names)}; one of the name "
            "train is needed"
        )
    held = [name for name in ("validation", "test") if name in names]
    chosen: dict[str, Part] = {}
    left = TENTH
    chosen["test"] = (held[-1], 0, TENTH) if held else ("train", left - 1, left)
    left -= not held
    if len(held) == 2:
        chosen["validation"] = ("validation", 0, TENTH)
    else:
        chosen["validation"] = ("train", left - 1, left)
        left -= 1
    return {**chosen, "train": ("train", 0, left)}


def completed(columns: Columns, what: str) -> Columns:
    """The columns of each of `SPLITS`; raises `BadInput` where one would be empty."""
    found: Columns = {}
    for split, (name, low, high) in divided(tuple(columns), what).items():
        found[split] = {
            key: _stretch(column, low, high) for key, column in columns[name].items()
        }
        if not all(map(len, found[split].values())):
            raise BadInput(
                f"The data set {what} has too few examples for a {split} split; ten "
                "and more can be divided"
            )
    return {split: found[split] for split in SPLITS}


def told(names: tuple[str, ...], what: str) -> list[str]:
    """A sentence on each split that is made of another one."""
    return [
        f"{what} has no {split} split: "
        + ("all" if high - low == TENTH else f"tenth {high} of 10")
        + f" of its {name} is used."
        for split, (name, low, high) in divided(names, what).items()
        if split != name
    ]


def _stretch(column: Column, low: int, high: int) -> Column:
    count = len(column)
    return column.part(count * low // TENTH, count * high // TENTH)
