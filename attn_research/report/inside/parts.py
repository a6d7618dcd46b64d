"""What the parts of a model do: what is lost without them, and what heads look at."""

from collections.abc import Iterator

import numpy as np

from attn_research.analysis import ablation as without
from attn_research.analysis import context as near
from attn_research.analysis import heads as of_heads
from attn_research.analysis import statistics as stats
from attn_research.analysis.ablation import ALL, Site
from attn_research.analysis.heads import Head, Scores
from attn_research.analysis.opened import opened
from attn_research.analysis.subject import Subject
from attn_research.options import BadInput
from attn_research.report.figures import Plan, Series
from attn_research.report.inside.contract import Line, Shown, few
from attn_research.report.words import between
from attn_research.tasks.contract import Batch

FILLS: dict[without.Fill, str] = {"zero": "made zero", "mean": "made its mean"}
PERIOD, REPEATED = 32, 4  # tokens that are repeated, and sequences of them
LISTED = 32  # heads of one mixer; of more the mean is listed
LOOKS = {
    "previous": "the token before",
    "duplicate": "the same token",
    "induction": "what followed it",
}


def ablation(subject: Subject) -> list[Shown]:
    """The loss that is added without each layer and mixer, and without each head."""
    spec, _ = subject.answered
    whole: dict[str, Series] = {}
    heads: dict[str, Series] = {}
    lines: dict[Site, Line] = {}
    for fill, words in FILLS.items():
        batches = (part.answered[1] for part in subject.parts())
        all_there, *parts = without.ablations(subject.restored, spec, batches, fill)
        for site, name, loss_B in parts:
            added = stats.bootstrap(list(loss_B - all_there.loss_B))
            line = {"layer": site.layer, "part": _part(site, name)}
            lines.setdefault(site, line)
            lines[site] |= {words: added.mean, f"95 % ({words})": between(added)}
            if site.head == ALL:
                label = "the layer" if site.place == ALL else f"a mixer ({name})"
                series = whole.setdefault(words, {})
                series.setdefault(label, []).append((float(site.layer), added))
            else:
                at = f"{site.layer}.{site.place}" if site.place else str(site.layer)
                panel = heads.setdefault(f"layer {at} ({name})", {})
                panel.setdefault(words, []).append((float(site.head), added))
    how = "The loss that is added, in nats, mean over sequences"
    shown = [
        Shown(
            Plan(
                "ablation",
                "Loss without a layer or a mixer",
                f"{how}, where what it adds to the residual stream is made zero, or "
                "its mean over all positions.",
                whole,
                "layer",
                "loss added (nats)",
                log_x=False,
            ),
            [line for site, line in lines.items() if site.head == ALL],
        )
    ]
    if heads:
        shown.append(
            Shown(
                Plan(
                    "ablation_heads",
                    "Loss without a head",
                    f"{how}, where what one head has mixed is made zero, or its mean.",
                    heads,
                    "head",
                    "loss added (nats)",
                    log_x=False,
                ),
                [line for site, line in lines.items() if site.head != ALL],
            )
        )
    return shown


def _part(site: Site, name: str) -> str:
    if site.place == ALL:
        return "the layer"
    at = f"{name} ({site.place})" if site.place else name
    return at if site.head == ALL else f"{at}, head {site.head}"


def context(subject: Subject) -> list[Shown]:
    """The loss by how far back can be seen: by the context, and by the mask."""
    spec, batch = subject.answered
    restored, length = subject.restored, batch.weights.shape[-1]

    def batches() -> Iterator[Batch]:
        for part in subject.parts():
            yield near.thinned(part.answered[1], few(length))

    doubled = [2**n for n in range(length.bit_length()) if 2**n < length - 1]
    reaches = [*doubled, max(length - 1, 1)]
    found = {"context": near.loss_by_context(restored, spec, batches(), reaches)}
    if any(near.attends(named) for one in opened(restored).layers for named in one):
        loss_KB = near.loss_by_mask(restored, spec, batches(), reaches)
        found["mask of attention"] = loss_KB
    series: Series = {
        label: [
            (float(reach), stats.bootstrap(list(loss_B)))
            for reach, loss_B in zip(reaches, loss_KB, strict=True)
        ]
        for label, loss_KB in found.items()
    }
    plan = Plan(
        "context",
        "Loss by what can be seen",
        "The loss at the same answers where a position is given no more than so many "
        "tokens before it, as a sequence of their own (context), or where attention "
        "has no weight further back in any layer (mask); mean over sequences.",
        {"": series},
        "distance",
        "loss",
    )
    summary: list[Line] = []
    for label, loss_KB in found.items():
        for reach, loss_B in zip(reaches, loss_KB, strict=True):
            added = stats.bootstrap(list(loss_B - loss_KB[-1]))
            line: Line = {"cut": label, "tokens back": reach, "loss added": added.mean}
            summary.append({**line, "95 %": between(added)})
    return [Shown(plan, summary)]


def heads(subject: Subject) -> list[Shown]:
    """Where the heads look in random tokens that are repeated, beside chance."""
    restored = subject.restored
    sizes = opened(restored).trunk.sizes
    if sizes.inputs != "tokens":
        raise BadInput(
            f"The model of {restored.config.task} reads real values; the scores of "
            "heads are there for a model of tokens"
        )
    period = min(sizes.features, sizes.length // 2, PERIOD)
    tokens_BT = of_heads.repeated(sizes.features, REPEATED, period)
    found = of_heads.head_scores(restored, tokens_BT, period)
    mixers: dict[str, list[Head]] = {}
    for head in found:
        at = f"{head.layer}.{head.place}" if head.place else str(head.layer)
        mixers.setdefault(f"layer {at} ({head.name})", []).append(head)
    panels: dict[str, Series] = {
        words: {
            label: [
                (float(head.head), stats.bootstrap(list(getattr(head.scores, score))))
                for head in own[:LISTED]
            ]
            for label, own in mixers.items()
        }
        for score, words in LOOKS.items()
    }
    levels = {
        words: {getattr(own[0].chance, score) for own in mixers.values()}
        for score, words in LOOKS.items()
    }
    plan = Plan(
        "heads",
        "What heads look at",
        f"The share of a head's weight, on {REPEATED} sequences of {period} random "
        "tokens that are repeated once, that the token before has, the same token one "
        "period ago, and the token that followed that one (induction).",
        panels,
        "head",
        "share of the weight",
        log_x=False,
        levels={words: min(one) for words, one in levels.items() if len(one) == 1},
    )
    summary: list[Line] = []
    for label, own in mixers.items():
        if len(own) > LISTED:
            every = zip(*(head.scores for head in own), strict=True)
            mean = Scores(*(np.mean(score, axis=0) for score in every))
            summary.append(_scored(label, f"mean of {len(own)}", mean))
        else:
            summary += [_scored(label, str(h.head), h.scores) for h in own]
        summary.append(_scored(label, "chance", own[0].chance))
    return [Shown(plan, summary)]


def _scored(label: str, head: str, scores: Scores) -> Line:
    told = {"entropy (bits)": scores.entropy, "mean distance": scores.distance}
    told |= {words: getattr(scores, score) for score, words in LOOKS.items()}
    means = {name: float(np.mean(score)) for name, score in told.items()}
    return {"mixer": label, "head": head, **means}
