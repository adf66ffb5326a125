import torch

from dialogue_ser.encoders.vector import VectorInput


def test_vectors_do_not_change_and_absent_turns_are_zero() -> None:
    x_BTD = torch.randn(1, 3, 4)
    x_BTD[0, 2] = torch.nan
    is_present = torch.tensor([[True, True, False]])
    layer = VectorInput(4, dropout=0.5).eval()
    out = layer(x_BTD, None, is_present)
    assert torch.equal(out[0, :2], x_BTD[0, :2])
    assert not out[0, 2].any()
    assert layer.out_dim == 4


def test_dropout_acts_while_training() -> None:
    torch.manual_seed(0)
    out = VectorInput(1000, dropout=0.5).train()(torch.ones(1, 1, 1000), None, torch.ones(1, 1) > 0)
    assert 300 < int((out == 0).sum()) < 700
