"""Best guesses about random languages, and the classes of temporal order, naively."""

import math
from itertools import product


def best_known(table, tokens, order):
    """Losses and entropies of each next token where the chances are known by heart.

    `table` maps a context (a tuple) to the chances of all tokens.
    """
    losses, entropies = [], []
    for t in range(order - 1, len(tokens)):
        chances = table[tuple(tokens[t - order + 1 : t])]
        losses.append(-math.log(chances[tokens[t]]))
        entropies.append(entropy(chances))
    return losses, entropies


def best_in_context(tokens, order, vocabulary, concentration):
    """The same where a language is known by its sequence alone, and the gaps.

    A token that followed a context k times of n is expected with probability
    (k + a) / (n + a V).
    """
    counts, last = {}, {}
    losses, entropies, gaps = [], [], []
    for t in range(order - 1, len(tokens)):
        context = tuple(tokens[t - order + 1 : t])
        count = counts.setdefault(context, [0] * vocabulary)
        total = sum(count) + concentration * vocabulary
        chances = [(k + concentration) / total for k in count]
        losses.append(-math.log(chances[tokens[t]]))
        entropies.append(entropy(chances))
        # Asked at the context's last token, one before the token itself.
        gaps.append(t - 1 - last[context] if context in last else -1)
        count[tokens[t]] += 1
        last[context] = t
    return losses, entropies, gaps


def entropy(chances):
    """Of a distribution, in nats."""
    return -sum(p * math.log(p) for p in chances if p > 0)


def temporal_order(tokens):
    """Where the trigger stands, the class of the order of X and Y, and the gap."""
    end = tokens.index(2)
    seen = [(token, t) for t, token in enumerate(tokens[:end]) if token in (3, 4)]
    orders = ["".join(order) for order in product("XY", repeat=len(seen))]
    order = "".join("XY"[token - 3] for token, _ in seen)
    return end, orders.index(order), end - seen[0][1]
