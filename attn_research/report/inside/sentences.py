"""What the words of a text look at, head by head."""

from collections.abc import Sequence

import jax
import numpy as np

from attn_research.analysis import mixing as mix
from attn_research.analysis.opened import Named, given, opened
from attn_research.analysis.subject import Subject
from attn_research.analysis.words import Word, by_word, reader, words
from attn_research.options import BadInput
from attn_research.report.inside.contract import Shown
from attn_research.report.matrices import SHOWN, Images

HEADS = 8  # of one mixer that have a picture; of more the mean and the first ones


def sentence(subject: Subject) -> list[Shown]:
    """Each head's picture of a text by words, and what its pronoun looks at."""
    if subject.batch is not None:
        raise BadInput(
            "Sequences of a task have no words; a text (--text or --file) is allowed"
        )
    restored, inputs = subject.restored, subject.first
    spans = words(inputs.astype(np.uint8).tobytes())
    if not 1 < len(spans) <= SHOWN:
        raise BadInput(
            f"The text has {len(spans)} words and signs; 2 to {SHOWN} can be read in a "
            "picture"
        )
    texts, who = [word.text for word in spans], reader(spans)
    shown, rows = [], {}
    for layer, (mixers, xs) in enumerate(
        zip(opened(restored).layers, given(restored, inputs), strict=True)
    ):
        for place, (named, x_TD) in enumerate(zip(mixers, xs, strict=True)):
            if len(x_TD) != len(inputs):
                raise BadInput(
                    "The layers have fewer positions than the text has bytes; a model "
                    "without strides is allowed"
                )
            at = f"{layer}.{place}" if place else str(layer)
            panels, words_of = _panels(named, x_TD, spans)
            for key, share_WW in panels.items():
                rows[f"{at} {named.name}, {key}"] = share_WW[who]
            plan = Images(
                f"sentence_{layer}_{place}",
                f"Words in layer {at} ({named.name})",
                f"How much of the weight of each word of the text the others have, in "
                f"{named.name} of layer {layer}: {words_of}; a row sums to one.",
                panels,
                texts,
                "word that is read",
                "word that reads",
            )
            shown.append(Shown(plan, []))
    alone = Images(
        "reader",
        f"What “{texts[who]}” looks at",
        f"Of the word “{texts[who]}” ({who + 1} of {len(texts)}), a row for every head "
        "of every layer: how much of its weight each word has.",
        {"": np.stack(list(rows.values()))},
        texts,
        "word that is read",
        "layer, mixer and head",
        outputs=list(rows),
    )
    return [Shown(alone, []), *shown]


def _panels(
    named: Named, x_TD: jax.Array, spans: Sequence[Word]
) -> tuple[dict[str, np.ndarray], str]:
    """The matrices by word of a mixer, and what they are in words."""
    alone = named.name in mix.JACOBIAN_ONLY
    weight_HTS = mix.jacobian(named, x_TD)[None] if alone else mix.closed(named, x_TD)
    share_HWW = by_word(weight_HTS, spans)
    if named.mixer.causal:
        share_HWW[:, np.triu(np.ones((len(spans), len(spans)), bool), 1)] = np.nan
    if alone:
        return {"Jacobian": share_HWW[0]}, "of the norm of the Jacobian"
    panels = {f"head {h}": share_WW for h, share_WW in enumerate(share_HWW)}
    if len(panels) <= HEADS:
        return panels, "a panel for each head"
    few = list(panels.items())[: HEADS - 1]
    told = f"of {len(panels)} heads the mean and the first ones"
    return {"mean": share_HWW.mean(axis=0), **dict(few)}, told
