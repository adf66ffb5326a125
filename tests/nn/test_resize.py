"""Resizing rows of different lengths equals torch's resizing of each row without padding."""

import pytest
import torch
from torch.nn.functional import interpolate

from dialogue_ser.nn.resize import resize_weights

LENGTHS = torch.tensor([1, 2, 9, 16, 40, 7])


def torchs(x_LD: torch.Tensor, size: int, *, antialias: bool = True) -> torch.Tensor:
    image = x_LD[None, None]
    return interpolate(image, (size, x_LD.shape[1]), mode="bilinear", align_corners=False, antialias=antialias)[0, 0]


@pytest.mark.parametrize("size", [1, 5, 16, 50])
def test_every_row_equals_torchs_result_without_padding(size):
    x_NLD = torch.randn(6, 43, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weights_NSL = resize_weights(LENGTHS, 43, size, torch.float64)
    for row, length in enumerate(LENGTHS.tolist()):
        expected = torchs(x_NLD[row, :length], size)
        torch.testing.assert_close(weights_NSL[row] @ x_NLD[row], expected, rtol=0, atol=1e-10)
        assert not weights_NSL[row, :, length:].any()


def test_a_shorter_row_still_uses_every_frame():
    """Control: without antialiasing, most frames of a long row are not read at all."""
    weights_SL = resize_weights(torch.tensor([40]), 40, 8, torch.float64)[0]
    assert (weights_SL.sum(0) > 0).all()
    x_LD = torch.eye(40, dtype=torch.float64)
    assert (torchs(x_LD, 8, antialias=False).sum(0) == 0).sum() > 20


def test_a_row_of_the_new_size_does_not_change():
    torch.testing.assert_close(resize_weights(torch.tensor([7]), 7, 7)[0], torch.eye(7))
