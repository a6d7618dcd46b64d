"""Naive solvers of the tasks over structure: read an example as its text says."""

import re
import statistics

import numpy as np

LISTOPS = (None, *"0123456789", "[MIN", "[MAX", "[MED", "[SM", "]")
OPERATIONS = {
    "[MIN": min,
    "[MAX": max,
    "[MED": lambda values: int(statistics.median(values)),
    "[SM": lambda values: sum(values) % 10,
}


def listops(tokens: list[int]) -> tuple[int, int, int]:
    """The value of an expression, its depth and its most arguments, by a parser."""
    words = [LISTOPS[token] for token in tokens]

    def parse(at: int) -> tuple[int, int, int, int]:
        word = words[at]
        if word not in OPERATIONS:
            return int(word), at + 1, 1, 0
        values, depth, most = [], 0, 0
        at += 1
        while words[at] != "]":
            value, at, below, widest = parse(at)
            values.append(value)
            depth, most = max(depth, below), max(most, widest)
        assert len(values) >= 2
        return OPERATIONS[word](values), at + 1, depth + 1, max(most, len(values))

    value, end, depth, most = parse(0)
    assert end == len(words) and words[0] in OPERATIONS
    return value, depth, most


def dots(picture: np.ndarray, radius: int) -> list[tuple[int, int]]:
    """The middles of the two brightest squares, far enough from each other."""
    wide = np.pad(picture.astype(int), radius)
    side = 2 * radius + 1
    light = np.lib.stride_tricks.sliding_window_view(wide, (side, side)).sum((2, 3))
    found = []
    for _ in range(2):
        y, x = map(int, np.unravel_index(light.argmax(), light.shape))
        found.append((y, x))
        light[max(y - side, 0) : y + side + 1, max(x - side, 0) : x + side + 1] = 0
    return found


def connected(picture: np.ndarray, bright: float, step: float, radius: int) -> bool:
    """Whether one dot is reached from the other over bright pixels, by short steps."""
    start, goal = dots(picture, radius)
    reach = int(step)
    offsets = [
        (dy, dx)
        for dy in range(-reach, reach + 1)
        for dx in range(-reach, reach + 1)
        if 0 < dy * dy + dx * dx <= step * step
    ]
    lit = set(zip(*map(np.ndarray.tolist, np.nonzero(picture >= bright)), strict=True))
    lit.discard(start)
    todo = [start]
    while todo:
        y, x = todo.pop()
        for dy, dx in offsets:
            place = y + dy, x + dx
            if place in lit:
                lit.discard(place)
                todo.append(place)
    return goal not in lit


def needle(text: bytes, digits: int) -> tuple[bytes, list[int], int]:
    """The number asked for, its digits' distances, and how many facts there are."""
    asked = re.search(rb"\nThe magic number of ([a-z]{5}) is (\d*)$", text)
    assert asked
    body = text[: asked.start()]
    facts = re.findall(rb"The magic number of ([a-z]{5}) is (\d+)\. ", body)
    assert len(dict(facts)) == len(facts)
    fact = re.search(rb"The magic number of " + asked[1] + rb" is (\d+)\. ", body)
    assert fact and asked[2] == fact[1][:-1] and len(fact[1]) == digits
    first = len(text) - digits
    return fact[1], [first - fact.start(1)] * digits, len(facts)


def variables(text: bytes, digits: int) -> tuple[bytes, list[int], list[int]]:
    """The number asked for, its digits' distances, the hops to it and to every end."""
    lines, _, asked = text.lstrip(b"\n").rpartition(b"?")
    at = len(text) - len(text.lstrip(b"\n"))
    known: dict[bytes, tuple[bytes, int, int]] = {}
    copied = set()
    for line in lines.split(b";")[:-1]:
        name, _, right = line.partition(b"=")
        assert name not in known and re.fullmatch(rb"x\d+", name)
        if right.startswith(b"x"):
            number, place, hops = known[right]
            assert right not in copied
            copied.add(right)
            known[name] = number, place, hops + 1
        else:
            known[name] = right, at + len(name) + 1, 0
        at += len(line) + 1
    name, _, given = asked.partition(b"=")
    number, place, _ = known[name]
    assert len(number) == digits and given == number[:-1] and name not in copied
    hops = [known[end][2] for end in known if end not in copied]
    first = len(text) - digits
    return number, [first - place] * digits, [known[name][2], *sorted(hops)]


def coreference(
    words: list[str], women: list[str], men: list[str], families: list[str]
):
    """Whom the last word means, how far back, and which cue was needed."""
    people, trades = {}, {}
    for at, word in enumerate(words):
        kind = "she" if word in women else "he" if word in men else "they"
        if word in [*women, *men, *families]:
            assert word not in people
            verb, article = words[at + 1 : at + 3]
            if kind == "they":
                assert words[at - 1] == "the" and verb == "are"
                trades[word] = article
            else:
                assert (verb, article) == ("is", "a")
                trades[word] = words[at + 3]
            people[word] = kind, at
    assert len(people) == 2 and len(set(trades.values())) == 2
    meant = [name for name, (kind, _) in people.items() if kind == words[-1]]
    cue = "number" if "they" in (k for k, _ in people.values()) else "gender"
    if len(meant) == 2:
        cue = "property"
        assert words[-5:-3] == ["as", "the"]
        meant = [name for name in meant if trades[name] == words[-3]]
    else:
        assert words[-5:-1] == ["in", "the", "end", ","]
    (name,) = meant
    return name, len(words) - 1 - people[name][1], cue
