"""Concatenate the modalities of a turn to one vector x."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn


class ConcatFusion(nn.Module):
    """x = [m_1; m_2; …], where m_i is 0 if the turn lacks the modality (docs/equations.md, Fused utterance vector).

    EmotionRNN and E4 concatenate. Use a projection if one modality has many more features than another: both can then
    have a similar size in x.

    Args:
        dims: modality → number of its features, in the order of concatenation.
        projection: modality → size of a linear layer with tanh before the concatenation; a modality that is not named
            has no such layer.
        dropout: dropout rate on the vector of each modality, after its projection.

    Attributes:
        dims: modality → number of columns of x that belong to it, in order.
        out_dim: number of columns of x.
    """

    def __init__(
        self, dims: Mapping[str, int], *, projection: Mapping[str, int] | None = None, dropout: float = 0.0
    ) -> None:
        super().__init__()
        projection = projection or {}
        self.modalities = tuple(dims)
        self.projections = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Linear(size, projection[name]), nn.Tanh())
                for name, size in dims.items()
                if name in projection
            }
        )
        self.dropout = nn.Dropout(dropout)
        self.dims = {name: projection.get(name, size) for name, size in dims.items()}
        self.out_dim = sum(self.dims.values())

    def forward(self, vectors: Mapping[str, Tensor], is_present: Mapping[str, Tensor]) -> Float[Tensor, "*turns fused"]:
        """The fused vectors x.

        Args:
            vectors: modality → vectors ``[B, T, D]``.
            is_present: modality → True where the turn has it ``[B, T]``.
        """
        parts = []
        for name in self.modalities:
            vector = vectors[name]
            if name in self.projections:
                vector = self.projections[name](vector)
            parts.append(self.dropout(vector).masked_fill(~is_present[name][..., None], 0.0))
        return torch.cat(parts, dim=-1)
