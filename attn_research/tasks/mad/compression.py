"""Compression: a whole sequence behind one token."""

from dataclasses import replace

import jax
import jax.numpy as jnp

from attn_research.options import declared, option
from attn_research.tasks.contract import LARGEST, Batch, Draws, Spec, Split, no_arrays
from attn_research.tasks.mad.tokens import token_spec
from attn_research.tasks.parts import overlap


@declared
class MadCompression:
    """Random tokens, a sign, then one question for each place.

    Published variants: vocabulary 32, 64, 128; length 64, 128, 256; 6,400, 3,200, 1,600
    and 800 examples. This is *not* the published model: there, an MLP decodes each
    token from the state at the sign and a position, so that one vector holds the
    sequence. Here every mixer answers with what it can still reach: a mixer of fixed
    state must compress; attention, which sees the tokens themselves, need not. Each
    place has its own question token, where the paper adds a sinusoid. The sign is not a
    target (in the paper it is, and always right). `gap` is the distance back to the
    answer, always `length`.
    """

    length: int = option(
        32, "Tokens to compress, including the final sign.", low=2, high=LARGEST
    )
    vocabulary: int = option(
        16, "Number of tokens without questions.", low=3, high=LARGEST
    )

    @property
    def spec(self) -> Spec:
        places = self.length - 1
        spec = token_spec(
            self.vocabulary, self.length + places, places, self.vocabulary - 1
        )
        return replace(spec, features=self.vocabulary + places)

    arrays, notes = no_arrays, overlap.notes

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: object = ()
    ) -> Batch:
        places, sign = self.length - 1, self.vocabulary - 1
        token_BT = Draws(key, split, size, places).integers(places, sign)
        question_1T = self.vocabulary + jnp.arange(places)[None]
        before = ((0, 0), (self.length, 0))
        inputs_BT = jnp.concatenate(
            [
                jnp.pad(token_BT, ((0, 0), (0, 1)), constant_values=sign),
                jnp.broadcast_to(question_1T, token_BT.shape),
            ],
            axis=1,
        )
        return Batch(
            inputs=inputs_BT,
            targets=jnp.pad(token_BT, before),
            weights=jnp.pad(jnp.ones(token_BT.shape), before),
            segments=jnp.ones_like(inputs_BT),
            gap=jnp.pad(
                jnp.full_like(token_BT, self.length), before, constant_values=-1
            ),
        )
