"""Naive solvers of the MAD tasks, by reading a sequence in order.

Sequences are whole, the last answer included; an answer is asked for one token before
it stands there, unless said otherwise.
"""


def pairs(tokens, keys, values):
    """Gaps of the keys seen before; slots of two tokens, noise above the values."""
    gaps, bound = [-1] * len(tokens), {}
    for t in range(0, len(tokens), 2):
        key, value = tokens[t : t + 2]
        if key >= keys + values:
            assert value >= keys + values, "half a pair is noise"
            continue
        assert key < keys <= value < keys + values
        if key in bound:
            known, at = bound[key]
            assert value == known, "a key has two values"
            gaps[t] = t - at
        bound[key] = value, t + 1
    return gaps


def motif_pairs(tokens, keys, padding):
    """Gaps of the tokens of values whose keys were seen before, and the pairs seen."""
    gaps, bound, seen = [-1] * len(tokens), {}, []
    t = 0
    while tokens[t] == padding:
        t += 1
    while t < len(tokens):
        start = t
        while tokens[t] < keys:
            t += 1
        middle = t
        while t < len(tokens) and keys <= tokens[t] < padding:
            t += 1
        key, value = tuple(tokens[start:middle]), tuple(tokens[middle:t])
        assert key and value, "half a pair is missing"
        if key in bound:
            known, at = bound[key]
            assert value == known, "a key has two values"
            for j in range(len(value)):
                gaps[middle + j - 1] = middle + j - 1 - (at + j)
        bound[key] = value, middle
        seen.append((key, value))
    return gaps, seen


def copying(tokens, blank, sign):
    """Symbols before the sign, answered in order after it: targets and gaps."""
    targets, gaps = [0] * len(tokens), [-1] * len(tokens)
    seen = []
    at = tokens.index(sign)
    for t, token in enumerate(tokens[:at]):
        if token != blank:
            seen.append((token, t))
    assert set(tokens[at + 1 :]) == {blank}
    for t, (token, source) in enumerate(seen, start=at + 1):
        targets[t], gaps[t] = token, t - source
    return targets, gaps


def compression(tokens, vocabulary):
    """Each question, a token from `vocabulary` up, names a place: its token and gap."""
    targets, gaps = [0] * len(tokens), [-1] * len(tokens)
    for t, token in enumerate(tokens):
        if token >= vocabulary:
            place = token - vocabulary
            targets[t], gaps[t] = tokens[place], t - place
    return targets, gaps


def memorization(tokens, sign, table):
    """The value of the key before each sign, looked up in what was learnt."""
    targets = [0] * len(tokens)
    for t, token in enumerate(tokens):
        if token == sign:
            targets[t] = table[tokens[t - 1]]
    return targets
