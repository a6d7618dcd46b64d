"""Compression: a whole sequence behind one token."""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp

from attn_research.options import option
from attn_research.tasks.contract import Batch, Draws, Spec, Split
from attn_research.tasks.mad.tokens import token_spec


@dataclass(frozen=True)
class MadCompression:
    """Random tokens, a sign, then one question for each place.

    Published variants: vocabulary 32, 64, 128; length 64, 128, 256; 6,400, 3,200, 1,600
    and 800 examples. This is *not* the published model: there, the state at the sign
    goes alone, with a position, to an MLP that decodes each token, so that one vector
    holds the sequence. Here every mixer answers with what it can still reach: a mixer
    of fixed state has to compress; attention, which sees the tokens themselves, has
    not. A question is a token of its own for each place, where the paper adds a
    sinusoid. The sign is not asked for (there it is one of the targets, always right).
    `gap` is the distance back to the token asked for, always `length`.
    """

    length: int = option(32, "Tokens to compress, the sign at the end included.", low=2)
    vocabulary: int = option(16, "Number of tokens without questions.", low=3)

    @property
    def spec(self) -> Spec:
        places = self.length - 1
        one = token_spec(
            self.vocabulary, self.length + places, places, self.vocabulary - 1
        )
        return replace(one, features=self.vocabulary + places)

    def arrays(self) -> tuple[()]:
        return ()

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
