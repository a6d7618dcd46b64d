"""Recall along chains: the answer is some links away from what is asked."""

from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp

from attn_research.options import BadInput, option
from attn_research.tasks.contract import Batch, Draws, Spec, Split
from attn_research.tasks.placement import asked, scattered, write

BLANK, ASK, SIGNS = 0, 1, 2


@dataclass(frozen=True)
class MultiHopRecall:
    """Links `a b`, `b c` of chains, then `? a`, which asks for the end of its chain.

    Tokens: 0 blank, 1 the sign ?, then the symbols. No symbol is in two chains, and
    any can be the start, the middle or the end of one. Each chain is asked for once,
    after all of its links; links and questions of different chains stand in any order,
    with blanks between. `gap` is the distance from a question to the farthest link
    that is needed, to its second token. With one hop it is `recall`, with all keys
    and values from one set.
    """

    length: int = option(64, "Tokens in a sequence.", low=4)
    chains: int = option(4, "Chains written and asked for in a sequence.", low=1)
    hops: int = option(2, "Links from what is asked to its answer.", low=1)
    order: Literal["any", "forward", "backward"] = option(
        "any",
        "Order of the links of a chain: any, forward (a link after the one that leads "
        "to it, so that each step can be taken as it is read) or backward.",
    )
    vocabulary: int = option(64, "Number of tokens: blank, ?, symbols.", low=4)

    def __post_init__(self) -> None:
        symbols, events = self.vocabulary - SIGNS, self.chains * (self.hops + 1)
        if events > symbols:
            raise BadInput(
                f"multi_hop_recall has {symbols} symbols; {self.chains} chains of "
                f"{self.hops} hops need {events}"
            )
        if 2 * events > self.length:
            raise BadInput(
                f"multi_hop_recall with {self.chains} chains of {self.hops} hops needs "
                f"{2 * events} tokens; the length is {self.length}"
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
            labels=self.chains,
            metrics=("accuracy", "loss"),
            chance=1 / (self.vocabulary - SIGNS),
        )

    def arrays(self) -> tuple[()]:
        return ()

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
