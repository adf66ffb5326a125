"""What a transform of frozen features is: fitted on train, saved with the model, the same for vectors and frames."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from dialogue_ser.corpus.schema import Dialogue
from dialogue_ser.errors import FeatureError
from dialogue_ser.features.core.api import Array
from dialogue_ser.features.transforms.row_matrix import Rows, pieces, stack, thinned, unstack

# A column whose spread is below this share of its size is constant but for rounding.
_CONSTANT = 1e-6


class Transform:
    """Base: ``fit`` on the training rows, then ``apply`` to any; arrays ``(D,)`` or ``(L, D)``.

    Attributes:
        name: registry name.
        is_causal: False if a turn's output depends on later turns of its dialogue.
        is_rowwise: True if each vector or frame is transformed by itself.
        is_transductive: True if it learns from unlabelled recordings of the dialogues it is applied to, so that scores
            with it must be reported apart.
        arrays: float64 state by name, set by ``fit``; becomes safetensors.
    """

    name: ClassVar[str]
    is_causal: ClassVar[bool] = True
    is_rowwise: ClassVar[bool] = True
    is_transductive: ClassVar[bool] = False

    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}

    def fit(self, rows: Rows, dialogues: Sequence[Dialogue]) -> "Transform":
        """Take what is needed from the training rows; every frame counts alike, and padding is none of them.

        Where they hold more than 67 million values (384 features: 175,000 frames), every second, third, … is taken.

        Raises:
            FeatureError: there are no rows.
        """
        if not rows:
            raise FeatureError(f"transform {self.name}: the training split has no rows to fit on")
        self._fit(thinned(rows), rows, dialogues)
        return self

    def apply(self, rows: Rows, dialogues: Sequence[Dialogue]) -> dict[str, Array]:
        """New float32 rows; ``dialogues`` are those the rows belong to.

        Raises:
            FeatureError: the rows have another number of features than the training rows.
        """
        if not rows:
            return {}
        new: dict[str, Array] = {}
        for piece in pieces(rows) if self.is_rowwise else (rows,):
            new.update(self._apply_piece(piece, dialogues))
        return new

    def _apply_piece(self, rows: Rows, dialogues: Sequence[Dialogue]) -> dict[str, Array]:
        x_ND = stack(rows)
        expected = self.arrays.get("dim")
        if expected is not None and x_ND.shape[1] != int(expected):
            raise FeatureError(
                f"transform {self.name}: was fitted on {int(expected)} features and is given {x_ND.shape[1]}"
            )
        return unstack(self._apply(x_ND, rows, dialogues), rows)

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """JSON-able part and arrays."""
        return {"name": self.name}, dict(self.arrays)

    def _fit(self, x_ND: Array, rows: Rows, dialogues: Sequence[Dialogue]) -> None:
        self.arrays["dim"] = np.array(x_ND.shape[1], dtype=np.int64)

    def _apply(self, x_ND: Array, rows: Rows, dialogues: Sequence[Dialogue]) -> Array:
        raise NotImplementedError


def mean_and_deviation(x_ND: Array) -> tuple[Array, Array]:
    """NaN-blind mean and deviation per column; 0 deviation where constant but for rounding, 0 mean where never seen."""
    seen = ~np.isnan(x_ND)
    n = np.maximum(seen.sum(axis=0), 1)
    mean = np.where(seen, x_ND, 0.0).sum(axis=0) / n
    deviation = np.sqrt((np.where(seen, x_ND - mean, 0.0) ** 2).sum(axis=0) / n)
    return mean, np.where(deviation > _CONSTANT * np.abs(mean), deviation, 0.0)
