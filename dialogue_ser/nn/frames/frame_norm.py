"""Batch normalisation over rows with different numbers of frames; only valid frames enter the statistics."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


class FrameBatchNorm(nn.Module):
    """Per feature (x − mean) / √(variance + eps) · weight + bias. Padding has no influence and becomes exactly 0.

    In training, the mean and the variance are those of all valid frames of the batch. They also update the running mean
    and the running (unbiased) variance. In eval mode the running statistics are used, so no row depends on the others.
    The numbers are the same as those of ``nn.BatchNorm1d`` on the valid frames of all rows, concatenated. Unlike
    BatchNorm1d, this module does not wait for a GPU to tell how many frames are valid, and it accepts a single frame.
    With several processes, each uses the statistics of its own rows, and the running statistics of the main process are
    saved.

    Args:
        dim: D, the number of features of a frame.
        eps: number that is added to the variance.
        momentum: weight of the batch in the running statistics.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, dim: int, *, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))
        self.register_buffer("running_mean", torch.zeros(dim))
        self.register_buffer("running_var", torch.ones(dim))

    def forward(
        self, values_NLD: Float[Tensor, "row length feature"], is_valid_NL: Bool[Tensor, "row length"]
    ) -> Float[Tensor, "row length feature"]:
        """The normalised frames, computed in float32 or more; values of invalid frames are not used."""
        dtype = values_NLD.dtype
        is_padding_NL1 = ~is_valid_NL[..., None]
        x_NLD = values_NLD.to(torch.promote_types(dtype, torch.float32)).masked_fill(is_padding_NL1, 0.0)
        mean_D, variance_D = self.running_mean, self.running_var
        if self.training:
            mean_D, variance_D = self._statistics(x_NLD, is_valid_NL)
        scale_D = self.weight * torch.rsqrt(variance_D + self.eps)
        normal_NLD = (x_NLD - mean_D) * scale_D + self.bias
        return normal_NLD.masked_fill(is_padding_NL1, 0.0).to(dtype)

    def _statistics(self, x_NLD: Tensor, is_valid_NL: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and the biased variance of the valid frames; this also updates the running statistics."""
        n_found = is_valid_NL.sum()
        n_valid = n_found.clamp_min(1)
        mean_D = x_NLD.sum((0, 1)) / n_valid
        # The mean is subtracted before squaring: a variance that is small beside the mean would be lost in rounding.
        centred_NLD = (x_NLD - mean_D).masked_fill(~is_valid_NL[..., None], 0.0)
        squares_D = centred_NLD.square().sum((0, 1))
        with torch.no_grad():
            share = self.momentum * (n_found > 0).to(self.running_mean.dtype)
            unbiased_D = squares_D / (n_valid - 1).clamp_min(1)
            self.running_mean.lerp_(mean_D.to(self.running_mean.dtype), share)
            self.running_var.lerp_(unbiased_D.to(self.running_var.dtype), share)
        return mean_D, squares_D / n_valid
