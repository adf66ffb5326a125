"""Normalisation of the vectors of turns; padding and turns without a vector have no influence."""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from dialogue_ser.nn.frames.frame_norm import FrameBatchNorm
from dialogue_ser.tensors import FeaturesBTD

TurnNormKind = Literal["none", "batch", "layer", "dialogue"]


class TurnNorm(nn.Module):
    """One of the norms of published systems over several vectors of a text; exactly 0 where there is no vector.

    ``batch``: each feature over the turns of the batch (:class:`FrameBatchNorm`). ``layer``: each vector over its
    features, with a trained scale and offset. ``dialogue``: all numbers of a dialogue together, without parameters.
    The published form of ``dialogue`` also counts the zeros of the padding.

    Args:
        kind: none, batch, layer or dialogue.
        dim: D, the number of features.
    """

    def __init__(self, kind: TurnNormKind, dim: int) -> None:
        super().__init__()
        self.kind, self.eps = kind, 1e-5
        self.norm: nn.Module | None = None
        if kind == "batch":
            self.norm = FrameBatchNorm(dim)
        elif kind == "layer":
            self.norm = nn.LayerNorm(dim)

    def forward(self, x_BTD: FeaturesBTD, is_valid_BT: Bool[Tensor, "batch turn"]) -> FeaturesBTD:
        """The normalised vectors.

        Args:
            x_BTD: vectors of the turns.
            is_valid_BT: where a turn has a vector.
        """
        if isinstance(self.norm, FrameBatchNorm):
            batch_BTD: Tensor = self.norm(x_BTD, is_valid_BT)
            return batch_BTD
        x_BTD = x_BTD.masked_fill(~is_valid_BT[..., None], 0.0)
        if self.norm is not None:
            x_BTD = self.norm(x_BTD)
        elif self.kind == "dialogue":
            x_BTD = self._over_dialogues(x_BTD, is_valid_BT)
        return x_BTD.masked_fill(~is_valid_BT[..., None], 0.0)

    def _over_dialogues(self, x_BTD: Float[Tensor, "batch turn feature"], is_valid_BT: Tensor) -> Tensor:
        x_BTD = x_BTD.to(torch.promote_types(x_BTD.dtype, torch.float32))
        count_B11 = (is_valid_BT.sum(1).clamp_min(1) * x_BTD.shape[2])[:, None, None]
        centred_BTD = x_BTD - x_BTD.sum((1, 2), keepdim=True) / count_B11
        centred_BTD = centred_BTD.masked_fill(~is_valid_BT[..., None], 0.0)
        variance_B11 = centred_BTD.square().sum((1, 2), keepdim=True) / count_B11
        return centred_BTD * torch.rsqrt(variance_B11 + self.eps)
