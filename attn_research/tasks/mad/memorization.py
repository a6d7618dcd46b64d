"""Memorisation: a table of facts that is never shown."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.options import declared, option
from attn_research.tasks.contract import (
    LARGEST,
    Batch,
    Draws,
    Spec,
    Split,
    check_arrays,
)
from attn_research.tasks.mad.tokens import token_spec
from attn_research.tasks.parts import overlap


@declared
class MadMemorization:
    """Key, sign, key, sign; each sign asks for the value of the key before it.

    Published: 256 training examples, --train.distinct_batches=2 --train.steps=400;
    variants: vocabulary 512, 1024, 2048, 4096, 8192. The table from keys to values is
    made once from the seed `table` and is the same in every sequence and split; values
    never occur in a sequence. The last token is the sign; the first half of the others
    are keys, the second values, and keys have distinct values. The key just before
    decides an answer, so that `gap` is always 1: the sequence needs no memory.
    """

    length: int = option(
        32, "Tokens in a sequence; an odd last one is dropped.", low=2, high=LARGEST
    )
    vocabulary: int = option(
        256, "Number of tokens: keys, values, sign.", low=4, high=LARGEST
    )
    table: int = option(12345, "Seed of the table.", low=0)

    @property
    def spec(self) -> Spec:
        asked = self.length // 2
        keys = (self.vocabulary - 1) // 2
        return token_spec(self.vocabulary, 2 * asked, asked, keys)

    notes = overlap.notes

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
        check_arrays(arrays)
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
