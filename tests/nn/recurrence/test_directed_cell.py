"""A cell of both directions is a torch.nn.GRUCell for each of them."""

import torch
from torch import nn

from dialogue_ser.nn.recurrence.directed_cell import DirectedCell


def test_each_direction_gives_the_numbers_of_a_gru_cell() -> None:
    cell = DirectedCell(2, 3, known={"u": 4, "k": 2}, states={"c": 5}).double()
    u, k, c, h = (torch.randn(2, 6, size, dtype=torch.float64) for size in (4, 2, 5, 3))
    gates = torch.baddbmm(cell.known_gates({"k": k, "u": u}, 6), c, cell.from_states)
    found = cell.step(gates, h)
    assert cell.from_known is not None
    for direction in (0, 1):
        single = nn.GRUCell(11, 3).double()
        weights = torch.cat([cell.from_known[direction], cell.from_states[direction]])
        with torch.no_grad():  # n r z → r z n
            single.weight_ih.copy_(torch.cat([weights[:, 3:], weights[:, :3]], dim=1).T)
            single.weight_hh.copy_(cell.from_own[direction].T)
            single.bias_ih.copy_(torch.cat([cell.bias[direction, 3:], cell.bias[direction, :3]]))
            single.bias_hh.copy_(torch.cat([torch.zeros(6), cell.bias_m[direction]]))
            expected = single(torch.cat([u[direction], k[direction], c[direction]], dim=-1), h[direction])
        torch.testing.assert_close(found[direction], expected, rtol=0, atol=1e-12)


def test_a_cell_without_known_inputs_has_its_bias_in_every_row() -> None:
    cell = DirectedCell(1, 2, known={}, states={"q": 3})
    assert torch.equal(cell.known_gates({}, 4), cell.bias[:, None].expand(1, 4, 6))
