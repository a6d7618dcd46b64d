"""The parts of a model: the loss without each, and what the heads look at."""

from collections.abc import Iterator

import numpy as np

from attn_research.analysis import ablation, context, heads
from attn_research.analysis import statistics as stats
from attn_research.analysis.ablation import WHOLE, Site
from attn_research.analysis.heads import Head, Scores
from attn_research.analysis.layers import open_model
from attn_research.analysis.subject import Subject
from attn_research.options import BadInput
from attn_research.report.axes import Series
from attn_research.report.figures import Plan, TableRow
from attn_research.report.formatting import between
from attn_research.report.inside.contract import Display, few
from attn_research.tasks.contract import Batch

FILLS: dict[ablation.Fill, str] = {"zero": "zero ablation", "mean": "mean ablation"}
PERIOD, REPEATED = 32, 4  # tokens that are repeated, and the number of sequences
LISTED = 32  # heads of one mixer; for more heads the table has their mean
LOOKS = {
    "previous": "the token before",
    "duplicate": "the same token",
    "induction": "the token after it",
}


def show_ablation(subject: Subject) -> list[Display]:
    """The loss added without each layer, each mixer, and each head."""
    spec, _ = subject.answered
    whole: dict[str, Series] = {}
    by_head: dict[str, Series] = {}
    rows: dict[Site, TableRow] = {}
    for fill, words in FILLS.items():
        batches = (part.answered[1] for part in subject.parts())
        intact, *parts = ablation.ablations(subject.restored, spec, batches, fill)
        for site, name, loss_B in parts:
            added = stats.mean_interval(list(loss_B - intact.loss_B))
            row = {"layer": site.layer, "part": _part(site, name)}
            rows.setdefault(site, row)
            rows[site] |= {words: added.mean, f"95 % ({words})": between(added)}
            if site.head == WHOLE:
                label = "the layer" if site.place == WHOLE else f"a mixer ({name})"
                series = whole.setdefault(words, {})
                series.setdefault(label, []).append((float(site.layer), added))
            else:
                at = f"{site.layer}.{site.place}" if site.place else str(site.layer)
                panel = by_head.setdefault(f"layer {at} ({name})", {})
                line = panel.setdefault(words, [])
                line.append((float(site.head), added))
    displays = [
        Display(
            Plan(
                "ablation",
                "Loss without a layer or a mixer",
                "The loss added, in nats, if the output of a layer or a mixer to the "
                "residual stream is replaced by zero (zero ablation), or by its mean "
                "over all positions (mean ablation); mean over sequences.",
                whole,
                "layer",
                "loss added (nats)",
                log_x=False,
                joined=False,
            ),
            [row for site, row in rows.items() if site.head == WHOLE],
        )
    ]
    if by_head:
        displays.append(
            Display(
                Plan(
                    "ablation_heads",
                    "Loss without a head",
                    "The loss added, in nats, if what one head has mixed is replaced "
                    "by zero (zero ablation), or by its mean over all positions (mean "
                    "ablation); mean over sequences.",
                    by_head,
                    "head",
                    "loss added (nats)",
                    log_x=False,
                    joined=False,
                ),
                [row for site, row in rows.items() if site.head != WHOLE],
            )
        )
    return displays


def _part(site: Site, name: str) -> str:
    if site.place == WHOLE:
        return "the layer"
    at = f"{name} ({site.place})" if site.place else name
    return at if site.head == WHOLE else f"{at}, head {site.head}"


def show_context(subject: Subject) -> list[Display]:
    """The loss by the number of tokens seen, limited by context or by mask."""
    spec, batch = subject.answered
    restored, length = subject.restored, batch.weights.shape[-1]

    def batches() -> Iterator[Batch]:
        for part in subject.parts():
            yield context.thin(part.answered[1], few(length))

    doubled = [2**n for n in range(length.bit_length()) if 2**n < length - 1]
    reaches = [*doubled, max(length - 1, 1)]
    losses = {"context": context.loss_by_context(restored, spec, batches(), reaches)}
    layers = open_model(restored).layers
    if any(context.attends(named) for mixers in layers for named in mixers):
        loss_KB = context.loss_by_mask(restored, spec, batches(), reaches)
        losses["attention mask"] = loss_KB
    series: Series = {
        label: [
            (float(reach), stats.mean_interval(list(loss_B)))
            for reach, loss_B in zip(reaches, loss_KB, strict=True)
        ]
        for label, loss_KB in losses.items()
    }
    plan = Plan(
        "context",
        "Loss by tokens seen",
        "The loss at the same answers if a position sees at most this number of "
        "tokens before it, as a separate sequence (context), or if attention has no "
        "weight further back in any layer (mask); mean over sequences.",
        {"": series},
        "distance",
        "loss",
    )
    summary: list[TableRow] = []
    for label, loss_KB in losses.items():
        for reach, loss_B in zip(reaches, loss_KB, strict=True):
            added = stats.mean_interval(list(loss_B - loss_KB[-1]))
            row = {"limit": label, "tokens back": reach, "loss added": added.mean}
            summary.append({**row, "95 %": between(added)})
    return [Display(plan, summary)]


def show_heads(subject: Subject) -> list[Display]:
    """What the heads look at in repeated random tokens, and the level of chance."""
    restored = subject.restored
    sizes = open_model(restored).trunk.sizes
    if sizes.inputs != "tokens":
        raise BadInput(
            f"The model of {restored.config.task} reads real values; for scores of "
            "heads it must be a model of tokens"
        )
    period = min(sizes.features, sizes.length // 2, PERIOD)
    tokens_BT = heads.repeated_tokens(sizes.features, REPEATED, period)
    mixers: dict[str, list[Head]] = {}
    for head in heads.head_scores(restored, tokens_BT, period):
        at = f"{head.layer}.{head.place}" if head.place else str(head.layer)
        mixers.setdefault(f"layer {at} ({head.name})", []).append(head)
    panels: dict[str, Series] = {
        words: {
            label: [
                (
                    float(head.head),
                    stats.mean_interval(list(getattr(head.scores, score))),
                )
                for head in some[:LISTED]
            ]
            for label, some in mixers.items()
        }
        for score, words in LOOKS.items()
    }
    levels = {
        words: {getattr(some[0].chance, score) for some in mixers.values()}
        for score, words in LOOKS.items()
    }
    plan = Plan(
        "heads",
        "What heads look at",
        f"The share of a head's weight on the token before, on the same token one "
        "period ago, and on the token after that one (induction), in "
        f"{REPEATED} sequences of {period} random tokens that are repeated once.",
        panels,
        "head",
        "share of the weight",
        log_x=False,
        joined=False,
        levels={words: min(one) for words, one in levels.items() if len(one) == 1},
    )
    summary: list[TableRow] = []
    for label, some in mixers.items():
        if len(some) > LISTED:
            every = zip(*(head.scores for head in some), strict=True)
            mean = Scores(*(np.mean(score, axis=0) for score in every))
            summary.append(_row(label, f"mean of {len(some)}", mean))
        else:
            summary += [_row(label, str(head.head), head.scores) for head in some]
        summary.append(_row(label, "chance", some[0].chance))
    return [Display(plan, summary)]


def _row(label: str, head: str, scores: Scores) -> TableRow:
    columns = {"entropy (bits)": scores.entropy, "mean distance": scores.distance}
    columns |= {words: getattr(scores, score) for score, words in LOOKS.items()}
    means = {name: float(np.mean(score)) for name, score in columns.items()}
    return {"mixer": label, "head": head, **means}
