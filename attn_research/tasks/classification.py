"""Texts that belong to a class: reviews, sentences, expressions, marked pronouns."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.options import option
from attn_research.tasks import sets
from attn_research.tasks.contract import SPLITS, Batch, Spec, Split

# Control characters that open and close what a question is about.
MARKS = {"pronoun": (1, 2), "a": (3, 4), "b": (5, 6)}


@dataclass(frozen=True)
class Classification(sets.OfASet):
    """The class of a text, read as bytes by an encoder.

    Of a set with a pronoun and two names that it may refer to, the three are put
    between control characters, and the class is the one it refers to (Webster et al.,
    2018, arXiv:1810.05201). A text longer than `length` is cut at its end, a shorter
    one padded: a row has one text, for it has one class. With `grams` above 1 a token
    is no byte but a number that the byte and those before it hash to, so that a table
    of tokens knows stretches of text from the start (Joulin et al., 2016,
    arXiv:1607.01759, hash those of words).
    """

    data: str = option("movie_reviews", "Data set with a text and a label.")
    length: int = option(1024, "Bytes read of a text.", low=1)
    grams: int = option(1, "Bytes that a token is made of.", low=1, high=8)
    buckets: int = option(8192, "Tokens there are where `grams` is above 1.", low=2)
    data_dir: str = sets.data_option()

    @property
    def spec(self) -> Spec:
        classes = len(sets.names(self.data, self.data_dir))
        return Spec(
            inputs="tokens",
            features=256 if self.grams == 1 else self.buckets,
            target="class",
            outputs=classes,
            length=self.length,
            causal=False,
            labels=1,
            metrics=("accuracy", "macro_f1", "loss"),
            per_sequence=True,
            chance=1 / classes,
            finite=True,
            groups=sets.groups(self.data, self.data_dir)[1],
        )

    def arrays(self) -> dict[str, Any]:
        columns = sets.loaded(self.data, self.data_dir, "text", "label")
        texts = [text for split in SPLITS for text in _marked(columns[split])]
        group, names = sets.groups(self.data, self.data_dir)
        return {
            "text": sets.stretches(texts),
            "label": sets.labels(columns),
            "edges": sets.edges({split: columns[split]["text"] for split in SPLITS}),
            **({"group": sets.labels(columns, group)} if names else {}),
        }

    def notes(self, arrays: Any) -> list[str]:
        """What is not read, and what is padding."""
        sizes = np.diff(arrays["text"].offsets_N)
        told = sets.told(sizes, self.length, "texts", "bytes")
        return [*told, *sets.divisions(self.data, self.data_dir)]

    def examples(
        self, index_B: jax.Array, split: Split | jax.Array, arrays: Any
    ) -> Batch:
        row_B = sets.rows(arrays["edges"], split, index_B)
        byte_BT, segments_BT = sets.window(arrays["text"], row_B, self.length)
        token_BT = byte_BT.astype(jnp.int32)
        if self.grams > 1:
            token_BT = hashed(token_BT, self.grams, self.buckets)
        return Batch(
            inputs=token_BT,
            targets=arrays["label"][row_B],
            weights=jnp.ones(index_B.shape),
            segments=segments_BT,
            gap=jnp.full(index_B.shape, -1),
            group=arrays["group"][row_B] if "group" in arrays else None,
        )


def hashed(byte_BT: jax.Array, grams: int, buckets: int) -> jax.Array:
    """token_BT below `buckets`: a hash of each byte and the `grams` - 1 before it.

    Before the first byte stand zeros. FNV-1a (Fowler, Noll & Vo, 1991), its bits folded
    so that the lowest depend on all.
    """
    code_BT = jnp.full(byte_BT.shape, 2166136261, jnp.uint32)
    for back in reversed(range(grams)):
        moved_BT = jnp.pad(byte_BT, ((0, 0), (back, 0)))[:, : byte_BT.shape[1]]
        code_BT = (code_BT ^ moved_BT.astype(jnp.uint32)) * jnp.uint32(16777619)
    code_BT = code_BT ^ (code_BT >> 15)
    return (code_BT % jnp.uint32(buckets)).astype(jnp.int32)


def _marked(columns: Any) -> list[np.ndarray]:
    """The texts, with what is asked about put between its marks."""
    texts = list(columns["text"])
    if not MARKS.keys() <= columns.keys():
        return texts
    spans = {name: np.asarray(columns[name].values) for name in MARKS}
    marked = []
    for number, text in enumerate(texts):
        signs = []
        for name, (opens, closes) in MARKS.items():
            first, last = spans[name][number]
            signs += [(last, 0, closes), (first, 1, opens)]
        # From the end on, so that no place moves; where one ends and another begins,
        # the sign that closes comes first.
        for place, _, sign in sorted(signs, reverse=True):
            text = np.insert(text, place, sign)
        marked.append(text)
    return marked
