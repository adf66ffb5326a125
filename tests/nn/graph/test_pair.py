"""The graph of two modalities: a list of edges and sums over windows give the same numbers."""

import numpy as np
import torch

from dialogue_ser.batch.graphs import edges_between, window_bounds
from dialogue_ser.batch.turns import TurnIndex, steps_within
from dialogue_ser.nn.graph.pair import PairConvolution, PairEdges, PairGraph, PairWindows

N_TURNS = np.array([4, 1, 6])


def _turns() -> TurnIndex:
    place = steps_within(N_TURNS)
    return TurnIndex(N_TURNS, 7, np.repeat(np.arange(3), N_TURNS), place, place % 2)


def _graphs(past: int | None, future: int | None) -> tuple[PairEdges, PairWindows]:
    turns = _turns()
    low_N, high_N = window_bounds(turns, past, future)
    edges, _ = edges_between(turns, low_N, high_N)
    arrays = [torch.from_numpy(a) for a in (low_N, high_N, turns.row_N, turns.dialogue_N, high_N - low_N + 1)]
    windows = PairWindows.of(*arrays, n_dialogues=3, n_padded=7, dtype=torch.float64)
    return PairEdges.normalised(torch.from_numpy(edges), None, 22, torch.empty(0).double()), windows


def test_windows_and_edges_give_the_same_numbers_and_gradients() -> None:
    graph = PairGraph(3, 2, 0.0).double()
    for past, future in [(1, 2), (None, None), (0, None), (None, 0), (0, 0)]:
        h_VH = torch.randn(22, 3, dtype=torch.float64, requires_grad=True)
        found = [graph(h_VH, own) for own in _graphs(past, future)]
        torch.testing.assert_close(*found)
        torch.testing.assert_close(*(torch.autograd.grad(own.square().sum(), h_VH)[0] for own in found))


def test_a_value_that_is_not_a_number_stays_in_its_dialogue() -> None:
    layer = PairConvolution(3).double()
    h_VH = torch.randn(22, 3, dtype=torch.float64)
    h_VH[5] = float("nan")  # the first turn of the last dialogue
    for graph in _graphs(None, None):
        assert layer(h_VH, graph)[:5].isfinite().all()
