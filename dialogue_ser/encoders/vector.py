"""Frozen vectors as the model's input: passed on as they are."""

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


class VectorInput(nn.Module):
    """Vectors ``[B,T,D]`` unchanged, zero where the turn lacks the modality.

    Args:
        dim: D.
        dropout: on the vectors while training.
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
        """The vectors; ``lengths_BT`` is not read and stands here so that all inputs are called alike."""
        x_BTD: Tensor = self.dropout(values_BTD).masked_fill(~is_present_BT[..., None], 0.0)
        return x_BTD
