"""Joining the modalities of a turn into the one vector x the context model reads."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn


class ConcatFusion(nn.Module):
    """x = [m_1; m_2; …], each modality first projected (Linear, tanh) if asked to; absent turns give zeros.

    EmotionRNN and E4 concatenate. A projection keeps a small modality from being drowned by a wide one.

    Args:
        dims: modality → D, in the order they are concatenated.
        projection: modality → size after its own Linear + tanh; modalities not named stay as they are.
        dropout: on each modality's (projected) vector.

    Attributes:
        dims: modality → its share of x, in order.
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
        """Fused x ``[B, T, ΣD]`` from one ``[B, T, D]`` per modality and where it is present ``[B, T]``."""
        parts = []
        for name in self.modalities:
            vector = vectors[name]
            if name in self.projections:
                vector = self.projections[name](vector)
            parts.append(self.dropout(vector).masked_fill(~is_present[name][..., None], 0.0))
        return torch.cat(parts, dim=-1)
