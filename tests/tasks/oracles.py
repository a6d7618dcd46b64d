"""Naive solvers: the answers and distances of a sequence, by reading it in order."""

import numpy as np


def recall(tokens: np.ndarray, vocabulary: int, keys: int):
    """Each query's answer and gap: a key bound before, not followed by a value."""
    values = range(1 + keys, vocabulary)
    bound: dict[int, tuple[int, int]] = {}
    targets, gaps = np.zeros_like(tokens), np.full_like(tokens, -1)
    for t, token in enumerate(map(int, tokens)):
        if not 1 <= token <= keys:
            continue
        follower = int(tokens[t + 1]) if t + 1 < len(tokens) else 0
        if follower in values:
            bound[token] = (follower, t + 1)
        else:
            targets[t], at = bound[token]
            gaps[t] = t - at
    return targets, gaps


def copying(tokens: np.ndarray, count: int):
    """The symbols seen before the end, in order, and how far back they stood."""
    seen = [(int(token), t) for t, token in enumerate(tokens) if token > 1]
    answers = range(len(tokens) - count, len(tokens))
    return [token for token, _ in seen], [
        at - t for at, (_, t) in zip(answers, seen, strict=True)
    ]


def repeats(tokens: np.ndarray, order: int):
    """Distance back to the last place where the same `order` tokens stood."""
    gaps = np.full(len(tokens), -1)
    for t in range(order - 1, len(tokens)):
        context = list(tokens[t - order + 1 : t + 1])
        for s in range(t - 1, order - 2, -1):
            if list(tokens[s - order + 1 : s + 1]) == context:
                gaps[t] = t - s
                break
    return gaps
