"""Transforms of frozen features that act on each vector or frame by itself."""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import numpy as np

from dialogue_ser.corpus.schema import Dialogue
from dialogue_ser.features.core.api import Array
from dialogue_ser.features.transforms.base import Transform, mean_and_deviation
from dialogue_ser.features.transforms.row_matrix import Rows

_N_QUANTILES = 1000


class Impute(Transform):
    """Replaces missing values by the median of train, and appends columns that flag missing values.

    Every feature that was ever missing in train gets a 0/1 column. A feature that was always missing there becomes 0.
    """

    name = "impute"
    axes: ClassVar[Mapping[str, str]] = {"median": "D", "flagged": "K"}

    def _fit(self, x_ND: Array, rows: Rows, dialogues: Sequence[Dialogue]) -> None:
        super()._fit(x_ND, rows, dialogues)
        is_missing = np.isnan(x_ND)
        never_seen = is_missing.all(axis=0)
        self.arrays["median"] = np.nanmedian(np.where(never_seen, 0.0, x_ND), axis=0)
        self.arrays["flagged"] = np.flatnonzero(is_missing.any(axis=0)).astype(np.int64)

    def problems_of_arrays(self) -> Iterator[str]:
        """Yield one sentence for each array that ``fit`` could not have made."""
        yield from (found := list(super().problems_of_arrays()))
        flagged = self.arrays.get("flagged")
        if not found and flagged is not None:
            n_features = len(self.arrays["median"])
            if flagged.dtype.kind not in "iu" or not ((flagged >= 0) & (flagged < n_features)).all():
                yield f"the array 'flagged' has values that are no numbers of {n_features} features"

    def _apply(self, x_ND: Array, rows: Rows, dialogues: Sequence[Dialogue]) -> Array:
        is_missing = np.isnan(x_ND)
        filled = np.where(is_missing, self.arrays["median"], x_ND)
        return np.concatenate([filled, is_missing[:, self.arrays["flagged"]]], axis=1)


class Standardise(Transform):
    """Scales every feature to mean 0 and deviation 1 on train.

    A feature that is constant in train becomes 0. Missing values stay missing.
    """

    name = "standardise"
    axes: ClassVar[Mapping[str, str]] = {"mean": "D", "deviation": "D"}

    def _fit(self, x_ND: Array, rows: Rows, dialogues: Sequence[Dialogue]) -> None:
        super()._fit(x_ND, rows, dialogues)
        self.arrays["mean"], self.arrays["deviation"] = mean_and_deviation(x_ND)

    def _apply(self, x_ND: Array, rows: Rows, dialogues: Sequence[Dialogue]) -> Array:
        deviation = self.arrays["deviation"]
        scaled: Array = (x_ND - self.arrays["mean"]) / np.where(deviation > 0, deviation, 1.0)
        # A feature that is constant in train has no scale. A new value of it must not reach the model unscaled.
        return np.where(np.isnan(x_ND), np.nan, np.where(deviation > 0, scaled, 0.0))


class Rank(Transform):
    """Replaces a value by the share of training values below it, scaled to [−1, 1]. Equal values share the middle.

    It is robust against features with heavy tails.
    """

    name = "rank"
    axes: ClassVar[Mapping[str, str]] = {"quantiles": "QD"}

    def _fit(self, x_ND: Array, rows: Rows, dialogues: Sequence[Dialogue]) -> None:
        super()._fit(x_ND, rows, dialogues)
        n = min(_N_QUANTILES, len(x_ND))
        columns = [column[~np.isnan(column)] for column in x_ND.T]
        levels = np.linspace(0.0, 1.0, max(n, 2))
        self.arrays["quantiles"] = np.stack(
            [np.quantile(column, levels) if len(column) else np.zeros(len(levels)) for column in columns], axis=1
        )

    def _share_below(self, x_ND: Array) -> Array:
        quantiles_QD = self.arrays["quantiles"]
        levels = np.linspace(0.0, 1.0, len(quantiles_QD))
        share = np.empty_like(x_ND)
        for d in range(x_ND.shape[1]):
            # For equal quantiles np.interp gives the upper end of their levels, and with changed signs the lower end.
            above = np.interp(x_ND[:, d], quantiles_QD[:, d], levels)
            below = 1.0 - np.interp(-x_ND[:, d], -quantiles_QD[::-1, d], levels)
            share[:, d] = (above + below) / 2
        return np.where(np.isnan(x_ND), np.nan, share)

    def _apply(self, x_ND: Array, rows: Rows, dialogues: Sequence[Dialogue]) -> Array:
        return 2.0 * self._share_below(x_ND) - 1.0


class QuantileGaussian(Rank):
    """Maps the rank through the inverse normal distribution. Every feature is then nearly standard normal on train."""

    name = "quantile-gaussian"

    def _apply(self, x_ND: Array, rows: Rows, dialogues: Sequence[Dialogue]) -> Array:
        from scipy.special import ndtri  # imported here because scipy loads slowly and other transforms do not need it

        tail = 0.5 / max(len(self.arrays["quantiles"]), 2)
        values: Array = ndtri(np.clip(self._share_below(x_ND), tail, 1.0 - tail))
        return values


class L2(Transform):
    """Scales every vector or frame to length 1. A zero vector stays zero."""

    name = "l2"

    def _apply(self, x_ND: Array, rows: Rows, dialogues: Sequence[Dialogue]) -> Array:
        length = np.linalg.norm(x_ND, axis=1, keepdims=True)
        return np.asarray(x_ND / np.where(length > 0, length, 1.0))


class Log(Transform):
    """Gives sign(x)·log(1 + |x|), which shortens the heavy tails of energies and spectral moments."""

    name = "log"

    def _apply(self, x_ND: Array, rows: Rows, dialogues: Sequence[Dialogue]) -> Array:
        return np.asarray(np.sign(x_ND) * np.log1p(np.abs(x_ND)))
