"""The three splits of a user's own files, and of a data set prepared with fewer.

A file is assigned by the hash of its content, alone: files that are added or renamed
move no other. The sets of the catalogue have all three splits. Many sets of TFDS
withhold the labels of the test, or leave the choice of a validation split to their
users.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from attn_research.options import BadInput
from attn_research.tasks.contract import SPLITS, Split
from attn_research.tasks.data.packed import Column, Columns

TENTH = 10
Part = tuple[str, int, int]  # an existing split, and a range of tenths of it


SLOTS = 20  # equally likely places of a hash
DIGEST = 8  # bytes of the digest of a content


class Shares(NamedTuple):
    """The number of `SLOTS` of validation and of test; the rest is for training."""

    validation: int
    test: int


# Of a small set a tenth is often a single recording, or none.
RECORDINGS, TEXTS = Shares(3, 3), Shares(1, 1)


class Member(NamedTuple):
    """What a file is assigned by: its content, or the group that must stay together.

    `name` divides copies if nothing else can. Files without a `label` have no class; a
    `split` that is given is kept. `size` counts where files differ much, as texts do.
    """

    key: bytes
    name: str = ""
    label: str = ""
    split: Split | None = None
    size: int = 0


def digest(content: bytes) -> bytes:
    """Eight bytes that stand for a content."""
    return hashlib.blake2b(content, digest_size=DIGEST).digest()


def assigned(
    members: Sequence[Member],
    shares: Shares,
    what: str,
    instead: str,
    noun: str = "files",
) -> list[Split]:
    """The split of each member, by the hash of its key alone.

    Equal keys share a split, so that no copy is both learned and tested; if all files
    of a class are copies of one or two, the name is hashed too. By chance a part may be
    empty, have one class only, or less than a quarter of its share of all sizes: then
    the highest hashes of train move there, and the lowest hash of each class is always
    in train. Members that are added move no other; only one that had to move may
    return. Raises `BadInput` if there are too few, which says what the user may do
    `instead`.
    """
    few = _copied(members)
    place = [
        _place(m.key + m.name.encode(errors="surrogateescape") * (m.label in few))
        for m in members
    ]
    found: list[Split] = [
        member.split or _part(number, shares)
        for member, number in zip(members, place, strict=True)
    ]
    counts = {split: Counter[str]() for split in SPLITS}
    sizes = Counter[Split]()
    groups: dict[int, list[int]] = {}
    for n, (member, split) in enumerate(zip(members, found, strict=True)):
        counts[split][member.label] += 1
        sizes[split] += member.size
        if member.split is None:
            groups.setdefault(place[n], []).append(n)

    def move(group: list[int], split: Split) -> None:
        for n in group:
            counts[found[n]][members[n].label] -= 1
            counts[split][members[n].label] += 1
            sizes[found[n]] -= members[n].size
            sizes[split] += members[n].size
            found[n] = split

    # From the lowest hash to the highest; the slot is what divides the splits.
    ordered = sorted(groups, key=lambda number: (number % SLOTS, number))
    for number in ordered:
        if any(not counts["train"][members[n].label] for n in groups[number]):
            move(groups[number], "train")
    wanted = min(2, len({member.label for member in members}))
    held: dict[Split, int] = {"test": shares.test, "validation": shares.validation}
    for split, share in held.items():
        least = sizes.total() * share / SLOTS / 4
        # From train first, then from the other part; each keeps one of the class.
        for source in SPLITS:
            for number in reversed(ordered):
                full = len(+counts[split]) >= wanted
                if full and sizes[split] >= least:
                    break
                group = groups[number]
                own = Counter(members[n].label for n in group)
                spare = all(counts[source][label] > own[label] for label in own)
                new = full or any(not counts[split][label] for label in own)
                if spare and new and all(found[n] == source for n in group):
                    move(group, split)
    # Parts of one class that the user asked for are the user's own.
    wanted = wanted if groups else 1
    for split in SPLITS:
        if len(+counts[split]) < wanted:
            raise BadInput(
                f"{what} has {len(members)} {noun}, too few for a {split} split"
                f"{' of two classes' * (wanted > 1)}; it must have at least three"
                f"{' of each class' * (wanted > 1)}, {instead}"
            )
    return found


def _copied(members: Iterable[Member]) -> set[str]:
    """The classes whose members are copies of one or two."""
    contents: dict[str, Counter[bytes]] = {}
    for member in members:
        if member.split is not None:
            continue
        contents.setdefault(member.label, Counter())[member.key] += 1
    return {
        label
        for label, keys in contents.items()
        if len(keys) < min(len(SPLITS), keys.total())
    }


def _place(key: bytes) -> int:
    return int.from_bytes(digest(key), "big")


def _part(place: int, shares: Shares) -> Split:
    """The split of a hash: the highest slots are test, those before validation."""
    slot = place % SLOTS
    left = SLOTS - shares.test
    return SPLITS[(slot >= left - shares.validation) + (slot >= left)]


def divided(names: tuple[str, ...], what: str) -> dict[str, Part]:
    """Which part of an existing split serves as each of `SPLITS`.

    Without a test split validation is the test, as in publications; without a remaining
    validation split the last tenth of train is. TFDS shuffles what it writes, so that a
    contiguous part is random. Raises `BadInput` if train is missing.
    """
    if "train" not in names:
        raise BadInput(
            f"The data set {what} has the splits {', '.join(names)}; one of them must "
            "be train"
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
    """The columns of each of `SPLITS`; raises `BadInput` if one would be empty."""
    found: Columns = {}
    for split, (name, low, high) in divided(tuple(columns), what).items():
        found[split] = {
            key: _stretch(column, low, high) for key, column in columns[name].items()
        }
        if not all(map(len, found[split].values())):
            raise BadInput(
                f"The data set {what} has too few examples for a {split} split; it "
                "must be at least ten"
            )
    return {split: found[split] for split in SPLITS}


def notes(names: tuple[str, ...], what: str) -> list[str]:
    """One sentence for each split that another one replaces."""
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
