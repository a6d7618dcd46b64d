"""The spec and the batch that the six tasks share."""

import jax
import jax.numpy as jnp

from attn_research.tasks.contract import Batch, Spec, Split, split_index

NEXT_TOKEN = (
    "Training asks for every next token, as published; false: only for answers, as "
    "validation and test always do."
)


def token_spec(vocabulary: int, length: int, labels: int, values: int) -> Spec:
    """Tokens in, the next token out."""
    return Spec(
        inputs="tokens",
        features=vocabulary,
        target="token",
        outputs=vocabulary,
        length=length,
        causal=True,
        whole=True,
        labels=labels,
        metrics=("accuracy", "loss"),
        chance=1 / values,
    )


def shifted(
    tokens_BT: jax.Array, gap_BT: jax.Array, split: Split | jax.Array, next_token: bool
) -> Batch:
    """The batch that asks for the next token wherever its gap is known.

    With `next_token` a batch of the train split asks everywhere.
    """
    answer_BT = gap_BT[:, :-1] >= 0
    everywhere = next_token & (jnp.asarray(split_index(split)) == 0)
    inputs_BT = tokens_BT[:, :-1]
    return Batch(
        inputs=inputs_BT,
        targets=tokens_BT[:, 1:],
        weights=(answer_BT | everywhere).astype(jnp.float32),
        segments=jnp.ones_like(inputs_BT),
        gap=gap_BT[:, :-1],
    )
