"""Batch normalisation over frames of different number: statistics of the valid ones alone."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


class FrameBatchNorm(nn.Module):
    """Per feature (x − mean) / √(variance + eps) · weight + bias; padding has no part in it and comes out as exactly 0.

    While training, mean and variance are those of all valid frames of the batch, and go into the running ones (variance
    unbiased) that eval mode uses; there no row depends on its neighbours. The same numbers as ``nn.BatchNorm1d`` on the
    valid frames behind one another, without asking a GPU how many they are, and from a single frame too. Under several
    processes each has the statistics of its own rows, and the main process's running ones are saved.

    Args:
        dim: D of the frames.
        eps: added to the variance.
        momentum: share of the batch in the running statistics.
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
        """Normalised frames, in float32 at least inside; values of invalid frames may be anything."""
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
        """Mean and biased variance of the valid frames, which also enter the running statistics."""
        n_found = is_valid_NL.sum()
        n_valid = n_found.clamp_min(1)
        mean_D = x_NLD.sum((0, 1)) / n_valid
        # Centred first: sums of squares would lose what is small beside the mean.
        centred_NLD = (x_NLD - mean_D).masked_fill(~is_valid_NL[..., None], 0.0)
        squares_D = centred_NLD.square().sum((0, 1))
        with torch.no_grad():
            share = self.momentum * (n_found > 0).to(self.running_mean.dtype)
            unbiased_D = squares_D / (n_valid - 1).clamp_min(1)
            self.running_mean.lerp_(mean_D.to(self.running_mean.dtype), share)
            self.running_var.lerp_(unbiased_D.to(self.running_var.dtype), share)
        return mean_D, squares_D / n_valid
