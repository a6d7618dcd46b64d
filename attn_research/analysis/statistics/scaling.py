"""The law of loss over parameters and data, L = E + A / N^alpha + B / D^beta.

Fitted as in Hoffmann et al., 2022, arXiv:2203.15556: the Huber loss of log L from many
starts. For intervals of the exponents see Besiroglu et al., 2024, arXiv:2404.10102.
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from attn_research.options import BadInput
from attn_research.studies.confidence import tail
from attn_research.studies.study import Interval

DRAWS = 200
FAR, NEAR = 100, 30  # steps of a fit from anywhere, and from near the optimum
EXPONENTS, FLOORS = (0.1, 0.4, 1.0), (0.2, 0.6, 0.95)  # of the starts


class Scaling(NamedTuple):
    """The fitted law, each of its numbers with its interval."""

    E: Interval
    A: Interval
    B: Interval
    alpha: Interval
    beta: Interval

    def __call__(self, parameters: float, tokens: float) -> float:
        """The loss that the law predicts."""
        by_size = self.A.mean / parameters**self.alpha.mean
        return self.E.mean + by_size + self.B.mean / tokens**self.beta.mean


def scaling_law(
    parameters: Sequence[float],
    tokens: Sequence[float],
    loss: Sequence[float],
    *,
    delta: float = 1e-3,
    draws: int = DRAWS,
) -> Scaling:
    """The law fitted to runs of these sizes, with 95 % intervals by resampling runs.

    The intervals are wide rather than narrow: with 12 runs they held the true numbers
    in 97 to 100 of 100 planted samples.
    `delta` is the error of log L at which the Huber loss turns from square to linear.
    Raises `BadInput` for fewer than 6 runs: the law has 5 numbers.
    """
    n_I, d_I, loss_I = (
        np.log(np.asarray(values, float)) for values in (parameters, tokens, loss)
    )
    if n_I.size < 6:
        raise BadInput(
            f"{n_I.size} runs are given; for a law of scaling they must be 6 or more"
        )
    # Around the means the heights of the terms depend little on their exponents.
    middle_n, middle_d = float(n_I.mean()), float(d_I.mean())
    data_3I = np.stack([n_I - middle_n, d_I - middle_d, loss_I])
    least = float(loss_I.min())
    starts_R5 = np.asarray(
        [
            (term, term, least + math.log(floor), alpha, beta)
            for floor in FLOORS
            for term in [least + math.log((1 - floor) / 2)]
            for alpha, beta in itertools.product(EXPONENTS, EXPONENTS)
        ]
    )
    fit_R5, cost_R = _fit(starts_R5, data_3I[:, None], delta, FAR)
    best_5 = fit_R5[np.argmin(cost_R)]
    picks = np.random.default_rng(0).integers(0, n_I.size, (draws, n_I.size))
    starts_R5 = np.tile(best_5, (draws, 1))
    resampled_R5, _ = _fit(starts_R5, data_3I[:, picks], delta, NEAR)

    law_R5 = np.concatenate([best_5[None], resampled_R5])
    a_R, b_R, e_R, alpha_R, beta_R = law_R5.T
    heights = [e_R, a_R + alpha_R * middle_n, b_R + beta_R * middle_d]
    with np.errstate(over="ignore"):
        values = [*np.exp(heights), alpha_R, beta_R]
    outside = [100 * tail(), 100 * (1 - tail())]
    return Scaling(
        *(
            Interval(float(all_R[0]), *map(float, np.percentile(all_R[1:], outside)))
            for all_R in values
        )
    )


def _fit(
    start_R5: np.ndarray, data_3RI: np.ndarray, delta: float, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """R fits (log A, log B, log E, alpha, beta) at once, and their Huber losses.

    By Levenberg's damped Gauss-Newton steps, with the weights of the Huber loss.
    """
    law_R5, damping_R = start_R5.copy(), np.full(len(start_R5), 1e-2)
    rest_RI, share_3RI = _residual(law_R5, data_3RI)
    cost_R = _huber(rest_RI, delta)
    n_RI, d_RI, _ = np.broadcast_to(data_3RI, (3, *rest_RI.shape))
    for _ in range(steps):
        weight_RI = delta / np.maximum(np.abs(rest_RI), delta)
        by_size_RI, by_data_RI, floor_RI = share_3RI
        slope_RI5 = np.stack(
            [by_size_RI, by_data_RI, floor_RI, -n_RI * by_size_RI, -d_RI * by_data_RI],
            axis=-1,
        )
        weighed_R5I = np.swapaxes(slope_RI5 * weight_RI[..., None], 1, 2)
        square_R55 = weighed_R5I @ slope_RI5
        size_R = np.trace(square_R55, axis1=1, axis2=2) / 5
        square_R55 += (damping_R * size_R + 1e-12)[:, None, None] * np.eye(5)
        step_R5 = np.linalg.solve(square_R55, weighed_R5I @ rest_RI[..., None])[..., 0]
        tried_R5 = law_R5 - np.clip(step_R5, -1.0, 1.0)
        new_RI, new_3RI = _residual(tried_R5, data_3RI)
        better_R = (new_cost_R := _huber(new_RI, delta)) < cost_R
        law_R5 = np.where(better_R[:, None], tried_R5, law_R5)
        rest_RI = np.where(better_R[:, None], new_RI, rest_RI)
        share_3RI = np.where(better_R[:, None], new_3RI, share_3RI)
        cost_R = np.where(better_R, new_cost_R, cost_R)
        damping_R = np.clip(damping_R * np.where(better_R, 0.3, 5.0), 1e-9, 1e6)
    return law_R5, cost_R


def _residual(
    law_R5: np.ndarray, data_3RI: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The error of log L, and the share of each of the three terms in L."""
    a_R1, b_R1, e_R1, alpha_R1, beta_R1 = law_R5.T[..., None]
    n_RI, d_RI, loss_RI = data_3RI
    by_size_RI, by_data_RI = a_R1 - alpha_R1 * n_RI, b_R1 - beta_R1 * d_RI
    term_3RI = np.stack(
        [by_size_RI, by_data_RI, np.broadcast_to(e_R1, by_size_RI.shape)]
    )
    top_RI = term_3RI.max(axis=0)
    term_3RI = np.exp(term_3RI - top_RI)
    total_RI = term_3RI.sum(axis=0)
    return top_RI + np.log(total_RI) - loss_RI, term_3RI / total_RI


def _huber(rest_RI: np.ndarray, delta: float) -> np.ndarray:
    size_RI = np.abs(rest_RI)
    linear_RI = delta * (size_RI - delta / 2)
    return np.where(size_RI <= delta, size_RI**2 / 2, linear_RI).sum(axis=-1)
