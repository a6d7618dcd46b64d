"""The words that each word of a text looks at, head by head."""

from collections.abc import Sequence

import jax
import numpy as np

from attn_research.analysis import mixing
from attn_research.analysis.layers import Named, mixer_inputs, open_model
from attn_research.analysis.subject import Subject
from attn_research.analysis.words import Word, by_word, reader, words
from attn_research.options import BadInput
from attn_research.report.inside.contract import Display
from attn_research.report.matrices import LABELLED, Images

HEADS = 8  # panels at most for one mixer: beyond, the mean and the first heads


def show_sentence(subject: Subject) -> list[Display]:
    """Each head's matrix of a text by words, and what its pronoun looks at."""
    if subject.batch is not None:
        raise BadInput(
            "Sequences of a task have no words; the input must be a text (--text or "
            "--file)"
        )
    restored, inputs = subject.restored, subject.first
    spans = words(inputs.astype(np.uint8).tobytes())
    if not 1 < len(spans) <= LABELLED:
        raise BadInput(
            f"The text has {len(spans)} words and signs; they must be 2 to {LABELLED}"
        )
    texts, who = [word.text for word in spans], reader(spans)
    displays, rows = [], {}
    for layer, (mixers, xs) in enumerate(
        zip(open_model(restored).layers, mixer_inputs(restored, inputs), strict=True)
    ):
        for place, (named, x_TD) in enumerate(zip(mixers, xs, strict=True)):
            if len(x_TD) != len(inputs):
                raise BadInput(
                    f"The layers have {len(x_TD)} positions and the text "
                    f"{len(inputs)} bytes; it must be a model without strides"
                )
            at = f"{layer}.{place}" if place else str(layer)
            panels, meaning = _panels(named, x_TD, spans)
            for key, share_WW in panels.items():
                rows[f"{at} {named.name}, {key}"] = share_WW[who]
            plan = Images(
                f"sentence_{layer}_{place}",
                f"Words in layer {at} ({named.name})",
                f"The share of each word's weight that falls on every other word, in "
                f"{named.name} of layer {layer}: {meaning}; a row sums to one.",
                panels,
                texts,
                "word that is read",
                "word that reads",
                scale="share of the weight",
            )
            displays.append(Display(plan, []))
    alone = Images(
        "reader",
        f"What “{texts[who]}” looks at",
        f"The share of the weight of “{texts[who]}” (word {who + 1} of {len(texts)}) "
        "that falls on each word; a row for every head of every layer.",
        {"": np.stack(list(rows.values()))},
        texts,
        "word that is read",
        "layer, mixer and head",
        outputs=list(rows),
        scale="share of the weight",
    )
    return [Display(alone, []), *displays]


def _panels(
    named: Named, x_TD: jax.Array, spans: Sequence[Word]
) -> tuple[dict[str, np.ndarray], str]:
    """The matrices by word of a mixer, and their meaning in words."""
    share_HWW = by_word(mixing.matrices(named, x_TD), spans)
    if named.mixer.causal:
        share_HWW[:, np.triu(np.ones((len(spans), len(spans)), bool), 1)] = np.nan
    if mixing.form_of(named, x_TD) == "jacobian":
        return {"Jacobian": share_HWW[0]}, "the norm of the Jacobian"
    panels = {f"head {h}": share_WW for h, share_WW in enumerate(share_HWW)}
    if len(panels) <= HEADS:
        return panels, "a panel for each head"
    few = list(panels.items())[: HEADS - 1]
    meaning = f"the mean of {len(panels)} heads and the first {HEADS - 1} heads"
    return {"mean": share_HWW.mean(axis=0), **dict(few)}, meaning
