"""Resize rows of different lengths to one length, as images are resized."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def resize_weights(
    lengths_N: Int[Tensor, " row"], longest: int, size: int, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "row {size} {longest}"]:
    """The weights with which the first ``length`` values of each row are averaged to ``size`` new values.

    This is bilinear resizing along one axis with antialiasing. It equals ``torch.nn.functional.interpolate(...,
    antialias=True)`` on the row without padding, which is what torchvision does with images. The weights of a new value
    have the shape of a triangle. Where the row becomes longer, the triangle covers the two neighbouring values. Where
    the row becomes shorter, it is wider, so that no value is skipped.

    Args:
        lengths_N: number of values per row.
        longest: number of values per row, padding included; padding has the weight 0.
        size: number of new values.
        dtype: of the weights.

    >>> resize_weights(torch.tensor([2]), 3, 4)[0].tolist()
    [[1.0, 0.0, 0.0], [0.75, 0.25, 0.0], [0.25, 0.75, 0.0], [0.0, 1.0, 0.0]]
    """
    step_N11 = (lengths_N.clamp_min(1).to(dtype) / size)[:, None, None]
    middle_NSL = (torch.arange(size, device=lengths_N.device, dtype=dtype) + 0.5)[:, None] * step_N11
    position_L = torch.arange(longest, device=lengths_N.device, dtype=dtype) + 0.5
    weight_NSL = (1 - (position_L - middle_NSL).abs() / step_N11.clamp_min(1)).clamp_min(0)
    weight_NSL = weight_NSL.masked_fill(position_L > lengths_N.clamp_min(1)[:, None, None], 0.0)
    return weight_NSL / weight_NSL.sum(-1, keepdim=True)
