"""The referent of a pronoun, as the span of the text that names it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.options import declared, option
from attn_research.tasks.classification import MARKS
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

NOBODY = ord("-")  # the first byte of a row, the answer if neither name is meant


@declared
class Pronouns:
    """The first and the last byte of the name that a marked pronoun refers to.

    An encoder reads a byte for nobody, then a text whose pronoun is between two control
    characters; unlike in `classification` the names are not marked (Webster et al.,
    2018, arXiv:1810.05201; Zhao et al., 2018, arXiv:1804.06876). If the pronoun refers
    to neither name, the answer is nobody (as Devlin et al., 2018, arXiv:1810.04805, do
    for unanswerable questions). Texts whose pronoun or name is beyond `length` are left
    out. `gap` is the distance from the pronoun back to the name, -1 if the name
    follows. The test reports each kind of pronoun.
    """

    data: str = option("gap", "Data set with a pronoun and two names in a text.")
    length: int = option(1024, "Bytes of a text to read.", low=4, high=LARGEST)
    data_dir: str = sets.data_option()

    @property
    def spec(self) -> Spec:
        return Spec(
            inputs="tokens",
            features=256,
            target="span",
            outputs=2,
            length=self.length,
            causal=False,
            labels=self.length,
            metrics=("exact_match", "f1", "loss"),
            finite=True,
            groups=sets.groups(self.data, self.data_dir)[1],
        )

    def arrays(self) -> dict[str, Any]:
        columns = sets.loaded(self.data, self.data_dir, "text", "label", *MARKS)
        for split in SPLITS:
            forms.check_places(columns[split], self.data, split, MARKS)
        label_N = sets.labels(columns)
        texts = [text for split in SPLITS for text in columns[split]["text"]]
        pronoun_N2, *names = (
            sets.stacked({s: columns[s][name].values for s in SPLITS}) for name in MARKS
        )
        opens, closes = MARKS["pronoun"]
        marked = [
            np.concatenate(
                [[NOBODY], text[:low], [opens], text[low:high], [closes], text[high:]]
            ).astype(np.uint8)
            for text, (low, high) in zip(texts, pronoun_N2.tolist(), strict=True)
        ]
        # A class beyond the names: nobody.
        nobody_N2 = np.zeros_like(pronoun_N2)
        chosen_N2 = np.choose(label_N[:, None], [*names, nobody_N2])
        first_N, last_N = chosen_N2[:, 0], chosen_N2[:, 1] - 1
        low_N, high_N = pronoun_N2.T
        span_N2 = np.stack(
            [at + 1 + (at >= low_N) + (at >= high_N) for at in (first_N, last_N)], 1
        )
        span_N2 = np.where((label_N < len(names))[:, None], span_N2, 0)
        group, kinds = sets.groups(self.data, self.data_dir)
        # The row shows the whole pronoun, between its marks, and the whole name.
        seen_N = (span_N2[:, 1] < self.length) & (high_N + 2 < self.length)
        edges = sets.edges({split: columns[split]["text"] for split in SPLITS})
        kept, edges = sets.kept(
            seen_N, edges, f"pronouns.length is {self.length}", self.data
        )
        return {
            "text": sets.stretches(marked[n] for n in kept),
            "span": span_N2[kept].astype(np.int32),
            "pronoun": (low_N + 1)[kept].astype(np.int32),
            "edges": edges,
            **({"group": sets.labels(columns, group)[kept]} if kinds else {}),
            "asked": np.int32(len(marked)),
        }

    def notes(self, arrays: Any) -> list[str]:
        """Notes on truncated and padded texts and on missing splits."""
        sizes = np.diff(arrays["text"].offsets_N)
        notes = set_notes.length_notes(sizes, self.length, "texts", "bytes")
        notes += set_notes.left_out(
            arrays, "span", "texts", "the name or the pronoun is"
        )
        return [*notes, *set_notes.split_notes(self.data, self.data_dir)]

    batch, count = random_batch, sets.count

    def examples(
        self, index_B: jax.Array, split: Split | jax.Array, arrays: Any
    ) -> Batch:
        row_B = sets.rows(arrays["edges"], split, index_B)
        byte_BT, segments_BT = sets.window(arrays["text"], row_B, self.length)
        span_B2, pronoun_B = arrays["span"][row_B], arrays["pronoun"][row_B]
        back_B = pronoun_B - span_B2[:, 0]
        named_B = (span_B2[:, 0] > 0) & (back_B > 0)
        return Batch(
            inputs=byte_BT.astype(jnp.int32),
            targets=span_B2,
            weights=jnp.ones(index_B.shape),
            segments=segments_BT,
            gap=jnp.where(named_B, back_B, -1),
            group=arrays["group"][row_B] if "group" in arrays else None,
        )
