"""The chain equals torch's GRU over packed sequences, and its gradients equal those of autograd."""

import torch
from torch.nn.utils.rnn import PackedSequence

from dialogue_ser.nn.gru.cells import draw_mask
from dialogue_ser.nn.gru.chain import autograd_chain, run_chain
from dialogue_ser.nn.recurrence.layout import build_layout

N_TURNS = torch.tensor([2, 5, 3])
LAYOUT = build_layout(torch.zeros(3, 5, dtype=torch.long), N_TURNS, bidirectional=True)
ROWS = (LAYOUT.rows_per_step, LAYOUT.previous_row)


def test_it_equals_torchs_gru_over_the_same_packed_rows() -> None:
    torch.manual_seed(0)
    cells = [torch.nn.GRU(3, 4).double() for _ in range(2)]
    x_KND = torch.randn(2, LAYOUT.n_rows, 3, dtype=torch.float64)
    start = torch.randn(2, 1, 4, dtype=torch.float64)
    gates, weights, biases, expected = [], [], [], []
    batch_sizes = torch.tensor(LAYOUT.rows_per_step)
    for k, cell in enumerate(cells):
        r, z, n = (x_KND[k] @ cell.weight_ih_l0.T + cell.bias_ih_l0).chunk(3, dim=-1)
        b_r, b_z, b_m = cell.bias_hh_l0.chunk(3)
        gates.append(torch.cat([n, r + b_r, z + b_z], dim=-1))
        weights.append(cell.weight_hh_l0.T)
        biases.append(b_m)
        expected.append(cell(PackedSequence(x_KND[k], batch_sizes), start[k].expand(1, 3, -1).contiguous())[0].data)
    ours = run_chain(*ROWS, torch.stack(gates), torch.stack(weights), torch.stack(biases), start)
    torch.testing.assert_close(ours, torch.stack(expected), rtol=0, atol=1e-12)


def test_gradients_equal_autograds_with_dropout_fed_back() -> None:
    torch.manual_seed(0)
    shapes = [(2, LAYOUT.n_rows, 12), (2, 4, 12), (2, 4), (2, 1, 4)]
    leaves = [torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    mask = draw_mask(leaves[0], 0.4, 2, LAYOUT.n_rows, 4)
    weight = torch.randn(2, LAYOUT.n_rows, 4, dtype=torch.float64)
    for mask_or_none in (mask, None):
        ours = torch.autograd.grad((run_chain(*ROWS, *leaves, mask=mask_or_none) * weight).sum(), leaves)
        plain = autograd_chain(*leaves, mask_or_none, LAYOUT.rows_per_step)
        for mine, autograds in zip(ours, torch.autograd.grad((plain * weight).sum(), leaves), strict=True):
            torch.testing.assert_close(mine, autograds, rtol=0, atol=1e-12)
