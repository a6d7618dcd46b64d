"""Classification of texts: reviews, sentences, expressions, marked pronouns."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.options import declared, option
from attn_research.tasks.contract import (
    LARGEST,
    SPLITS,
    Batch,
    Spec,
    Split,
    random_batch,
)
from attn_research.tasks.data import forms
from attn_research.tasks.parts import set_notes, sets

# Control characters around the parts of a text that the question is about.
MARKS = {"pronoun": (1, 2), "a": (3, 4), "b": (5, 6)}
SIGNS = [sign for pair in MARKS.values() for sign in pair]


@declared
class Classification:
    """The class of a text, read as bytes by an encoder.

    In a set with a pronoun and two candidate names, all three are put between control
    characters, and the class is the name that the pronoun refers to (Webster et al.,
    2018, arXiv:1810.05201); texts of which one is beyond `length` are left out. A row
    has one text: longer ones are cut at their end, shorter ones padded. With `grams`
    above 1 a token is the hash of a byte and those before it, so that a table of tokens
    holds n-grams from the start (Joulin et al., 2016, arXiv:1607.01759, hash n-grams of
    words).
    """

    data: str = option("movie_reviews", "Data set with a text and a label.")
    length: int = option(1024, "Bytes of a text to read.", low=1, high=LARGEST)
    grams: int = option(1, "Bytes per token.", low=1, high=8)
    buckets: int = option(
        8192, "Number of tokens if `grams` is above 1.", low=2, high=LARGEST
    )
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
        label_N = sets.labels(columns)
        edges = sets.edges({split: columns[split]["text"] for split in SPLITS})
        group, names = sets.groups(self.data, self.data_dir)
        grouped = {"group": sets.labels(columns, group)} if names else {}
        if not MARKS.keys() <= columns["train"].keys():
            texts = [text for split in SPLITS for text in columns[split]["text"]]
            return {
                "text": sets.stretches(texts),
                "label": label_N,
                "edges": edges,
                **grouped,
            }
        forms.check(columns, self.data, MARKS)
        for split in SPLITS:
            forms.check_places(columns[split], self.data, split, MARKS)
        texts = [text for split in SPLITS for text in _marked(columns[split])]
        # The row shows all marks: nothing else says what is asked.
        seen = [
            np.isin(text[: self.length], SIGNS).sum() == np.isin(text, SIGNS).sum()
            for text in texts
        ]
        kept, edges = sets.kept(
            np.array(seen, bool), edges, f"classification.length is {self.length}",
            self.data,
        )  # fmt: skip
        return {
            "text": sets.stretches(texts[n] for n in kept),
            "label": label_N[kept],
            "edges": edges,
            **{name: values[kept] for name, values in grouped.items()},
            "asked": np.int32(len(texts)),
        }

    def notes(self, arrays: Any) -> list[str]:
        """Notes on truncated and padded texts and on missing splits."""
        sizes = np.diff(arrays["text"].offsets_N)
        notes = set_notes.length_notes(sizes, self.length, "texts", "bytes")
        notes += set_notes.left_out(
            arrays, "label", "texts", "a name or the pronoun is"
        )
        notes += set_notes.class_notes(arrays)
        return [*notes, *set_notes.split_notes(self.data, self.data_dir)]

    batch, count = random_batch, sets.count

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

    Zeros precede the first byte. FNV-1a (Fowler, Noll & Vo, 1991), its bits folded so
    that the lowest depend on all.
    """
    code_BT = jnp.full(byte_BT.shape, 2166136261, jnp.uint32)
    for back in reversed(range(grams)):
        moved_BT = jnp.pad(byte_BT, ((0, 0), (back, 0)))[:, : byte_BT.shape[1]]
        code_BT = (code_BT ^ moved_BT.astype(jnp.uint32)) * jnp.uint32(16777619)
    code_BT = code_BT ^ (code_BT >> 15)
    return (code_BT % jnp.uint32(buckets)).astype(jnp.int32)


def _marked(columns: Any) -> list[np.ndarray]:
    """The texts, with the parts that the question is about between their marks."""
    texts = list(columns["text"])
    spans = {name: np.asarray(columns[name].values) for name in MARKS}
    marked = []
    for number, text in enumerate(texts):
        signs = []
        for name, (opens, closes) in MARKS.items():
            first, last = spans[name][number]
            signs += [(last, 0, closes), (first, 1, opens)]
        # From the end on, so that no place moves; where one part ends and another
        # begins, the closing sign comes first.
        for place, _, sign in sorted(signs, reverse=True):
            text = np.insert(text, place, sign)
        marked.append(text)
    return marked
