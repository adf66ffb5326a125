import torch

from dialogue_ser.encoders.meanpool import MeanPool, MeanPoolConfig


def test_the_mean_is_over_valid_frames_only_and_absent_turns_are_zero() -> None:
    torch.manual_seed(0)
    x_BTLD = torch.randn(2, 2, 5, 3, dtype=torch.float64)
    lengths = torch.tensor([[5, 2], [1, 0]])
    pool = MeanPool(MeanPoolConfig(), 3).double()
    x_BTLD[1, 1] = torch.nan  # values after the end do not matter
    x_BTLD[0, 1, 2:] = torch.inf
    out = pool(x_BTLD, lengths, lengths > 0)
    torch.testing.assert_close(out[0, 0], x_BTLD[0, 0].mean(0))
    torch.testing.assert_close(out[0, 1], x_BTLD[0, 1, :2].mean(0))
    torch.testing.assert_close(out[1, 0], x_BTLD[1, 0, 0])
    assert not out[1, 1].any()


def test_a_batch_in_which_nothing_is_present_is_zero() -> None:
    out = MeanPool(MeanPoolConfig(), 3)(
        torch.ones(1, 2, 4, 3), torch.zeros(1, 2, dtype=torch.int64), torch.zeros(1, 2) > 0
    )
    assert out.shape == (1, 2, 3)
    assert not out.any()
