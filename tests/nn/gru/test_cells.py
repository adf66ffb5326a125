"""A GRU step gives the result of torch's cell, and its hand-written gradient is that of autograd."""

import pytest
import torch
from torch import Tensor

from dialogue_ser.nn.gru.cells import Gates, Slopes, draw_mask, gru, split_by_step


def _torchs(cell: torch.nn.GRUCell, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``[n|r|z]`` from x, ``[r|z|m]`` from h, and the new state of torch's own cell."""
    r, z, n = (x @ cell.weight_ih.T + cell.bias_ih).chunk(3, dim=-1)
    return torch.cat([n, r, z], dim=-1), h @ cell.weight_hh.T + cell.bias_hh, cell(x, h)


def test_a_step_equals_torchs_cell() -> None:
    torch.manual_seed(0)
    cell = torch.nn.GRUCell(3, 4).double()
    x, h = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64)
    gates_x, gates_h, expected = _torchs(cell, x, h)
    torch.testing.assert_close(gru(gates_x, gates_h, h), expected)


@pytest.mark.parametrize("has_mask", [True, False])
def test_steps_in_place_and_their_slopes_equal_autograds(has_mask: bool) -> None:
    """Two steps of 3 and 2 rows share one buffer; each is compared with the cell that autograd follows."""
    torch.manual_seed(0)
    sizes, size = [3, 2], 4
    h = torch.randn(2, 5, size, dtype=torch.float64, requires_grad=True)
    gates_x, gates_h = (torch.randn(2, 5, 3 * size, dtype=torch.float64, requires_grad=True) for _ in range(2))
    mask = torch.rand(2, 5, size, dtype=torch.float64) if has_mask else None
    weight = torch.randn(2, 5, size, dtype=torch.float64)
    expected = gru(gates_x, gates_h, h) if mask is None else gru(gates_x, gates_h, h) * mask
    d_expected = torch.autograd.grad((expected * weight).sum(), [gates_x, gates_h, h])

    gates, new = Gates(torch.zeros(2, size, dtype=torch.float64), sizes), torch.empty_like(h)
    for t, (own_h, out, own) in enumerate(
        zip(h.detach().split(sizes, 1), new.split(sizes, 1), split_by_step(mask, sizes), strict=True)
    ):
        gates.inputs[t].copy_(gates_x.detach().split(sizes, 1)[t])
        gates.state[t].add_(gates_h.detach().split(sizes, 1)[t])
        gates.advance(t, own_h, out, own)
    torch.testing.assert_close(new, expected.detach())

    slopes = Slopes(gates, h.detach(), mask, sizes)
    for t, d_new in enumerate(weight.split(sizes, 1)):
        slopes.step_back(t, d_new)
    torch.testing.assert_close(slopes.inputs, d_expected[0])
    torch.testing.assert_close(slopes.state, d_expected[1])
    torch.testing.assert_close(torch.cat(slopes.direct_at, dim=1), d_expected[2])


def test_a_new_buffer_holds_the_bias_of_the_candidate() -> None:
    gates = Gates(torch.tensor([[1.0, 2.0]]), [3])
    assert gates.all[0, :, 6:].tolist() == [[1.0, 2.0]] * 3


def test_masks_keep_the_expected_share_and_rescale_it() -> None:
    torch.manual_seed(0)
    mask = draw_mask(torch.zeros(1), 0.25, 2, 500, 10)
    assert set(mask.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    assert abs(float(mask.mean()) - 1) < 0.05
