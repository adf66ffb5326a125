"""What the code of users returns, as a numpy array, and where it failed, as a sentence."""

import traceback
from typing import Any

import numpy as np

from dialogue_ser.features.core.api import Array


def as_array(value: Any) -> Array:
    """A numpy array of what a user's code gives: array, list, tensor of any device and precision.

    Raises:
        ValueError: rows of different lengths.
    """
    if not hasattr(value, "detach"):
        return np.asarray(value)
    tensor = value.detach().cpu()
    array: Array = (tensor.float() if tensor.is_floating_point() else tensor).numpy()  # numpy has no bfloat16
    return array


def failure(error: Exception) -> str:
    """The exception, and the innermost line it comes from."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({place.filename}:{place.lineno})"
