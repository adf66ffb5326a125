"""Weights of the edges of DialogueGCN, beside their sums written out."""

import pytest
import torch

from dialogue_ser.nn.graph.edge_attention import BilinearEdges, PositionEdges


def test_bilinear_weights_are_a_softmax_over_the_window() -> None:
    torch.manual_seed(0)
    own, g_NH = BilinearEdges(3).double(), torch.randn(4, 3, dtype=torch.float64)
    turn_E, seen_E = torch.tensor([0, 0, 1, 3, 3, 3]), torch.tensor([0, 1, 2, 1, 2, 3])
    weights_E = own(g_NH, turn_E, seen_E)
    for turn in (0, 1, 3):
        window = seen_E[turn_E == turn]
        logits = torch.stack([g_NH[turn] @ (own.transform.weight @ g_NH[k]) for k in window])
        torch.testing.assert_close(weights_E[turn_E == turn], torch.softmax(logits, 0))


@pytest.mark.parametrize(("past", "future"), [(1, 1), (None, 0), (0, None), (None, None)])
def test_position_weights_share_what_is_outside_by_the_published_rest(past: int | None, future: int | None) -> None:
    torch.manual_seed(0)
    own, g_BTH = PositionEdges(3, 9).double(), torch.randn(2, 4, 3, dtype=torch.float64)
    weights = own(g_BTH, torch.tensor([4, 2]), past, future)
    for b, n in enumerate([4, 2]):
        for j in range(n):
            alpha = torch.softmax(g_BTH[b, :n] @ own.scalar.weight[j], 0)
            inside = [(past is None or k >= j - past) and (future is None or k <= j + future) for k in range(n)]
            masked = alpha * torch.tensor([1.0 if seen else 1e-10 for seen in inside], dtype=torch.float64)
            torch.testing.assert_close(weights[b, j, :n], masked / masked.sum(), rtol=0, atol=1e-15)
            assert weights[b, j, n:].abs().sum() == 0


def test_places_beyond_the_last_one_share_its_weights() -> None:
    own, g_BTH = PositionEdges(3, 2).double(), torch.randn(1, 5, 3, dtype=torch.float64)
    weights = own(g_BTH, torch.tensor([5]), None, None)[0]
    assert torch.equal(weights[1], weights[4])
    assert not torch.equal(weights[0], weights[1])
