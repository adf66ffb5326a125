"""Rows of different length brought to one, as images are resized: weighted means of neighbours, nothing skipped."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def resize_weights(
    lengths_N: Int[Tensor, " row"], longest: int, size: int, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "row {size} {longest}"]:
    """What each of ``size`` places takes of each of a row's first ``length`` values; 0 beyond.

    Bilinear resizing along one axis with antialiasing: ``torch.nn.functional.interpolate(..., antialias=True)`` on the
    bare row, what torchvision does to images. Each place reads a triangle about its middle: of its two neighbours where
    the row is stretched, and as wide as the step from place to place where it is shrunk.

    >>> resize_weights(torch.tensor([2]), 3, 4)[0].tolist()
    [[1.0, 0.0, 0.0], [0.75, 0.25, 0.0], [0.25, 0.75, 0.0], [0.0, 1.0, 0.0]]
    """
    step_N11 = (lengths_N.clamp_min(1).to(dtype) / size)[:, None, None]
    middle_NSL = (torch.arange(size, device=lengths_N.device, dtype=dtype) + 0.5)[:, None] * step_N11
    place_L = torch.arange(longest, device=lengths_N.device, dtype=dtype) + 0.5
    weight_NSL = (1 - (place_L - middle_NSL).abs() / step_N11.clamp_min(1)).clamp_min(0)
    weight_NSL = weight_NSL.masked_fill(place_L > lengths_N.clamp_min(1)[:, None, None], 0.0)
    return weight_NSL / weight_NSL.sum(-1, keepdim=True)
