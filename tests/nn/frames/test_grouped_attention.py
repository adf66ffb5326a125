"""Attention in groups of similar lengths equals attention of every row alone."""

import pytest
import torch

from dialogue_ser.nn.frames.grouped_attention import attend


@pytest.mark.parametrize("lengths", [[2, 9, 0, 5, 9, 1], [4, 4], [0, 0]])
def test_every_row_sees_only_its_own_frames(lengths) -> None:
    torch.manual_seed(0)
    n, longest = len(lengths), 10
    query, key = (torch.randn(n, 2, longest, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    value = torch.randn(n, 2, longest, 5, dtype=torch.float64, requires_grad=True)
    lengths_N = torch.tensor(lengths)
    found = attend(query, key, value, lengths_N, lengths_N, scale=0.6)
    expected = torch.zeros(n, 2, longest, 5, dtype=torch.float64)
    for row, own in enumerate(lengths):
        for head in range(2):
            logits = 0.6 * query[row, head, :own] @ key[row, head, :own].T
            expected[row, head, :own] = torch.softmax(logits, dim=1) @ value[row, head, :own]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    if any(lengths):
        leaves = [query, key, value]
        ours, plain = (torch.autograd.grad(one.sin().sum(), leaves) for one in (found, expected))
        for one, other in zip(ours, plain, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
