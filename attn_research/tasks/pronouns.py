"""Whom a pronoun means, as the stretch of the text that names them."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.options import option
from attn_research.tasks import sets
from attn_research.tasks.classification import MARKS
from attn_research.tasks.contract import SPLITS, Batch, Spec, Split

NOBODY = ord("-")  # the first byte of a row, the answer where no name is meant


@dataclass(frozen=True)
class Pronouns(sets.OfASet):
    """The first and the last byte of the name that a marked pronoun means.

    An encoder reads a byte that stands for nobody, and a text whose pronoun is between
    two control characters; unlike in `classification` no name is marked: it has to be
    found (Webster et al., 2018, arXiv:1810.05201; Zhao et al., 2018, arXiv:1804.06876).
    Where neither of two names is meant, the answer is nobody (Devlin et al., 2018,
    arXiv:1810.04805, answer questions without an answer so). `gap` is the distance from
    the pronoun back to the name, -1 where that follows. The test tells kinds of
    pronouns apart.
    """

    data: str = option("gap", "Data set with a pronoun and two names in a text.")
    length: int = option(1024, "Bytes read of a text.", low=4)
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
        return {
            "text": sets.stretches(marked),
            "span": span_N2.astype(np.int32),
            "pronoun": (low_N + 1).astype(np.int32),
            "edges": sets.edges({split: columns[split]["text"] for split in SPLITS}),
            **({"group": sets.labels(columns, group)} if kinds else {}),
        }

    def notes(self, arrays: Any) -> list[str]:
        """What is not read, and what is padding."""
        sizes = np.diff(arrays["text"].offsets_N)
        notes = sets.told(sizes, self.length, "texts", "bytes")
        lost = int((arrays["span"][:, 1] >= self.length).sum())
        if lost:
            notes.append(f"{lost:,} names lie in what is cut and cannot be found.")
        return [*notes, *sets.divisions(self.data, self.data_dir)]

    def examples(
        self, index_B: jax.Array, split: Split | jax.Array, arrays: Any
    ) -> Batch:
        row_B = sets.rows(arrays["edges"], split, index_B)
        byte_BT, segments_BT = sets.window(arrays["text"], row_B, self.length)
        span_B2, pronoun_B = arrays["span"][row_B], arrays["pronoun"][row_B]
        back_B = jnp.minimum(pronoun_B, self.length - 1) - span_B2[:, 0]
        named_B = (span_B2[:, 0] > 0) & (back_B > 0)
        return Batch(
            inputs=byte_BT.astype(jnp.int32),
            # A name that is cut off stands at the last position.
            targets=jnp.minimum(span_B2, self.length - 1),
            weights=jnp.ones(index_B.shape),
            segments=segments_BT,
            gap=jnp.where(named_B, back_B, -1),
            group=arrays["group"][row_B] if "group" in arrays else None,
        )
