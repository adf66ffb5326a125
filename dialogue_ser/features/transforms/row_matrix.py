"""Rows of a feature table behind one another as one matrix, and back."""

from collections.abc import Iterator, Mapping

import numpy as np

from dialogue_ser.features.core.api import Array

Rows = Mapping[str, Array]
# Frames of a large corpus are many: half a gigabyte is looked at while fitting, and little at a time while applying.
_MOST_FITTED_VALUES = 2**26
_MOST_APPLIED_ROWS = 2**16


def stack(rows: Rows) -> Array:
    """All vectors and frames behind one another, float64 ``[N, D]``."""
    return np.concatenate([np.atleast_2d(row) for row in rows.values()]).astype(np.float64)


def thinned(rows: Rows) -> Array:
    """As :func:`stack`, but every k-th row where there are too many to be looked at."""
    arrays = [np.atleast_2d(row) for row in rows.values()]
    n_values = sum(array.size for array in arrays)
    step = -(-n_values // _MOST_FITTED_VALUES)
    if step <= 1:
        return stack(rows)
    starts = np.cumsum([0, *(len(array) for array in arrays)])
    return np.concatenate(
        [array[-start % step :: step] for start, array in zip(starts.tolist(), arrays, strict=False)]
    ).astype(np.float64)


def pieces(rows: Rows) -> Iterator[Rows]:
    """The rows in their order, in pieces of a bounded number of vectors or frames."""
    piece: dict[str, Array] = {}
    n = 0
    for key, row in rows.items():
        piece[key] = row
        n += 1 if row.ndim == 1 else len(row)
        if n >= _MOST_APPLIED_ROWS:
            yield piece
            piece, n = {}, 0
    if piece:
        yield piece


def unstack(x_ND: Array, rows: Rows) -> dict[str, Array]:
    """float32 rows again, each as long as it was."""
    values = x_ND.astype(np.float32)
    new: dict[str, Array] = {}
    start = 0
    for key, row in rows.items():
        stop = start + (1 if row.ndim == 1 else len(row))
        new[key] = values[start] if row.ndim == 1 else values[start:stop]
        start = stop
    return new
