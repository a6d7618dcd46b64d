"""Memorisation: a table of facts that is never shown."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.options import option
from attn_research.tasks.contract import Batch, Draws, Spec, Split
from attn_research.tasks.mad.tokens import token_spec


@dataclass(frozen=True)
class MadMemorization:
    """Key, sign, key, sign; each sign asks for the value of the key before it.

    Published: 256 training examples, --train.distinct_batches=2 --train.steps=400;
    variants: vocabulary 512, 1024, 2048, 4096, 8192. The table from keys to values is
    drawn once from `table` and is the same in every sequence and split; values never
    stand in a sequence. The last token is the sign; of the others the first half are
    keys, the second values, no value of two keys. What decides an answer is the key
    just before, so that `gap` is always 1: nothing of the sequence is to be remembered.
    """

    length: int = option(
        32, "Tokens in a sequence; an odd last one is left out.", low=2
    )
    vocabulary: int = option(256, "Number of tokens: keys, values, sign.", low=4)
    table: int = option(12345, "Seed of the table.", low=0)

    @property
    def spec(self) -> Spec:
        asked = self.length // 2
        keys = (self.vocabulary - 1) // 2
        return token_spec(self.vocabulary, 2 * asked, asked, keys)

    def arrays(self) -> dict[str, np.ndarray]:
        """The value of every key."""
        keys = (self.vocabulary - 1) // 2
        # A stream that numpy promises never to change.
        order = np.random.RandomState(self.table).permutation(
            self.vocabulary - 1 - keys
        )
        return {"value_K": (keys + order[:keys]).astype(np.int32)}

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: Any = ()
    ) -> Batch:
        value_K = arrays["value_K"]
        key_BS = Draws(key, split, size, self.length // 2).integers(
            self.length // 2, value_K.size
        )
        sign_BS = jnp.full_like(key_BS, self.vocabulary - 1)
        zero_BS = jnp.zeros_like(key_BS)

        def woven(first_BS: jax.Array, second_BS: jax.Array) -> jax.Array:
            return jnp.stack([first_BS, second_BS], axis=2).reshape(size, -1)

        inputs_BT = woven(key_BS, sign_BS)
        return Batch(
            inputs=inputs_BT,
            targets=woven(zero_BS, value_K[key_BS]),
            weights=woven(zero_BS, zero_BS + 1).astype(jnp.float32),
            segments=jnp.ones_like(inputs_BT),
            gap=woven(zero_BS - 1, zero_BS + 1),
        )
