"""Helpers for code that users write: results become numpy arrays, exceptions become sentences."""

import traceback
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


def describe_exception(error: Exception) -> str:
    """Return the exception as text, with the innermost line of code that raised it."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({frame.filename}:{frame.lineno})"
