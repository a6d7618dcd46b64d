"""Forecasting of time series over a long horizon, one channel at a time."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.options import HUGE, BadInput, declared, option
from attn_research.tasks.contract import (
    LARGEST,
    SPLITS,
    Batch,
    Spec,
    Split,
    random_batch,
    split_index,
)
from attn_research.tasks.parts import naive_forecasts, sets


@declared
class Forecasting:
    """The next `horizon` values of a channel, from `context` values before them.

    Each channel is a separate sequence, read by one model (Nie et al., 2022,
    arXiv:2211.14730), in units of its deviation in the training split. Every window of
    a split is an example; the context of the first ones reaches into the previous
    split, as in the literature (Zhou et al., 2021, arXiv:2012.07436). The notes give
    the errors of the last value, the last day and a linear map on the same windows.
    """

    data: str = option("etth1", "Data set with values per hour.")
    context: int = option(336, "Values to read.", low=1, high=LARGEST)
    horizon: int = option(96, "Values to forecast.", low=1, high=LARGEST)
    data_dir: str = sets.data_option()

    @property
    def spec(self) -> Spec:
        return Spec(
            inputs="values",
            features=1,
            target="value",
            outputs=self.horizon,
            length=self.context,
            causal=False,
            whole=True,
            labels=1,
            metrics=("mse", "mae", "loss"),
            per_sequence=True,
            finite=True,
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """Standardised values, time by channel, and where the splits begin."""
        columns = sets.loaded(self.data, self.data_dir, "values")
        if any(len(columns[s]["values"]) != 1 for s in SPLITS):
            raise BadInput(
                f"The data set {self.data} must be a single series of values"
            )
        parts = [np.asarray(columns[s]["values"][0], np.float64) for s in SPLITS]
        mean_F, deviation_F = parts[0].mean(0), parts[0].std(0)
        values = (np.concatenate(parts) - mean_F) / np.where(
            deviation_F, deviation_F, 1
        )
        if not np.all(np.abs(values) <= HUGE):
            raise BadInput(
                f"The values of {self.data} are too far from those of its train split; "
                "they must be within float32 in units of their deviation"
            )
        edges = np.cumsum([0, *map(len, parts)])
        # The first split has no split before it.
        starts = np.array([self.context, *edges[1:3]])
        counts = edges[1:] - starts - self.horizon + 1
        if counts.min() < 1:
            raise BadInput(
                f"The context is {self.context} and the horizon {self.horizon}; they "
                f"must be shorter for the splits of {self.data}, which have "
                f"{', '.join(map(str, np.diff(edges)))} values"
            )
        return {
            "values": values.astype(np.float32),
            "starts": starts.astype(np.int32),
            "counts": counts.astype(np.int32),
        }

    def notes(self, arrays: Any) -> list[str]:
        """The errors of forecasts without a model on the test split."""
        window = self.context, self.horizon
        values_LF = np.asarray(arrays["values"], np.float64)
        now, count = (int(arrays[name][-1]) for name in ("starts", "counts"))
        # The first window of validation begins where train does not reach.
        learned_LF = values_LF[: int(arrays["starts"][1])]
        forecasts = {"the last value": naive_forecasts.last_value(self.horizon)}
        if self.context >= naive_forecasts.DAY:
            forecasts["the last day"] = naive_forecasts.last_day(self.horizon)
        forecasts["a linear map"] = naive_forecasts.linear(learned_LF, *window)
        tested_LF = values_LF[now - self.context : now + count + self.horizon - 1]
        notes = []
        for name, forecast in forecasts.items():
            mse, mae = naive_forecasts.errors(forecast, tested_LF, *window)
            notes.append(
                f"On the test split of {self.data}, {self.horizon} values ahead, "
                f"{name} has an MSE of {mse:.3f} and an MAE of {mae:.3f}."
            )
        return notes

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: Any = ()
    ) -> Batch:
        return random_batch(self, key, split, size, arrays)

    def count(self, split: Split | jax.Array, arrays: Any) -> jax.Array:
        return arrays["counts"][split_index(split)] * arrays["values"].shape[1]

    def examples(
        self, index_B: jax.Array, split: Split | jax.Array, arrays: Any
    ) -> Batch:
        values_LF = arrays["values"]
        now_B, channel_B = jnp.divmod(index_B, values_LF.shape[1])
        now_B = now_B + arrays["starts"][split_index(split)]
        reach_1N = jnp.arange(-self.context, self.horizon)[None]
        window_BN = values_LF[now_B[:, None] + reach_1N, channel_B[:, None]]
        context_BT = window_BN[:, : self.context]
        return Batch(
            inputs=context_BT[..., None],
            targets=window_BN[:, self.context :],
            weights=jnp.ones(index_B.shape),
            segments=jnp.ones(context_BT.shape, jnp.int32),
            gap=jnp.full(index_B.shape, -1),
        )
