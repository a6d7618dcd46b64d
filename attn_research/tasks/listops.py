"""ListOps: nested operations on lists of digits, evaluated to one digit."""

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
)
from attn_research.tasks.parts import listops_trees as trees
from attn_research.tasks.parts import pool

CHUNK, FUTILE = 20_000, 20  # trees grown at once; fruitless chunks before giving up
NODES = 2**27  # of all trees grown at once, at most: some 3 GB
# The frequency of 0 and of 9, as published; shorter expressions are more even.
CHANCE = 0.17


@declared
class ListOps:
    """The value of an expression such as [MAX 2 9 [MIN 4 7 ] 0 ]: one of ten digits.

    Minimum, maximum, median and sum modulo 10. The defaults and the distribution of
    trees are those of Tay et al., 2020, arXiv:2011.04006: a node above the maximum
    depth is an operation with probability 1/4 and has 2 to `arguments` arguments; trees
    with too few or too many tokens are rejected. The gap is undefined, and the position
    that a run reports is the end of the sequence: accuracy by position is accuracy by
    length.
    """

    length: int = option(2000, "Tokens in a sequence, at most.", low=4, high=LARGEST)
    shortest: int = option(500, "Tokens in a sequence, at least.", low=4, high=LARGEST)
    depth: int = option(
        10, "Nodes from the root to a digit, at most.", low=2, high=LARGEST
    )
    arguments: int = option(
        10, "Arguments of an operation, at most.", low=2, high=LARGEST
    )
    examples: int = option(
        96_000, "Training sequences in the pool.", low=1, high=LARGEST
    )
    held_out: int = option(
        2000, "Validation sequences, and test sequences.", low=1, high=LARGEST
    )
    seed: int = option(0, "Seed of the pool.", low=0)

    def __post_init__(self) -> None:
        if self.shortest > self.length:
            raise BadInput(
                f"listops.shortest is {self.shortest}; it must be at most the length, "
                f"{self.length}"
            )
        longest = 1
        for _ in range(self.depth - 1):
            if longest >= self.shortest:
                break
            longest = min(2 + self.arguments * longest, self.shortest)
        if longest < self.shortest:
            raise BadInput(
                f"listops.shortest is {self.shortest}; with depth {self.depth} and "
                f"{self.arguments} arguments it must be at most {longest}"
            )

        pool.check("listops", self.examples, self.held_out, self.shortest)
        nodes = trees.expected(self.depth, self.arguments)
        if CHUNK * nodes > NODES:
            deepest = 2
            while CHUNK * trees.expected(deepest + 1, self.arguments) <= NODES:
                deepest += 1
            raise BadInput(
                f"listops.depth is {self.depth}; with up to {self.arguments} arguments "
                f"it must be at most {deepest}, or trees outgrow the memory"
            )

    @property
    def spec(self) -> Spec:
        return Spec(
            inputs="tokens",
            features=trees.TOKENS,
            target="class",
            outputs=10,
            length=self.length,
            causal=False,
            labels=1,
            metrics=("accuracy", "macro_f1", "loss"),
            per_sequence=True,
            chance=CHANCE,
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """The concatenated tokens (uint8), where sequences begin, and their values.

        Sequences are distinct. Raises `BadInput` if the options allow too few.
        """
        edges_4 = pool.edges(self.examples, self.held_out)
        rng, wanted, futile = np.random.default_rng(self.seed), int(edges_4[-1]), 0
        texts: dict[bytes, int] = {}
        while len(texts) < wanted:
            before = len(texts)
            for text, value in self._grown(rng):
                texts.setdefault(text, value)
            futile = futile + 1 if len(texts) == before else 0
            if futile == FUTILE:
                raise BadInput(
                    f"listops.examples and held_out need {wanted} sequences; with "
                    f"{self.shortest} to {self.length} tokens they must be at most "
                    f"about {len(texts)}"
                )
        chosen = list(texts)[:wanted]
        sizes = [len(text) for text in chosen]
        return {
            "tokens": np.frombuffer(b"".join(chosen), np.uint8),
            "starts": np.cumsum([0, *sizes]).astype(np.int32),
            "values": np.array([texts[text] for text in chosen], np.int32),
            "edges": edges_4,
        }

    def _grown(self, rng: np.random.Generator) -> list[tuple[bytes, int]]:
        """The expressions of a valid length in a chunk of random ones."""
        forest = trees.grown(rng, CHUNK, self.depth, self.arguments)
        size_B = trees.sizes(forest, CHUNK)
        keep_B = (self.shortest <= size_B) & (size_B <= self.length)
        if not keep_B.any():
            return []
        forest = trees.selected(forest, keep_B)
        tokens_L = trees.written(forest)
        texts = np.split(tokens_L, np.cumsum(size_B[keep_B])[:-1])
        values = trees.evaluated(forest).tolist()
        return [(t.tobytes(), v) for t, v in zip(texts, values, strict=True)]

    def notes(self, arrays: Any) -> list[str]:
        """No notes: the splits of the pool have no example in common."""
        return []

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: Any = ()
    ) -> Batch:
        check_arrays(arrays)
        row_B = pool.rows(Draws(key, split, size, 1), split, arrays["edges"])
        start_B1 = arrays["starts"][row_B][:, None]
        end_B1 = arrays["starts"][row_B + 1][:, None]
        at_BT = start_B1 + jnp.arange(self.length)[None]
        real_BT = at_BT < end_B1
        tokens_BT = arrays["tokens"][jnp.where(real_BT, at_BT, 0)].astype(jnp.int32)
        return Batch(
            inputs=jnp.where(real_BT, tokens_BT, 0),
            targets=arrays["values"][row_B],
            weights=jnp.ones(size),
            segments=real_BT.astype(jnp.int32),
            gap=jnp.full(size, -1),
        )
