"""Helpers for code that users write: results become numpy arrays."""

from typing import Any

import numpy as np

from dialogue_ser.features.core.api import Array


def as_array(value: Any) -> Array:
    """Return an array, a list, or a tensor (any device, any precision) as a numpy array.

    Raises:
        ValueError: the rows have different lengths.
    """
    if not hasattr(value, "detach"):
        return np.asarray(value)
    tensor = value.detach().cpu()
    array: Array = (tensor.float() if tensor.is_floating_point() else tensor).numpy()  # numpy has no type bfloat16
    return array
