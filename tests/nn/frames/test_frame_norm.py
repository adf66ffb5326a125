"""Batch norm over frames uses the valid frames only."""

import math

import pytest
import torch
from torch import Tensor, nn

from dialogue_ser.nn.frames.frame_norm import FrameBatchNorm

LENGTHS = [5, 1, 3]


def _frames() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    x_NLD = 3.0 + 2.0 * torch.randn(3, 6, 4, dtype=torch.float64, generator=generator)
    is_valid_NL = torch.arange(6) < torch.tensor(LENGTHS)[:, None]
    return x_NLD, is_valid_NL


def _pair() -> tuple[FrameBatchNorm, nn.BatchNorm1d]:
    """Our module and torch's, with the same gains and shifts."""
    ours, theirs = FrameBatchNorm(4).double(), nn.BatchNorm1d(4).double()
    with torch.no_grad():
        for one in (ours, theirs):
            one.weight.copy_(torch.tensor([1.0, 0.5, -2.0, 3.0]))
            one.bias.copy_(torch.tensor([0.0, 1.0, -1.0, 0.25]))
    return ours, theirs


def test_in_training_it_is_torchs_batch_norm_of_the_valid_frames() -> None:
    (x_NLD, is_valid_NL), (ours, theirs) = _frames(), _pair()
    for _ in range(3):  # the running statistics change each time
        found_NLD, expected_ND = ours(x_NLD, is_valid_NL), theirs(x_NLD[is_valid_NL])
        torch.testing.assert_close(found_NLD[is_valid_NL], expected_ND, rtol=0, atol=1e-12)
        x_NLD = x_NLD * 1.5 + 1.0
    torch.testing.assert_close(ours.running_mean, theirs.running_mean, rtol=0, atol=1e-12)
    torch.testing.assert_close(ours.running_var, theirs.running_var, rtol=0, atol=1e-12)


def test_in_eval_mode_it_is_torchs_with_the_running_statistics() -> None:
    (x_NLD, is_valid_NL), (ours, theirs) = _frames(), _pair()
    for one in (ours, theirs):
        one.running_mean.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))
        one.running_var.copy_(torch.tensor([0.5, 1.0, 2.0, 4.0]))
        one.eval()
    expected_ND = theirs(x_NLD[is_valid_NL])
    torch.testing.assert_close(ours(x_NLD, is_valid_NL)[is_valid_NL], expected_ND, rtol=0, atol=1e-12)
    alone_1LD = ours(x_NLD[2:, :3], is_valid_NL[2:, :3])
    torch.testing.assert_close(ours(x_NLD, is_valid_NL)[2:, :3], alone_1LD, rtol=0, atol=0)


def test_gradients_are_torchs_too() -> None:
    (x_NLD, is_valid_NL), (ours, theirs) = _frames(), _pair()
    x_NLD.requires_grad_()
    other_NLD = x_NLD.detach().clone().requires_grad_()
    ours(x_NLD, is_valid_NL).square().sum().backward()
    theirs(other_NLD[is_valid_NL]).square().sum().backward()
    for found, expected in ((x_NLD, other_NLD), (ours.weight, theirs.weight), (ours.bias, theirs.bias)):
        torch.testing.assert_close(found.grad, expected.grad, rtol=0, atol=1e-10)
    assert x_NLD.grad is not None
    assert x_NLD.grad[~is_valid_NL].abs().sum() == 0


@pytest.mark.parametrize("training", [True, False])
def test_padding_never_counts_and_becomes_zero(training: bool) -> None:
    (x_NLD, is_valid_NL), (ours, _) = _frames(), _pair()
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    expected_NLD = ours.train(training)(x_NLD, is_valid_NL)
    assert expected_NLD[~is_valid_NL].abs().sum() == 0
    ours.load_state_dict(before)
    spoilt_NLD = x_NLD.masked_fill(~is_valid_NL[..., None], math.nan)
    torch.testing.assert_close(ours(spoilt_NLD, is_valid_NL), expected_NLD, rtol=0, atol=0)
    counted_NLD = ours(x_NLD, torch.ones_like(is_valid_NL))  # control: valid frames do change the others
    assert training != torch.allclose(counted_NLD[is_valid_NL], expected_NLD[is_valid_NL])


def test_one_frame_and_no_frame_give_finite_numbers() -> None:
    norm = FrameBatchNorm(2)
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    assert norm(torch.ones(1, 3, 2), torch.zeros(1, 3, dtype=torch.bool)).abs().sum() == 0
    assert all(bool((value == before[name]).all()) for name, value in norm.state_dict().items())
    x_111 = norm(torch.tensor([[[7.0, -7.0]]]), torch.tensor([[True]]))
    assert x_111.tolist() == [
        [[0.0, 0.0]]
    ]  # a single frame equals its mean; the result is the shift, which starts as 0
    assert norm.running_mean.tolist() == pytest.approx([0.7, -0.7])
    assert all(bool(value.isfinite().all()) for value in norm.state_dict().values())


def test_half_precision_is_normalised_in_float32() -> None:
    """A bfloat16 sum of 4096 ones stops at 256, and its mean would be far from 1."""
    x_NLD = torch.ones(1, 4096, 1, dtype=torch.bfloat16)
    x_NLD[0, ::2] = 1.5
    found_NLD = FrameBatchNorm(1)(x_NLD, torch.ones(1, 4096, dtype=torch.bool))
    assert found_NLD.dtype == torch.bfloat16
    assert found_NLD[0, :2, 0].tolist() == pytest.approx([1.0, -1.0], abs=0.01)
