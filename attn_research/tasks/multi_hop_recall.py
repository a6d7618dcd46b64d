"""Recall along chains: the answer is several links away from the question."""

from typing import Literal

import jax
import jax.numpy as jnp

from attn_research.options import BadInput, declared, option
from attn_research.tasks.contract import LARGEST, Batch, Draws, Spec, Split, no_arrays
from attn_research.tasks.parts import overlap
from attn_research.tasks.parts.placement import asked, scattered, write

BLANK, ASK, SIGNS = 0, 1, 2


@declared
class MultiHopRecall:
    """Links `a b`, `b c` of chains, then `? a`, which asks for the end of its chain.

    Tokens: 0 blank, 1 the sign ?, then the symbols. A symbol belongs to one chain, and
    may start, continue or end it. Each chain is queried once, after all of its links;
    links and questions of different chains are interleaved, with blanks between. `gap`
    is the distance from a question back to the second token of the farthest link. With
    one hop it is `recall` whose keys and values share one set.
    """

    length: int = option(64, "Tokens in a sequence.", low=4, high=LARGEST)
    chains: int = option(
        4, "Chains per sequence, each queried once.", low=1, high=LARGEST
    )
    hops: int = option(2, "Links from a question to its answer.", low=1, high=LARGEST)
    order: Literal["any", "forward", "backward"] = option(
        "any",
        "Order of the links of a chain: any, forward (each link after its predecessor, "
        "so that it can be followed while reading) or backward.",
    )
    vocabulary: int = option(
        64, "Number of tokens: blank, ?, symbols.", low=4, high=LARGEST
    )

    def __post_init__(self) -> None:
        symbols, events = self.vocabulary - SIGNS, self.chains * (self.hops + 1)
        if events > symbols:
            raise BadInput(
                f"multi_hop_recall has {symbols} symbols; for {self.chains} chains of "
                f"{self.hops} hops it must be at least {events}"
            )
        if 2 * events > self.length:
            raise BadInput(
                f"multi_hop_recall.length is {self.length}; for {self.chains} chains "
                f"of {self.hops} hops it must be at least {2 * events}"
            )

    @property
    def spec(self) -> Spec:
        return Spec(
            inputs="tokens",
            features=self.vocabulary,
            target="token",
            outputs=self.vocabulary,
            length=self.length,
            causal=True,
            whole=True,
            labels=self.chains,
            metrics=("accuracy", "loss"),
            chance=1 / (self.vocabulary - SIGNS),
        )

    arrays, notes = no_arrays, overlap.notes

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: object = ()
    ) -> Batch:
        n, hops = self.chains, self.hops
        events = n * (hops + 1)
        draws = Draws(key, split, size, 4 * events + n * hops)
        node_BNI = SIGNS + draws.distinct(events, self.vocabulary - SIGNS).reshape(
            size, n, hops + 1
        )
        start_BE = scattered(draws, jnp.full((size, events), 2), self.length)
        place_BNI = jnp.sort(draws.order(events).reshape(size, n, hops + 1), axis=2)
        start_BNI = jnp.take_along_axis(
            start_BE, place_BNI.reshape(size, events), axis=1
        ).reshape(size, n, hops + 1)
        # The last of a chain's places is its question, the others are its links.
        link_BNH, query_BN = start_BNI[:, :, :-1], start_BNI[:, :, -1]
        if self.order == "backward":
            link_BNH = link_BNH[:, :, ::-1]
        if self.order == "any":
            mixed_BNH = jnp.argsort(draws.bits(n * hops).reshape(size, n, hops), axis=2)
            link_BNH = jnp.take_along_axis(link_BNH, mixed_BNH, axis=2)

        def flat(a_BNH: jax.Array) -> jax.Array:
            return a_BNH.reshape(size, n * hops)

        inputs_BT = write(
            (size, self.length),
            [
                (flat(link_BNH), flat(node_BNI[:, :, :-1])),
                (flat(link_BNH) + 1, flat(node_BNI[:, :, 1:])),
                (query_BN, jnp.full_like(query_BN, ASK)),
                (query_BN + 1, node_BNI[:, :, 0]),
            ],
        )
        gap_BN = query_BN - jnp.min(link_BNH, axis=2)
        return asked(inputs_BT, query_BN + 1, node_BNI[:, :, -1], gap_BN)
