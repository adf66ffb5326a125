"""GRUs over packed frames equal the plain recurrence of every row, with and without dropout."""

import pytest
import torch
from torch import Tensor, nn

from dialogue_ser.nn.frames import frame_gru
from dialogue_ser.nn.frames.frame_gru import FrameLayout, read_frames

LENGTHS = torch.tensor([3, 0, 5, 1, 5])
LONGEST = 6


def _gru(bidirectional: bool) -> nn.GRU:
    torch.manual_seed(1)
    return nn.GRU(3, 4, bidirectional=bidirectional).double()


def _frames() -> Tensor:
    return torch.randn(len(LENGTHS), LONGEST, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def _layout() -> FrameLayout:
    return FrameLayout.of(LENGTHS, LONGEST, torch.device("cpu"))


def _read(cell: nn.GRU, x_NLD: Tensor, dropout: float = 0.0) -> list[Tensor]:
    """States of every row, unpacked."""
    layout = _layout()
    h_VH = read_frames(cell, x_NLD.flatten(0, 1)[layout.position_V], layout, dropout)
    padded = h_VH.new_zeros(len(LENGTHS) * LONGEST, h_VH.shape[1]).index_copy(0, layout.position_V, h_VH)
    return [row[:n] for row, n in zip(padded.view(len(LENGTHS), LONGEST, -1), LENGTHS, strict=True)]


def test_the_layout_has_the_longest_rows_first_and_one_step_after_another() -> None:
    layout = _layout()
    assert list(layout.sizes) == [4, 3, 3, 2, 2]
    assert layout.position_V[:7].tolist() == [12, 24, 0, 18, 13, 25, 1]  # rows 2, 4, 0, 3; then 2, 4, 0 again
    assert layout.previous_V[:3].tolist() == [0, 1, 2]
    assert layout.mirrored_V[[0, 2, 3, 6]].tolist() == [12, 9, 3, 6]  # last of row 2, last of row 0, itself, middle


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_states_and_gradients_are_the_plain_recurrences(plain, bidirectional, dropout, monkeypatch) -> None:
    cell, x_NLD = _gru(bidirectional), _frames().requires_grad_()
    n_directions = 2 if bidirectional else 1
    keep = torch.randint(0, 2, (n_directions, 4, 4), generator=torch.Generator().manual_seed(3)).double() / 0.6
    monkeypatch.setattr(frame_gru, "draw_mask", lambda *_: keep)
    rank = {2: 0, 4: 1, 0: 2, 3: 3}
    found, expected = _read(cell, x_NLD, dropout), []
    for row, n in enumerate(LENGTHS.tolist()):
        if n:
            masks = keep[:, rank[row]] if dropout else [None] * n_directions
            halves = [plain.gru(cell, x_NLD[row, :n], masks[0])]
            if bidirectional:
                halves.append(plain.gru(cell, x_NLD[row, :n], masks[1], "_reverse"))
            expected.append(torch.cat(halves, dim=1))
            torch.testing.assert_close(found[row], expected[-1], rtol=0, atol=1e-12)
    leaves = [x_NLD, *cell.parameters()]
    ours = torch.autograd.grad(torch.cat(found).sin().sum(), leaves)
    theirs = torch.autograd.grad(torch.cat(expected).sin().sum(), leaves)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


def test_a_row_keeps_its_mask_over_the_sequence_and_other_rows_have_others(monkeypatch) -> None:
    drawn = []
    draw = frame_gru.draw_mask
    monkeypatch.setattr(frame_gru, "draw_mask", lambda *given: drawn.append(draw(*given)) or drawn[-1])
    torch.manual_seed(0)
    _read(nn.GRU(3, 500).double(), _frames(), 0.3)
    [keep] = drawn
    assert keep.shape == (1, 4, 500)  # one mask per row and not per step
    assert sorted(keep.unique().tolist()) == [0.0, pytest.approx(1 / 0.7)]
    assert (keep == 0).double().mean() == pytest.approx(0.3, abs=0.04)
    assert not torch.equal(keep[0, 0], keep[0, 1])


def test_half_precision_is_read_in_float32() -> None:
    cell, layout = nn.GRU(3, 4), _layout()
    x_VD = _frames().flatten(0, 1)[layout.position_V].bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        assert read_frames(cell, x_VD, layout).dtype == read_frames(cell, x_VD, layout, 0.3).dtype == torch.float32
