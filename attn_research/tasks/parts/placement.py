"""Positions of the events of a sequence, and the batch that asks at some of them.

An event is a few adjacent tokens: a pair, a query. The tokens between events are the
task's own.
"""

import jax
import jax.numpy as jnp

from attn_research.options import BadInput
from attn_research.tasks.contract import Batch, Draws


def bounds(text: str, where: str, forms: str) -> tuple[int, int]:
    """The lowest and highest of `N` or `LOW..HIGH`; raises `BadInput`."""
    low, dots, high = text.partition("..")
    try:
        pair = int(low), int(high if dots else low)
    except ValueError:
        pair = 0, 0
    if not 1 <= pair[0] <= pair[1]:
        raise BadInput(f"{where} is {text!r}; it must be {forms} with 1 <= LOW <= HIGH")
    return pair


def write(
    shape: tuple[int, ...], events: list[tuple[jax.Array, jax.Array]], dtype=jnp.int32
) -> jax.Array:
    """Zeros with tokens at positions; positions outside the sequence are dropped."""
    rows = jnp.arange(shape[0])[:, None]
    position_BN = jnp.concatenate([position for position, _ in events], axis=1)
    token_BN = jnp.concatenate([token for _, token in events], axis=1)
    sequence = jnp.zeros(shape, dtype)
    return sequence.at[rows, position_BN].set(token_BN.astype(dtype), mode="drop")


def asked(
    inputs_BT: jax.Array, query_BN: jax.Array, answer_BN: jax.Array, gap_BN: jax.Array
) -> Batch:
    """The batch that asks at the queries only; those outside are dropped."""
    shape = inputs_BT.shape
    return Batch(
        inputs=inputs_BT,
        targets=write(shape, [(query_BN, answer_BN)]),
        weights=write(shape, [(query_BN, jnp.ones_like(query_BN))], jnp.float32),
        segments=jnp.ones(shape, jnp.int32),
        gap=write(shape, [(query_BN, gap_BN + 1)]) - 1,
    )


def scattered(draws: Draws, width_BE: jax.Array, length: int) -> jax.Array:
    """Starts of events of these widths, in order, with random gaps between them.

    Takes one column for each event.
    """
    free_B1 = length - jnp.sum(width_BE, axis=1, keepdims=True)
    room_BE = jnp.sort(draws.integers(width_BE.shape[1], free_B1 + 1), axis=1)
    return room_BE + jnp.cumsum(width_BE, axis=1) - width_BE


def extent(gap: int, pairs: int, query: int = 1) -> int:
    """Tokens that `grouped` needs for one gap; a query is `query` tokens wide."""
    together = min(pairs, max(1, (gap + 1) // 2))
    full, rest = divmod(pairs, together)
    after = gap + query - 1
    last = 2 * rest + after if rest else 0
    return full * (2 * together + after) + last


def check_room(
    low: int, high: int, pairs: int, length: int, lead: int = 0, query: int = 1
) -> None:
    """Raises `BadInput` if `grouped` does not fit for some gap of the range."""
    for gap in range(low, high + 1):
        need = lead + extent(gap, pairs, query)
        if need > length:
            raise BadInput(
                f"The length is {length}; for {pairs} pairs at a gap of {gap} it must "
                f"be at least {need}"
            )


def grouped(
    draws: Draws,
    low: int,
    high: int,
    pairs: int,
    length: int,
    lead: int = 0,
    query: int = 1,
) -> tuple[jax.Array, jax.Array]:
    """Starts of pairs and of their queries, at one exact distance per sequence.

    Each group of pairs is followed by its queries; the distance from the second token
    of a pair to the first of its query is uniform over the range. `lead` tokens before
    the first pair stay free. Takes two columns.
    """
    gap_B1 = low + draws.integers(1, high + 1 - low)
    together_B1 = jnp.clip((gap_B1 + 1) // 2, 1, pairs)
    index_1N = jnp.arange(pairs)[None]
    group_BN, within_BN = index_1N // together_B1, index_1N % together_B1
    group_B1 = 2 * together_B1 + gap_B1 + query - 1
    pair_BN = lead + group_BN * group_B1 + 2 * within_BN
    end_B1 = jnp.max(pair_BN + 1 + gap_B1, axis=1, keepdims=True) + query
    pair_BN = pair_BN + draws.integers(1, length - end_B1 + 1)
    return pair_BN, pair_BN + 1 + gap_B1
