"""Vectors of one modality as one vector of a given size: a linear layer with LeakyReLU and dropout."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from dialogue_ser.nn.vectors.turn_norm import TurnNorm
from dialogue_ser.tensors import HiddenBTH


class VectorProjection(nn.Module):
    """The projection of all inputs of a modality, side by side.

    Args:
        dims: inputs → sizes of their vectors.
        out_dim: H.
        dropout: dropout rate.
    """

    def __init__(self, dims: Mapping[str, int], out_dim: int, dropout: float) -> None:
        super().__init__()
        self.names: Sequence[str] = list(dims)
        self.layer = _projection(sum(dims.values()), out_dim, dropout)

    def forward(self, vectors: Mapping[str, Tensor], is_present: Mapping[str, Tensor]) -> HiddenBTH:
        """The projection; 0 where a turn lacks the modality.

        Args:
            vectors: input → vectors ``[B, T, D]``, 0 where they are absent.
            is_present: input → bool ``[B, T]``.
        """
        is_present_BT = torch.stack([is_present[name] for name in self.names]).any(0)
        x_BTH: Tensor = self.layer(torch.cat([vectors[name] for name in self.names], dim=-1))
        return x_BTH.masked_fill(~is_present_BT[..., None], 0.0)


class TextProjection(nn.Module):
    """Batch norm for each vector of the text; then one projection of all side by side, or the mean of projections.

    Args:
        dims: inputs of the text → sizes of their vectors, equal sizes for the mean.
        out_dim: H.
        dropout: dropout rate.
        is_mean: one layer projects every vector, and the result is the mean over those that a turn has.
    """

    def __init__(self, dims: Mapping[str, int], out_dim: int, dropout: float, *, is_mean: bool) -> None:
        super().__init__()
        self.norms = nn.ModuleDict({name: TurnNorm("batch", size) for name, size in dims.items()})
        self.is_mean = is_mean
        self.layer = _projection(next(iter(dims.values())) if is_mean else sum(dims.values()), out_dim, dropout)

    def forward(self, vectors: Mapping[str, Tensor], is_present: Mapping[str, Tensor]) -> HiddenBTH:
        """The projection; 0 where a turn lacks the text. For the arguments see :class:`VectorProjection`."""
        normal = [norm(vectors[name], is_present[name]) for name, norm in self.norms.items()]
        present_KBT1 = torch.stack([is_present[name] for name in self.norms])[..., None]
        if not self.is_mean:
            x_BTH: Tensor = self.layer(torch.cat(normal, dim=-1))
            return x_BTH.masked_fill(~present_KBT1.any(0), 0.0)
        x_KBTH = self.layer(torch.stack(normal)).masked_fill(~present_KBT1, 0.0)
        mean_BTH: Tensor = x_KBTH.sum(0) / present_KBT1.sum(0).clamp_min(1)
        return mean_BTH


def _projection(in_dim: int, out_dim: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(in_dim, out_dim), nn.LeakyReLU(), nn.Dropout(dropout))
