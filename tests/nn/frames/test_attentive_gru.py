"""A branch equals the equations of E1 for every row."""

from types import ModuleType

import pytest
import torch
from torch import Tensor

from dialogue_ser.nn.frames import frame_gru
from dialogue_ser.nn.frames.attentive_gru import AttentiveGRU

LENGTHS = torch.tensor([3, 0, 7, 1, 6])


def _branch(**options) -> AttentiveGRU:
    torch.manual_seed(1)
    branch = AttentiveGRU(3, 4, **options).double()
    with torch.no_grad():
        for parameter in branch.parameters():
            parameter.mul_(1.5)
        branch.norm.bias.uniform_(-1, 1)
        branch.norm.running_mean.uniform_(-1, 1)
        branch.norm.running_var.uniform_(0.5, 2)
    return branch


def _values() -> Tensor:
    values = torch.randn(5, 8, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    return values.masked_fill((torch.arange(8) >= LENGTHS[:, None])[..., None], torch.nan)


def _by_hand(plain: ModuleType, branch: AttentiveGRU, values: Tensor, keep: Tensor | None) -> list[Tensor]:
    """The rows that have frames, in order; a scalar bias in the attention's logits changes nothing."""
    rows = [row[:n] for row, n in zip(values, LENGTHS.tolist(), strict=True) if n]
    norm = branch.norm
    statistics = None if branch.training else (norm.running_mean, norm.running_var)
    rows = plain.batch_norm(rows, norm.weight, norm.bias, statistics, norm.eps)
    rank, found = {7: 0, 6: 1, 3: 2, 1: 3}, []
    for row in rows:
        masks = [None] * 2 if keep is None else keep[:, rank[len(row)]]
        halves = [plain.gru(branch.gru, row, masks[0])]
        if branch.gru.bidirectional:
            halves.append(plain.gru(branch.gru, row, masks[1], "_reverse"))
        found.append(plain.self_attention(torch.cat(halves, 1), branch.attention.weight.T, bias=0.7))
    return found


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("mode", ["eval", "train", "train and drop"])
def test_values_and_gradients_are_the_plain_equations(plain, bidirectional, mode, monkeypatch) -> None:
    branch = _branch(bidirectional=bidirectional, recurrent_dropout=0.4 if "drop" in mode else 0.0)
    branch.train(mode != "eval")
    keep = torch.randint(0, 2, (2 if bidirectional else 1, 4, 4), generator=torch.Generator().manual_seed(3)) / 0.6
    monkeypatch.setattr(frame_gru, "draw_mask", lambda *_: keep.double())
    values = _values().requires_grad_()
    expected = _by_hand(plain, branch, values, keep.double() if "drop" in mode else None)
    frames = branch(values, LENGTHS, LENGTHS)
    assert frames.x_NLD.shape == (5, 8, branch.out_dim)
    is_valid = torch.arange(8) < LENGTHS[:, None]
    torch.testing.assert_close(frames.x_NLD[is_valid], torch.cat(expected), rtol=0, atol=1e-12)
    assert frames.x_NLD[~is_valid].abs().sum() == 0
    leaves = [values, *branch.parameters()]
    ours = torch.autograd.grad(frames.x_NLD.sin().sum(), leaves)
    theirs = torch.autograd.grad(torch.cat(expected).sin().sum(), leaves)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)
    assert ours[0][~is_valid].abs().sum() == 0


def test_the_mean_is_over_valid_frames_and_zero_without_any(plain) -> None:
    branch = _branch().eval()
    expected = [row.mean(0) for row in _by_hand(plain, branch, _values(), None)]
    found = branch(_values(), LENGTHS, LENGTHS).mean()
    torch.testing.assert_close(found[LENGTHS > 0], torch.stack(expected), rtol=0, atol=1e-12)
    assert found[1].abs().sum() == 0
    nothing = branch(_values()[1:2], LENGTHS[1:2], LENGTHS[1:2])
    assert nothing.mean().abs().sum() == 0


def test_the_weights_are_those_of_the_forward_pass() -> None:
    branch = _branch().eval()
    weights = branch.weights(_values(), LENGTHS, LENGTHS)
    torch.testing.assert_close(weights.sum(-1), (torch.arange(8) < LENGTHS[:, None]).double())
    states = branch._states(_values(), LENGTHS)
    torch.testing.assert_close(weights @ states, branch(_values(), LENGTHS, LENGTHS).x_NLD, rtol=0, atol=1e-12)
