"""What the heads of a mixer look at, told in a few numbers for each.

A head's weights are the moduli of its row of the mixing matrix over their sum; of a
mixer without one in closed form, those of its Jacobian, as one head. On a sequence of
random tokens that is repeated once, a head may look at the token before, at the same
token one period ago (duplicate), or at what followed that (induction): Elhage et al.,
2021, A Mathematical Framework for Transformer Circuits; Olsson et al., 2022,
arXiv:2209.11895. Matrices are seen column by column and never built.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.analysis import mixing
from attn_research.analysis.compiled import shared
from attn_research.analysis.jacobian import energy
from attn_research.analysis.opened import Named, checked, fed, opened
from attn_research.analysis.receptive_field import admits
from attn_research.checkpoint import Restored
from attn_research.options import BadInput


class Scores(NamedTuple):
    """Of each head: means over the outputs that the score is about.

    `entropy` is in bits, `distance` in positions; the others are the share of the
    weight that the token before has, the same token one period ago, and the one that
    followed it.
    """

    entropy: Any
    distance: Any
    previous: Any
    duplicate: Any
    induction: Any


class Head(NamedTuple):
    """A head, the name of its mixer, its scores on each of B sequences, and chance.

    Chance is to weigh alike all that may be seen.
    """

    layer: int
    place: int
    head: int
    name: str
    scores: Scores
    chance: Scores


def repeated(vocabulary: int, sequences: int, period: int, seed: int = 0) -> np.ndarray:
    """tokens_BT: rows of `period` random tokens, no two alike, and the same again.

    Raises `BadInput` for a vocabulary with fewer tokens.
    """
    if not 2 <= period <= vocabulary:
        raise BadInput(
            f"The period is {period}; 2 to {vocabulary}, the size of the vocabulary, "
            "is allowed"
        )
    draw = np.random.default_rng(seed)
    rows = [draw.permutation(vocabulary)[:period] for _ in range(sequences)]
    return np.tile(np.stack(rows), (1, 2)).astype(np.int32)


def head_scores(restored: Restored, tokens_BT: Any, period: int) -> list[Head]:
    """Every head's scores on sequences that repeat after a period, one after another.

    The memory is that of one sequence and one column of its matrices.
    """
    of = opened(restored)
    tokens_BT = checked(of, tokens_BT)
    length = tokens_BT.shape[1]
    if not 1 < period < length:
        raise BadInput(f"The period is {period}; 2 to {length - 1} are allowed")

    found = _scored(restored, period, tokens_BT)
    heads = []
    for layer, mixers in enumerate(of.layers):
        for place, named in enumerate(mixers):
            told = [np.asarray(score_BH) for score_BH in found[layer][place]]
            fair = chance(named, length, period)
            for h in range(told[0].shape[1]):
                own = Scores(*(score_BH[:, h] for score_BH in told))
                heads.append(Head(layer, place, h, named.name, own, fair))
    return heads


@shared(1)
def _scored(
    restored: Restored, period: int, tokens_BT: jax.Array
) -> list[list[Scores]]:
    of, length = opened(restored), tokens_BT.shape[1]

    def one(tokens_T: jax.Array) -> list[list[Scores]]:
        given = fed(of.trunk, of.stages, tokens_T[None])
        return [
            [
                scores(columns(named, x_1TD[0]), length, period)
                for named, x_1TD in zip(mixers, inputs, strict=True)
            ]
            for mixers, inputs in zip(of.layers, given, strict=True)
        ]

    return jax.lax.map(one, tokens_BT)


def columns(named: Named, x_TD: jax.Array) -> Callable[[jax.Array], jax.Array]:
    """The function s -> M_HT of a mixer: in closed form, or by its Jacobian."""
    if named.name not in mixing.JACOBIAN_ONLY:
        found = mixing.ops(named, x_TD)
        return lambda s: mixing.column(found, s)
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
    """`Scores` of (H,) of M_HTS, by its columns s -> M_HT; may be traced.

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
    # A second token has one before it, and a second period another.
    first = 0, 0, 1, period, period
    return Scores(
        *(
            jnp.mean(one_TH[t:], axis=0, where=real_TH[t:])
            for one_TH, t in zip(each, first, strict=True)
        )
    )


def shares(weight_HTS: Any, reader_T: Any, read_S: Any) -> np.ndarray:
    """share_H: of the weight of the positions that read, how much these read ones have.

    Both are flags. "it" attends to what: reader "it", read its antecedent. The mean
    over readers of some weight, NaN where there is none.
    """
    share_HTS = np.abs(np.asarray(weight_HTS))[:, np.asarray(reader_T, bool)]
    total_HT = share_HTS.sum(axis=-1)
    read_HT = share_HTS[..., np.asarray(read_S, bool)].sum(axis=-1)
    real_HT = total_HT > 0
    share_HT = np.where(real_HT, read_HT / np.where(real_HT, total_HT, 1), 0)
    count_H = real_HT.sum(axis=1)
    return np.where(count_H > 0, share_HT.sum(axis=1) / np.maximum(count_H, 1), np.nan)


def fair_share(named: Named, reader_T: Any, read_S: Any) -> float:
    """`shares` by chance: of weights that are equal wherever the mixer can see."""
    admit_TS = admits([named], len(reader_T)).astype(float)
    return float(shares(admit_TS[None], reader_T, read_S)[0])
