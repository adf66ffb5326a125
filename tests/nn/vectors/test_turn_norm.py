"""Norms of the vectors of turns: padding and absent vectors have no influence."""

import pytest
import torch
from torch.nn import functional

from dialogue_ser.nn.vectors.turn_norm import TurnNorm

IS_VALID = torch.tensor([[True, True, False, True], [True, False, False, False]])


@pytest.fixture
def x_BTD() -> torch.Tensor:
    x_BTD = torch.randn(2, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return x_BTD.masked_fill(~IS_VALID[..., None], float("nan"))


def test_each_norm_is_torchs_own_on_the_valid_vectors(x_BTD) -> None:
    for b in range(2):
        own = x_BTD[b, IS_VALID[b]]
        found = TurnNorm("dialogue", 5).double()(x_BTD, IS_VALID)[b, IS_VALID[b]]
        torch.testing.assert_close(found, functional.layer_norm(own, own.shape))
    for kind, right in {
        "layer": functional.layer_norm(x_BTD[IS_VALID], (5,)),
        "batch": functional.batch_norm(x_BTD[IS_VALID], None, None, training=True),
        "none": x_BTD[IS_VALID],
    }.items():
        torch.testing.assert_close(TurnNorm(kind, 5).double()(x_BTD, IS_VALID)[IS_VALID], right)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["none", "batch", "layer", "dialogue"])
def test_where_there_is_no_vector_the_result_is_zero_and_nothing_is_read(kind, x_BTD) -> None:
    norm = TurnNorm(kind, 5).double()
    assert norm(x_BTD, IS_VALID)[~IS_VALID].abs().sum() == 0
    assert norm(x_BTD, torch.zeros_like(IS_VALID)).abs().sum() == 0
