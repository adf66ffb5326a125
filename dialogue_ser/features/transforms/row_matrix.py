"""Put the rows of a feature table into one matrix, and turn a matrix into rows again."""

from collections.abc import Iterator, Mapping

import numpy as np

from dialogue_ser.features.core.api import Array

Rows = Mapping[str, Array]
"""Utterance id → a vector ``(D,)`` or frames ``(L, D)``."""

# A large corpus has very many frames. These limits keep the memory small: half a gigabyte while a transform is fitted,
# and less while it is applied.
_MAX_FITTED_VALUES = 2**26
_MAX_ROWS_PER_CHUNK = 2**16


def as_matrix(rows: Rows) -> Array:
    """Return all vectors and frames, one after the other, as float64 ``[N, D]``."""
    return np.concatenate([np.atleast_2d(row) for row in rows.values()]).astype(np.float64)


def as_matrix_for_fitting(rows: Rows) -> Array:
    """Return the same as :func:`as_matrix`, but only every k-th vector or frame if there are too many values."""
    arrays = [np.atleast_2d(row) for row in rows.values()]
    n_values = sum(array.size for array in arrays)
    step = -(-n_values // _MAX_FITTED_VALUES)
    if step <= 1:
        return as_matrix(rows)
    starts = np.cumsum([0, *(len(array) for array in arrays)])
    return np.concatenate(
        [array[-start % step :: step] for start, array in zip(starts.tolist(), arrays, strict=False)]
    ).astype(np.float64)


def in_chunks(rows: Rows) -> Iterator[Rows]:
    """Yield the rows in their order, in chunks with a limited number of vectors or frames."""
    chunk: dict[str, Array] = {}
    n = 0
    for key, row in rows.items():
        chunk[key] = row
        n += 1 if row.ndim == 1 else len(row)
        if n >= _MAX_ROWS_PER_CHUNK:
            yield chunk
            chunk, n = {}, 0
    if chunk:
        yield chunk


def as_rows(x_ND: Array, rows: Rows) -> dict[str, Array]:
    """Return the lines of a matrix as float32 rows.

    Args:
        x_ND: vectors and frames, one after the other, as :func:`as_matrix` gives them.
        rows: the rows that the matrix was made of. They give the ids and the number of frames.
    """
    values = x_ND.astype(np.float32)
    new: dict[str, Array] = {}
    start = 0
    for key, row in rows.items():
        stop = start + (1 if row.ndim == 1 else len(row))
        new[key] = values[start] if row.ndim == 1 else values[start:stop]
        start = stop
    return new
