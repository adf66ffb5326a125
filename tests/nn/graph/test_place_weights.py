"""Weights by place."""

import torch

from dialogue_ser.nn.graph.place_weights import PlaceWeights


def test_places_beyond_the_table_have_the_weight_one() -> None:
    weights = PlaceWeights(2)
    weights.weight.data = torch.tensor([3.0, 0.5])
    assert weights(torch.tensor([1, 0, 2, 900])).tolist() == [0.5, 3.0, 1.0, 1.0]
