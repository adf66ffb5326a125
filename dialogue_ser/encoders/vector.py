"""The input module of vectors from a frozen encoder: it passes them on without change."""

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


class VectorInput(nn.Module):
    """Vectors ``[B,T,D]`` without change, and zero where the turn lacks the modality.

    Args:
        dim: D, the number of features.
        dropout: dropout rate on the vectors in training.
    """

    def __init__(self, dim: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.out_dim = dim
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        values_BTD: Float[Tensor, "batch turn feature"],
        lengths_BT: Int[Tensor, "batch turn"] | None,
        is_present_BT: Bool[Tensor, "batch turn"],
    ) -> Float[Tensor, "batch turn feature"]:
        """The vectors. ``lengths_BT`` is not used; all input modules have the same arguments."""
        x_BTD: Tensor = self.dropout(values_BTD).masked_fill(~is_present_BT[..., None], 0.0)
        return x_BTD
