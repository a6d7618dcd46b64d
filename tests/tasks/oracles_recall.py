"""Naive solvers of recall in its forms, by reading a sequence in order."""

from itertools import groupby


def empty(tokens):
    """Targets and gaps of a sequence that asks for nothing."""
    return [0] * len(tokens), [-1] * len(tokens)


def motifs(tokens, keys):
    """Runs of key tokens and of value tokens (above `keys`): (is key, start, motif)."""
    runs, at = [], 0
    for kind, run in groupby(tokens, lambda token: (token > 0) + (token > keys)):
        motif = tuple(run)
        if kind:
            runs.append((kind == 1, at, motif))
        at += len(motif)
    return runs


def fuzzy(tokens, keys):
    """Each pair of motifs binds the first time and is asked for after that."""
    targets, gaps = empty(tokens)
    bound, pending = {}, None
    for is_key, start, motif in motifs(tokens, keys):
        if is_key:
            assert pending is None, "two keys without a value between"
            pending = motif
            continue
        assert pending is not None, "a value without a key"
        if pending in bound:
            known, known_at = bound[pending]
            assert motif == known, "a key has two values"
            for j, token in enumerate(known):
                targets[start - 1 + j] = token
                gaps[start - 1 + j] = start - 1 + j - (known_at + j)
        bound[pending] = motif, start
        pending = None
    assert pending is None, "a key at the end"
    return targets, gaps


def links(tokens):
    """Two tokens at a time, blanks left out: a position, what stands there, and next.

    A question begins with 1, a link with its first symbol.
    """
    found, t = [], 0
    while t < len(tokens):
        if tokens[t]:
            found.append((t, tokens[t], tokens[t + 1]))
        t += 2 if tokens[t] else 1
    return found


def hops(tokens, count):
    """Links as they are read; each question is followed along `count` of them."""
    targets, gaps = empty(tokens)
    after = {}
    for t, first, second in links(tokens):
        if first == 1:
            node, seen = second, []
            for _ in range(count):
                node, at = after[node]
                seen.append(at)
            assert node not in after, "the chain goes on"
            targets[t + 1], gaps[t + 1] = node, t + 1 - min(seen)
        else:
            assert first not in after, "a symbol leads to two others"
            after[first] = second, t + 1
    return targets, gaps


def walks(tokens):
    """For each question, how many links a reader walks who never looks back."""
    found, read = [], links(tokens)
    for end, (_, first, node) in enumerate(read):
        if first == 1:
            count = 0
            for _, here, there in read[:end]:
                if here == node:
                    node, count = there, count + 1
            found.append(count)
    return found


def induction(tokens, asked):
    """At each asked position, what followed the one earlier place of its token."""
    targets, gaps = empty(tokens)
    for t in asked:
        (before,) = (s for s in range(t) if tokens[s] == tokens[t])
        targets[t], gaps[t] = tokens[before + 1], t - (before + 1)
    return targets, gaps
