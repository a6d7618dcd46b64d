"""Forecasts without a trained model: the last value, the last day, a linear map."""

from collections.abc import Callable, Iterator

import numpy as np

DAY = 24  # values
RIDGE = 1e-3  # of the mean square of a context, on the diagonal
Forecast = Callable[[np.ndarray], np.ndarray]


def last_value(horizon: int) -> Forecast:
    """Repeats the last value `horizon` times."""
    return lambda context_NT: np.repeat(context_NT[:, -1:], horizon, axis=1)


def last_day(horizon: int) -> Forecast:
    """Repeats the last `DAY` values."""
    return lambda context_NT: context_NT[:, np.arange(horizon) % DAY - DAY]


def linear(values_LF: np.ndarray, context: int, horizon: int) -> Forecast:
    """One linear map for all channels, from a context minus its last value.

    The least-squares solution over every window of `values_LF`, in closed form; Zeng et
    al., 2022, arXiv:2205.13504, train it by gradient descent ("NLinear").
    """
    gram_XX = np.zeros((context + 1, context + 1))
    cross_XH = np.zeros((context + 1, horizon))
    for context_NT, future_NH in windows(values_LF, context, horizon):
        read_NX, level_N1 = _read(context_NT)
        gram_XX += read_NX.T @ read_NX
        cross_XH += read_NX.T @ (future_NH - level_N1)
    ridge = RIDGE * np.trace(gram_XX) / len(gram_XX)
    map_XH = np.linalg.solve(gram_XX + ridge * np.eye(len(gram_XX)), cross_XH)

    def forecast(context_NT: np.ndarray) -> np.ndarray:
        read_NX, level_N1 = _read(context_NT)
        return read_NX @ map_XH + level_N1

    return forecast


def _read(context_NT: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A context minus its last value with a one appended, and that value."""
    level_N1 = context_NT[:, -1:]
    return np.append(context_NT - level_N1, np.ones_like(level_N1), axis=1), level_N1


def windows(
    values_LF: np.ndarray, context: int, horizon: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Every window of each channel: the context and the future."""
    for channel_L in values_LF.T:
        window_NW = np.lib.stride_tricks.sliding_window_view(
            channel_L, context + horizon
        )
        yield window_NW[:, :context], window_NW[:, context:]


def errors(
    forecast: Forecast, values_LF: np.ndarray, context: int, horizon: int
) -> tuple[float, float]:
    """The mean squared and the mean absolute error over all windows and channels."""
    found = []
    for context_NT, future_NH in windows(values_LF, context, horizon):
        apart_NH = forecast(context_NT) - future_NH
        found.append((np.mean(apart_NH**2), np.mean(np.abs(apart_NH))))
    squared, absolute = np.mean(found, axis=0)
    return float(squared), float(absolute)
