"""Weights that were published by place: one number for the first edge of a dialogue, one for the second, and so on."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class PlaceWeights(nn.Module):
    """A weight for each place in a dialogue; places beyond the table have the weight 1, with which all begin.

    The published systems count the places through the batch, so the weights of a dialogue depend on the dialogues
    before it. Here every dialogue counts from 0.

    Args:
        n_places: length of the table.
    """

    def __init__(self, n_places: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n_places))

    def forward(self, place: Int[Tensor, " place"]) -> Float[Tensor, " place"]:
        """The weights of some places."""
        table = torch.cat([self.weight, self.weight.new_ones(1)])
        return table.index_select(0, place.clamp(max=len(self.weight)))
