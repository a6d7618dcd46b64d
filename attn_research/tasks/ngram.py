"""Random languages: a table gives the next token's probabilities after the last few."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.options import BadInput, declared, option
from attn_research.tasks.contract import (
    LARGEST,
    Batch,
    Draws,
    Spec,
    Split,
    check_arrays,
    no_arrays,
)
from attn_research.tasks.parts import overlap
from attn_research.tasks.text import repeat_distance

# Entries of a table, at most: shared by all sequences, or one table for each.
MOST, MOST_EACH = 2**22, 2**16


def _check(task: str, vocabulary: int, order: int, most: int) -> None:
    if vocabulary**order > most:
        raise BadInput(
            f"{task} with {vocabulary} tokens and order {order} has a table of "
            f"{vocabulary**order} probabilities; it must be at most {most}"
        )


def _spec(vocabulary: int, order: int, length: int) -> Spec:
    return Spec(
        inputs="tokens",
        features=vocabulary,
        target="token",
        outputs=vocabulary,
        length=length,
        causal=True,
        whole=True,
        labels=length - order + 2,
        metrics=("loss", "accuracy"),
        chance=math.log(vocabulary),
    )


def _batch(tokens_BT: jax.Array, gap_BT: jax.Array, order: int) -> Batch:
    """The batch that asks for every next token whose context is in the sequence."""
    inputs_BT = tokens_BT[:, :-1]
    whole_BT = jnp.broadcast_to(
        jnp.arange(inputs_BT.shape[1])[None] >= order - 2, inputs_BT.shape
    )
    return Batch(
        inputs=inputs_BT,
        targets=tokens_BT[:, 1:],
        weights=whole_BT.astype(jnp.float32),
        segments=jnp.ones_like(inputs_BT),
        gap=jnp.where(whole_BT, gap_BT, -1),
    )


def _start(draws: Draws, vocabulary: int, order: int) -> tuple[jax.Array, jax.Array]:
    """The first order - 1 tokens, uniform, and the index of their context."""
    token_BI = draws.integers(order - 1, vocabulary)
    context_B = jnp.zeros(draws.rows, jnp.int32)
    for i in range(order - 1):
        context_B = context_B * vocabulary + token_BI[:, i]
    return token_BI, context_B


@declared
class Ngram:
    """Text of one random language, the same in every sequence and split.

    The probabilities of a token after each context of `order` - 1 tokens are sampled
    once, from a Dirichlet distribution; a model memorises them. A sequence begins with
    uniform tokens. The best loss is the mean entropy of the probabilities; `chance` is
    the loss of uniform guessing. `gap` is the distance back to the earliest token of
    the context, `order` - 2.
    """

    length: int = option(64, "Tokens that a model sees.", low=4, high=LARGEST)
    vocabulary: int = option(16, "Number of tokens.", low=2, high=256)
    order: int = option(2, "Tokens of a gram: the context and the next.", low=2, high=5)
    concentration: float = option(
        0.5,
        "Concentration of the Dirichlet distribution: small is predictable.",
        low=0.05,
        high=1000,
    )
    language: int = option(0, "Seed of the language.", low=0)

    def __post_init__(self) -> None:
        _check("ngram", self.vocabulary, self.order, MOST)

    @property
    def spec(self) -> Spec:
        return _spec(self.vocabulary, self.order, self.length)

    notes = overlap.notes

    def arrays(self) -> dict[str, np.ndarray]:
        """The bound of each token on 32 random bits, after each context.

        Token v is the first whose bound exceeds the bits; the last token has no bound.
        """
        # A stream that numpy promises never to change.
        random = np.random.RandomState(self.language)
        contexts = self.vocabulary ** (self.order - 1)
        chance_CV = random.dirichlet([self.concentration] * self.vocabulary, contexts)
        below_CV = np.minimum(np.cumsum(chance_CV, axis=1) * 2.0**32, 2**32 - 1)
        return {"below_CV": below_CV[:, :-1].astype(np.uint32)}

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: Any = ()
    ) -> Batch:
        check_arrays(arrays)
        below_CV, steps = arrays["below_CV"], self.length + 2 - self.order
        draws = Draws(key, split, size, self.length + 1)
        first_BI, context_B = _start(draws, self.vocabulary, self.order)

        def follow(context_B: jax.Array, bits_B: jax.Array):
            over_BV = bits_B[:, None] >= below_CV[context_B]
            token_B = jnp.sum(over_BV, axis=1, dtype=jnp.int32)
            context_B = (context_B * self.vocabulary + token_B) % below_CV.shape[0]
            return context_B, token_B

        _, token_TB = jax.lax.scan(follow, context_B, draws.bits(steps).T)
        tokens_BT = jnp.concatenate([first_BI, token_TB.T], axis=1)
        gap_BT = jnp.full((size, self.length), self.order - 2)
        return _batch(tokens_BT, gap_BT, self.order)


@declared
class InContextNgram:
    """Text of a random language, a different one in each sequence.

    Each sequence has its own table, sampled from a Dirichlet distribution, flat by
    default; only earlier occurrences of a context show what follows it (Edelman et al.,
    2024, arXiv:2402.11004). After n equal contexts, k of them followed by a token, its
    probability is (k + a) / (n + a V), with a the concentration. A sequence begins with
    uniform tokens. `gap` is the distance back to the successor of the context's last
    occurrence, -1 if the context is new.
    """

    length: int = option(128, "Tokens that a model sees.", low=4, high=LARGEST)
    vocabulary: int = option(4, "Number of tokens, V.", low=2, high=256)
    order: int = option(2, "Tokens of a gram: the context and the next.", low=2, high=5)
    concentration: float = option(
        1.0,
        "Concentration of the Dirichlet distribution: small is predictable.",
        above=0,
        high=1000,
    )

    def __post_init__(self) -> None:
        _check("in_context_ngram", self.vocabulary, self.order, MOST_EACH)

    @property
    def spec(self) -> Spec:
        return _spec(self.vocabulary, self.order, self.length)

    arrays, notes = no_arrays, overlap.notes

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: object = ()
    ) -> Batch:
        vocabulary, contexts = self.vocabulary, self.vocabulary ** (self.order - 1)
        steps = self.length + 2 - self.order
        draws = Draws(key, split, size, self.length + 1)
        first_BI, context_B = _start(draws, vocabulary, self.order)
        rows_B = jnp.arange(size)

        # Pólya's urn: with the table integrated out, each token is sampled from this
        # probability (Blackwell & MacQueen, 1973), without sampling a table.
        def follow(carry: tuple[jax.Array, jax.Array], uniform_B: jax.Array):
            context_B, count_BCV = carry
            share_BV = count_BCV[rows_B, context_B] + self.concentration
            below_BV = jnp.cumsum(share_BV, axis=1)
            point_B1 = (uniform_B * below_BV[:, -1])[:, None]
            token_B = jnp.sum(point_B1 >= below_BV[:, :-1], axis=1, dtype=jnp.int32)
            count_BCV = count_BCV.at[rows_B, context_B, token_B].add(1.0)
            context_B = (context_B * vocabulary + token_B) % contexts
            return (context_B, count_BCV), token_B

        count_BCV = jnp.zeros((size, contexts, vocabulary))
        _, token_TB = jax.lax.scan(
            follow, (context_B, count_BCV), draws.uniform(steps).T
        )
        tokens_BT = jnp.concatenate([first_BI, token_TB.T], axis=1)
        back_BT = repeat_distance(tokens_BT[:, :-1], self.order - 1)
        gap_BT = jnp.where(back_BT > 0, back_BT - 1, -1)
        return _batch(tokens_BT, gap_BT, self.order)
