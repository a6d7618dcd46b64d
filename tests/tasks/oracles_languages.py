"""Naive solvers of the formal languages: read a row, token by token, and answer.

Each takes the tokens of one row without its padding and returns its answers as
(position, answer, gap).
"""

import itertools
import re

Answers = list[tuple[int, int, int]]


def parity(tokens: list[int]) -> Answers:
    odd, found = False, []
    for t, token in enumerate(tokens):
        if token == 2:
            odd = not odd
        found.append((t, int(odd), t))
    return found


def cycle(tokens: list[int], places: int) -> Answers:
    place, found = 0, []
    for t, token in enumerate(tokens):
        place += {1: -1, 2: 0, 3: 1}[token]
        if place < 0:
            place = places - 1
        if place == places:
            place = 0
        found.append((t, place, t))
    return found


def elements(name: str) -> list[tuple]:
    """The elements of a product of groups in their order, each a tuple of parts."""
    factors = []
    for kind, digits in re.findall(r"([ZSA])(\d+)", name):
        n = int(digits)
        if kind == "Z":
            factors.append(range(n))
            continue
        every = itertools.permutations(range(n))
        factors.append([p for p in every if kind == "S" or even(p)])
    return list(itertools.product(*factors))


def even(permutation: tuple[int, ...]) -> bool:
    """By its cycles: one of even length is an odd permutation."""
    left, sign = set(range(len(permutation))), 0
    while left:
        at = left.pop()
        while permutation[at] in left:
            at = permutation[at]
            left.remove(at)
            sign += 1
    return sign % 2 == 0


def group(tokens: list[int], name: str) -> Answers:
    known = elements(name)
    sizes = [int(digits) for digits in re.findall(r"\d+", name)]
    state, found = None, []
    for t, token in enumerate(tokens):
        factor = known[token - 1]
        if state is None:
            state = factor
        else:
            state = tuple(
                tuple(p[i] for i in q) if isinstance(p, tuple) else (p + q) % n
                for p, q, n in zip(state, factor, sizes, strict=True)
            )
        found.append((t, known.index(state), t))
    return found


def spelled(tokens: list[int], modulus: int) -> str:
    return "".join(
        str(token - 1) if token <= modulus else "+-*()"[token - 1 - modulus]
        for token in tokens
    )


def arithmetic(tokens: list[int], modulus: int) -> Answers:
    """By Python's own reading of the expression (digits below 10)."""
    text = spelled(tokens, modulus)
    assert re.fullmatch(r"\d([-+*]\d)*", text), text
    return [(t, eval(text[: t + 1]) % modulus, t) for t in range(0, len(text), 2)]


def bracketed(tokens: list[int], modulus: int) -> Answers:
    text, opened, found = spelled(tokens, modulus), [], []
    assert grammatical(text), text
    for t, sign in enumerate(text):
        if sign == "(":
            opened.append(t)
        if sign == ")":
            begin = opened.pop()
            found.append((t, eval(text[begin : t + 1]) % modulus, t - begin))
    if len(text) < 3:
        found.append((len(text) - 1, eval(text) % modulus, len(text) - 1))
    return found


def grammatical(text: str) -> bool:
    """Whether a text reduces to x by x for d, -d, (d), (-d) and (x op x)."""
    if re.fullmatch(r"-?\d", text):
        return True
    # What stands in brackets alone is short, and an operand only then has a sign.
    text = re.sub(r"(?<=[(+*-])-\d(?=[-+*)])|\d", "x", text)
    while text != "x":
        shorter = re.sub(r"\((x[-+*]x|x)\)", "x", text)
        if shorter == text:
            return False
        text = shorter
    return True


def flip_flop(tokens: list[int]) -> Answers:
    write, read, found = 3, 4, []
    assert len(tokens) % 2 == 0 and tokens[0] == write and tokens[-2] == read
    stored, shown = 0, 0
    for t in range(0, len(tokens), 2):
        instruction, bit = tokens[t], tokens[t + 1] - 1
        assert instruction in (write, read, 5) and bit in (0, 1)
        if instruction == read:
            assert bit == stored
            found.append((t, stored, t - shown))
        if instruction == write:
            stored = bit
        if instruction in (write, read):
            shown = t + 1
    return found


def dyck(tokens: list[int], kinds: int, depth: int) -> Answers:
    stack, found = [], []
    for t, token in enumerate(tokens):
        if token <= kinds:
            stack.append((token - 1, t))
        else:
            assert stack.pop()[0] == token - kinds - 1
        assert len(stack) <= depth
        if stack:
            kind, at = stack[-1]
            found.append((t, kind, t - at))
    return found


def string(tokens: list[int]) -> list[int]:
    """The symbols before the answers, counted from 0."""
    count = tokens.index(1)
    assert all(token == 1 for token in tokens[count:])
    return [token - 2 for token in tokens[:count]]


def reverse(tokens: list[int]) -> Answers:
    symbols = string(tokens)
    places = range(len(symbols), len(tokens))
    pairs = list(enumerate(symbols))[::-1]
    return [(t, s, t - at) for t, (at, s) in zip(places, pairs, strict=True)]


def bucket_sort(tokens: list[int]) -> Answers:
    symbols = string(tokens)
    places = range(len(symbols), len(tokens))
    return [(t, s, t) for t, s in zip(places, sorted(symbols), strict=True)]


def stack_manipulation(tokens: list[int]) -> Answers:
    symbols, stack = string(tokens), []
    acted = False
    for at, symbol in enumerate(symbols):
        acted |= symbol >= 2
        assert acted == (symbol >= 2)  # the stack first, then actions
        if symbol == 2:
            if stack:
                stack.pop()
        else:
            stack.append((symbol % 3, at))
    found, t = [], len(symbols)
    while stack:
        bit, at = stack.pop()
        found.append((t, bit, t - at))
        t += 1
    return [*found, (t, 2, t)]
