"""GRU steps are torch's, and their hand-written gradient is autograd's."""

import torch

from dialogue_ser.nn.cells import draw_masks, gru, gru_forward


def test_a_step_equals_torchs_cell() -> None:
    torch.manual_seed(0)
    cell = torch.nn.GRUCell(3, 4).double()
    x, h = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64)
    gates_x, gates_h = x @ cell.weight_ih.T + cell.bias_ih, h @ cell.weight_hh.T + cell.bias_hh
    torch.testing.assert_close(gru(gates_x, gates_h, h), cell(x, h))
    torch.testing.assert_close(gru_forward(gates_x, gates_h, h)[0], cell(x, h))


def test_the_hand_written_gradient_equals_autograds() -> None:
    torch.manual_seed(0)
    inputs = [torch.randn(5, size, dtype=torch.float64, requires_grad=True) for size in (12, 12, 4)]
    weight = torch.randn(5, 4, dtype=torch.float64)
    expected = torch.autograd.grad((gru(*inputs) * weight).sum(), inputs)
    _, step = gru_forward(*(tensor.detach() for tensor in inputs))
    for ours, autograds in zip(step.backward(weight), expected, strict=True):
        torch.testing.assert_close(ours, autograds)


def test_masks_keep_the_expected_share_and_rescale_it() -> None:
    torch.manual_seed(0)
    masks = draw_masks(torch.zeros(1), 0.25, n_directions=2, n_rows=500, n_listeners=7, global_dim=10, party_dim=3)
    assert masks.global_KNH.shape == (2, 500, 10)
    assert masks.listener_KJNH.shape == (2, 2, 7, 3)
    assert set(masks.global_KNH.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    assert abs(float(masks.global_KNH.mean()) - 1) < 0.05
