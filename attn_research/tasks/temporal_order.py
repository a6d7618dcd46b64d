"""The temporal order problem: the order of a few symbols far back."""

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.options import declared, option
from attn_research.tasks.contract import LARGEST, Batch, Draws, Spec, Split, no_arrays
from attn_research.tasks.parts import overlap
from attn_research.tasks.parts.placement import asked

PADDING, START, TRIGGER, X, DISTRACTORS = 0, 1, 2, 3, 5
# First places of the symbols, in percent of the length; each varies by a tenth.
FIRST = {2: (10, 50), 3: (10, 33, 66)}


@declared
class TemporalOrder:
    """A start sign, distractors with X or Y at two or three places, a trigger.

    Each of the four or eight orders of X and Y is a class. The defaults are task 6a of
    Hochreiter & Schmidhuber, 1997; `symbols=3` is task 6b: lengths from 100 to 110, the
    symbols at 10..20, 50..60 or at 10..20, 33..43, 66..76; other lengths scale these.
    If causal, the trigger answers; otherwise an encoder reads the whole sequence. The
    rest after the trigger is padding. `gap` is the distance from the trigger back to
    the earliest symbol, since all of them decide.
    """

    length: int = option(
        100,
        "Tokens of the shortest sequence; the longest has a tenth more.",
        low=10,
        high=LARGEST,
    )
    symbols: int = option(2, "Places of X or Y: 2 (6a) or 3 (6b).", low=2, high=3)
    distractors: int = option(
        4, "Number of different distractors.", low=1, high=LARGEST
    )
    causal: bool = option(True, "The trigger answers; false: a pooled encoder.")

    @property
    def spec(self) -> Spec:
        return Spec(
            inputs="tokens",
            features=DISTRACTORS + self.distractors,
            target="class",
            outputs=2**self.symbols,
            length=self.length + self.length // 10,
            causal=self.causal,
            labels=1,
            metrics=("accuracy", "macro_f1", "loss"),
            per_sequence=not self.causal,
            chance=1 / 2**self.symbols,
        )

    arrays, notes = no_arrays, overlap.notes

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: object = ()
    ) -> Batch:
        n, width, longest = self.symbols, self.length // 10, self.spec.length
        draws = Draws(key, split, size, longest + 2 * n + 1)
        inputs_BT = DISTRACTORS + draws.integers(longest, self.distractors)
        trigger_B1 = self.length - 1 + draws.integers(1, width + 1)
        first_1N = np.array([[self.length * at // 100 for at in FIRST[n]]], np.int32)
        place_BN = first_1N + draws.integers(n, width + 1)
        kind_BN = draws.integers(n, 2)

        rows_B1 = jnp.arange(size)[:, None]
        inputs_BT = inputs_BT.at[:, 0].set(START)
        inputs_BT = inputs_BT.at[rows_B1, place_BN].set(X + kind_BN)
        inputs_BT = inputs_BT.at[rows_B1, trigger_B1].set(TRIGGER)
        real_BT = jnp.arange(longest)[None] <= trigger_B1
        inputs_BT = jnp.where(real_BT, inputs_BT, PADDING)
        # The earliest symbol is the highest binary digit of the class.
        power_1N = np.array([[2 ** (n - 1 - i) for i in range(n)]], np.int32)
        class_B1 = jnp.sum(kind_BN * power_1N, axis=1, keepdims=True)
        batch = asked(inputs_BT, trigger_B1, class_B1, trigger_B1 - place_BN[:, :1])
        batch = batch._replace(segments=real_BT.astype(jnp.int32))
        if self.causal:
            return batch
        return batch._replace(
            targets=class_B1[:, 0],
            weights=jnp.ones(size),
            gap=(trigger_B1 - place_BN[:, :1])[:, 0],
        )
