"""Base class of the transforms of frozen features. A transform is fitted on train and saved with the model."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from dialogue_ser.corpus.schema import Dialogue
from dialogue_ser.errors import FeatureError
from dialogue_ser.features.core.api import Array
from dialogue_ser.features.transforms.row_matrix import Rows, as_matrix, as_matrix_for_fitting, as_rows, in_chunks

# A column counts as constant if its deviation is at most this share of the size of its mean.
_CONSTANT = 1e-6


class Transform:
    """Base class of a transform: call ``fit`` with the training rows, then ``apply`` with any rows.

    The row of an utterance is a vector ``(D,)`` or frames ``(L, D)``.

    Attributes:
        name: name of the transform in configurations.
        is_causal: False if the output of a turn depends on later turns of its dialogue.
        is_rowwise: True if each vector or frame is transformed by itself.
        is_transductive: True if it uses statistics of the dialogues that it is applied to. Scores with such a transform
            must be reported separately.
        arrays: the fitted values by name, set by ``fit``. A saved model keeps them in a safetensors file.
        axes: name of each array but ``dim`` → one letter for each axis. D = one value for each feature,
            K = any number, also none.
    """

    name: ClassVar[str]
    is_causal: ClassVar[bool] = True
    is_rowwise: ClassVar[bool] = True
    is_transductive: ClassVar[bool] = False
    axes: ClassVar[Mapping[str, str]] = {}

    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}

    def fit(self, rows: Rows, dialogues: Sequence[Dialogue]) -> "Transform":
        """Take the statistics from the training rows. Every frame has the same weight; rows have no padding.

        If the rows have more than 67 million values (for 384 features: 175,000 frames), only every second, third, …
        vector or frame is read.

        Args:
            rows: training rows by utterance id.
            dialogues: the training dialogues.

        Raises:
            FeatureError: there are no rows.
        """
        if not rows:
            raise FeatureError(f"transform {self.name}: the training split has no rows to fit on")
        self._fit(as_matrix_for_fitting(rows), rows, dialogues)
        return self

    def apply(self, rows: Rows, dialogues: Sequence[Dialogue]) -> dict[str, Array]:
        """Return the transformed rows in float32.

        Args:
            rows: rows by utterance id.
            dialogues: the dialogues that the rows belong to.

        Raises:
            FeatureError: the rows have another number of features than the training rows.
        """
        if not rows:
            return {}
        new: dict[str, Array] = {}
        for chunk in in_chunks(rows) if self.is_rowwise else (rows,):
            new.update(self._apply_to_chunk(chunk, dialogues))
        return new

    def _apply_to_chunk(self, rows: Rows, dialogues: Sequence[Dialogue]) -> dict[str, Array]:
        x_ND = as_matrix(rows)
        expected = self.arrays.get("dim")
        if expected is not None and x_ND.shape[1] != int(expected):
            raise FeatureError(
                f"transform {self.name}: was fitted on {int(expected)} features and is given {x_ND.shape[1]}; "
                "give features of the same encoder with the same options"
            )
        return as_rows(self._apply(x_ND, rows, dialogues), rows)

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return the state: values for JSON, and arrays by name."""
        return {"name": self.name}, dict(self.arrays)

    def problems_of_arrays(self) -> Iterator[str]:
        """Yield one sentence for each array that is missing, or that ``fit`` could not have made."""
        # Models of early versions have no array "dim".
        lengths = [
            self.arrays[key].shape[-1] for key, axes in self.axes.items() if "D" in axes and _has_axes(self, key)
        ]
        has_number = _has_axes(self, "dim") and self.arrays["dim"].dtype.kind in "iu"
        n_features = int(self.arrays["dim"]) if has_number else next(iter(lengths), None)
        for key in [*self.axes, *(["dim"] if "dim" in self.arrays else [])]:
            array = self.arrays.get(key)
            if array is None:
                yield f"the array {key!r} is missing"
            elif not _has_axes(self, key):
                yield f"the array {key!r} has the shape {array.shape}, which it cannot have"
            elif array.dtype.kind not in ("iu" if key == "dim" else "fiu") or not np.isfinite(array).all():
                yield f"the array {key!r} has values that are no finite numbers"
            elif "D" in self.axes.get(key, "") and array.shape[-1] != n_features:
                yield f"the array {key!r} is for {array.shape[-1]} features, and other arrays are for {n_features}"

    def _fit(self, x_ND: Array, rows: Rows, dialogues: Sequence[Dialogue]) -> None:
        """Set ``arrays`` from the vectors and frames ``x_ND`` of the training rows."""
        self.arrays["dim"] = np.array(x_ND.shape[1], dtype=np.int64)

    def _apply(self, x_ND: Array, rows: Rows, dialogues: Sequence[Dialogue]) -> Array:
        """Return the transformed vectors and frames, in the same order as in ``x_ND``."""
        raise NotImplementedError


def _has_axes(transform: Transform, key: str) -> bool:
    """Return whether an array is there and has as many axes as it must have; ``dim`` is a number and has none."""
    array = transform.arrays.get(key)
    axes = transform.axes.get(key, "")
    return array is not None and array.ndim == len(axes) and (array.size > 0 or axes == "K")


def mean_and_deviation(x_ND: Array) -> tuple[Array, Array]:
    """Return the mean and the standard deviation of each column, without its missing values (NaN).

    The deviation is 0 if a column is constant up to rounding. The mean is 0 if a column has no values.
    """
    seen = ~np.isnan(x_ND)
    n = np.maximum(seen.sum(axis=0), 1)
    mean = np.where(seen, x_ND, 0.0).sum(axis=0) / n
    deviation = np.sqrt((np.where(seen, x_ND - mean, 0.0) ** 2).sum(axis=0) / n)
    return mean, np.where(deviation > _CONSTANT * np.abs(mean), deviation, 0.0)
