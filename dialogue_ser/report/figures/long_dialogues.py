"""What figures show of a dialogue with many turns, so that every picture has a limited size."""

import numpy as np
from numpy.typing import NDArray

from dialogue_ser.metrics.confusion import FloatArray

#: Most turns that a picture shows one by one.
MOST_TURNS = 60
#: Most cells of a map of attention along each side.
MOST_CELLS = 240


def window(merit_T: FloatArray, most: int = MOST_TURNS) -> slice:
    """Return ``most`` consecutive turns: those with the largest sum of merit, the first of equals. Or all turns.

    >>> window(np.array([0, 0, 1, 0, 1, 0]), most=3), window(np.ones(2), most=3)
    (slice(2, 5, None), slice(0, 2, None))
    """
    if len(merit_T) <= most:
        return slice(0, len(merit_T))
    sums = np.convolve(merit_T, np.ones(most), mode="valid")
    first = int(np.flatnonzero(np.isclose(sums, sums.max()))[0])
    return slice(first, first + most)


def pooled(weights_TT: "NDArray[np.floating]", most: int = MOST_CELLS) -> tuple[FloatArray, int]:
    """Return a map of at most ``most`` × ``most`` cells, and the number of turns along a side of a cell.

    A cell has the highest weight among its turns, so that a high weight stays visible. NaN counts as no weight.

    >>> cells, n_turns = pooled(np.eye(5), most=3)
    >>> cells.tolist(), n_turns
    ([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], 2)
    """
    n_turns = -(-len(weights_TT) // most)
    starts = np.arange(0, len(weights_TT), n_turns)
    if n_turns > 1:
        weights_TT = np.fmax.reduceat(np.fmax.reduceat(weights_TT, starts, axis=0), starts, axis=1)
    return weights_TT.astype(np.float64), n_turns
