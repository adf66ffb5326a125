"""Copy arrays from the CPU to a device without waiting for the device."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def send(arrays: Sequence[NDArray[np.int64]], device: torch.device) -> list[Tensor]:
    """Copy arrays to a device as flattened int64 tensors, all in one copy (from page-locked memory if it is a GPU).

    >>> [tensor.tolist() for tensor in send([np.array([[1, 2], [3, 4]]), np.array([5])], torch.device("cpu"))]
    [[1, 2, 3, 4], [5]]
    """
    joined = torch.from_numpy(np.concatenate([array.reshape(-1) for array in arrays]))
    if device.type == "cuda":
        joined = joined.pin_memory()
    return list(torch.split(joined.to(device, non_blocking=True), [array.size for array in arrays]))
