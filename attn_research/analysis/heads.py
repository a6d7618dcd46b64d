"""What the heads of a mixer look at, in a few numbers for each.

A head's weights are the moduli of its row of the mixing matrix over their sum; of a
mixer without a closed form, those of its Jacobian, as one head. On a sequence of random
tokens that is repeated once, a head may look at the token before, at the same token one
period ago (duplicate), or at the token that followed that one (induction): Elhage et
al., 2021, A Mathematical Framework for Transformer Circuits; Olsson et al., 2022,
arXiv:2209.11895. Matrices are read column by column and never built.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.analysis import mixing
from attn_research.analysis.jacobian import energy
from attn_research.analysis.layers import Named, check_inputs, feed, open_model
from attn_research.analysis.receptive_field import admits
from attn_research.analysis.sharing import shared
from attn_research.checkpoint import Restored
from attn_research.options import BadInput


class Scores(NamedTuple):
    """The scores of each head, as means over the outputs that have the score.

    `entropy` is in bits, `distance` in positions; the others are shares of the weight:
    that on the token before, on the same token one period ago, and on the one that
    followed it.
    """

    entropy: Any
    distance: Any
    previous: Any
    duplicate: Any
    induction: Any


class Head(NamedTuple):
    """A head, the name of its mixer, its scores on each of B sequences, and chance.

    Chance is the score of equal weights on every position that the mixer can see.
    """

    layer: int
    place: int
    head: int
    name: str
    scores: Scores
    chance: Scores


def repeated_tokens(
    vocabulary: int, sequences: int, period: int, seed: int = 0
) -> np.ndarray:
    """tokens_BT: rows of `period` distinct random tokens, each row repeated once.

    Raises `BadInput` for a vocabulary with fewer tokens.
    """
    if not 2 <= period <= vocabulary:
        raise BadInput(
            f"The period is {period}; it must be 2 to {vocabulary}, the size of the "
            "vocabulary"
        )
    draw = np.random.default_rng(seed)
    rows = [draw.permutation(vocabulary)[:period] for _ in range(sequences)]
    return np.tile(np.stack(rows), (1, 2)).astype(np.int32)


def head_scores(restored: Restored, tokens_BT: Any, period: int) -> list[Head]:
    """Every head's scores on sequences that repeat after a period, layer by layer.

    The memory is that of one sequence and one column of its matrices. Raises
    `BadInput` for a period that no sequence repeats after.
    """
    model = open_model(restored)
    tokens_BT = check_inputs(model, tokens_BT)
    length = tokens_BT.shape[1]
    if not 1 < period < length:
        raise BadInput(f"The period is {period}; it must be 2 to {length - 1}")

    by_layer = _scores_by_layer(restored, period, tokens_BT)
    heads = []
    for layer, mixers in enumerate(model.layers):
        for place, named in enumerate(mixers):
            parts = [np.asarray(score_BH) for score_BH in by_layer[layer][place]]
            fair = chance(named, length, period)
            for h in range(parts[0].shape[1]):
                of_head = Scores(*(score_BH[:, h] for score_BH in parts))
                heads.append(Head(layer, place, h, named.name, of_head, fair))
    return heads


@shared(1)
def _scores_by_layer(
    restored: Restored, period: int, tokens_BT: jax.Array
) -> list[list[Scores]]:
    model, length = open_model(restored), tokens_BT.shape[1]

    def one(tokens_T: jax.Array) -> list[list[Scores]]:
        inputs_of = feed(model.trunk, model.stages, tokens_T[None])
        return [
            [
                scores(columns(named, x_1TD[0]), length, period)
                for named, x_1TD in zip(mixers, inputs, strict=True)
            ]
            for mixers, inputs in zip(model.layers, inputs_of, strict=True)
        ]

    return jax.lax.map(one, tokens_BT)


def columns(named: Named, x_TD: jax.Array) -> Callable[[jax.Array], jax.Array]:
    """The function s -> M_HT of a mixer: in closed form, or by its Jacobian."""
    if declared := mixing.ops(named, x_TD):
        return lambda s: mixing.column(declared, s)
    norm_TS = jnp.sqrt(energy(lambda x_TD: named.mixer(x_TD[None])[0], x_TD))
    return lambda s: norm_TS[None, :, s]


def chance(named: Named, length: int, period: int) -> Scores:
    """The scores, each a number, of weights that are equal wherever a mixer can see."""
    admit_TS = jnp.asarray(admits([named], length).astype(np.float32))
    fair = scores(lambda s: admit_TS[None, :, s], length, period)
    return Scores(*(float(score_H[0]) for score_H in fair))


def scores(
    column: Callable[[jax.Array], jax.Array], length: int, period: int
) -> Scores:
    """`Scores` of (H,) of M_HTS, from its columns s -> M_HT; may be traced.

    Outputs whose weights are all zero are left out.
    """
    time_T = jnp.arange(length)

    def add(total_THX: jax.Array, s: jax.Array) -> tuple[jax.Array, None]:
        weight_TH = jnp.abs(column(s)).astype(jnp.float32).T
        back_T = time_T - s
        beside_TX = jnp.stack(
            [
                jnp.ones(length),
                jnp.zeros(length),
                jnp.abs(back_T).astype(jnp.float32),
                *((back_T == back).astype(jnp.float32) for back in backs),
            ],
            axis=1,
        )
        parts_THX = weight_TH[:, :, None] * beside_TX[:, None]
        log_TH = jnp.log2(jnp.where(weight_TH > 0, weight_TH, 1))
        return total_THX + parts_THX.at[:, :, 1].set(weight_TH * log_TH), None

    backs = 1, period, period - 1
    heads = jax.eval_shape(column, jnp.zeros((), jnp.int32)).shape[0]
    total_THX = jnp.zeros((length, heads, 3 + len(backs)))
    total_THX, _ = jax.lax.scan(add, total_THX, time_T)
    sum_TH, bits_TH, *parts = jnp.moveaxis(total_THX, 2, 0)
    real_TH = sum_TH > 0
    safe_TH = jnp.where(real_TH, sum_TH, 1)
    each = [jnp.log2(safe_TH) - bits_TH / safe_TH, *(part / safe_TH for part in parts)]
    # Scores that need an earlier token, or an earlier period, begin after it.
    first = 0, 0, 1, period, period
    return Scores(
        *(
            jnp.mean(one_TH[t:], axis=0, where=real_TH[t:])
            for one_TH, t in zip(each, first, strict=True)
        )
    )


def shares(weight_HTS: Any, reader_T: Any, read_S: Any) -> np.ndarray:
    """share_H: the fraction of the readers' weight that falls on the read positions.

    Both are flags. For the antecedent of "it", the reader is "it", and its antecedent
    is read. The mean over readers that have any weight, NaN if none has.
    """
    share_HTS = np.abs(np.asarray(weight_HTS))[:, np.asarray(reader_T, bool)]
    total_HT = share_HTS.sum(axis=-1)
    read_HT = share_HTS[..., np.asarray(read_S, bool)].sum(axis=-1)
    real_HT = total_HT > 0
    share_HT = np.where(real_HT, read_HT / np.where(real_HT, total_HT, 1), 0)
    count_H = real_HT.sum(axis=1)
    return np.where(count_H > 0, share_HT.sum(axis=1) / np.maximum(count_H, 1), np.nan)


def fair_share(named: Named, reader_T: Any, read_S: Any) -> float:
    """`shares` by chance: with equal weights wherever the mixer can see."""
    admit_TS = admits([named], len(reader_T)).astype(float)
    return float(shares(admit_TS[None], reader_T, read_S)[0])
