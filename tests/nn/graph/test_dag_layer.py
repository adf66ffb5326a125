"""The layer of DAG-ERC: one node for autograd, beside the same turn by turn, and its gradients."""

import numpy as np
import pytest
import torch
from torch import Tensor

from dialogue_ser.nn.graph.dag_layer import DagAttention, DagLayer
from dialogue_ser.nn.graph.dag_plan import DagPlan, dag_plan

KINDS: list[tuple[DagAttention, bool]] = [("rgcn", True), ("linear", True), ("linear", False), ("dotprod", True)]
SPEAKERS = [[0, 1, 1, 0, 2, 0], [0], [0, 0, 1]]
SEEN = {
    1: [0],
    2: [1],
    3: [0, 1, 2],
    4: [0, 1, 2, 3],
    5: [3, 4],
    8: [7],
    9: [7, 8],
}


def plan() -> DagPlan:
    edges = np.array([(turn, seen) for turn, others in SEEN.items() for seen in others]).T
    speaker_N = np.concatenate(SPEAKERS)
    lengths = np.array([len(own) for own in SPEAKERS])
    dialogue_N = np.repeat(np.arange(3), lengths)
    position_N = np.concatenate([np.arange(n) for n in lengths])
    is_same_E = speaker_N[edges[0]] == speaker_N[edges[1]]
    return dag_plan(edges, is_same_E, dialogue_N, position_N, lengths, 6, torch.device("cpu"))


def layer(attention: DagAttention, relations: bool) -> DagLayer:
    torch.manual_seed(3)
    return DagLayer(3, attention, relations=relations).double()


def by_place(h_NH: Tensor, found: DagPlan) -> dict[int, Tensor]:
    """Node → its row; nodes are numbered dialogue after dialogue."""
    node = {place: number for number, place in enumerate(sorted(found.place_N.tolist()))}
    return {node[place]: h_NH[row] for row, place in enumerate(found.place_N.tolist())}


@pytest.mark.parametrize(("attention", "relations"), KINDS)
def test_all_turns_together_are_the_same_as_one_after_the_other(attention: DagAttention, relations: bool) -> None:
    own, found = layer(attention, relations), plan()
    h_NH = torch.randn(10, 3, dtype=torch.float64)
    together, weights_C = own(h_NH, found)
    old, speakers, new = by_place(h_NH, found), np.concatenate(SPEAKERS), {}
    for turn in range(10):
        seen = SEEN.get(turn, [])
        states = torch.stack([new[j] for j in seen]) if seen else h_NH.new_zeros(0, 3)
        new[turn] = own.newest(old[turn], states, torch.tensor(speakers[seen] == speakers[turn], dtype=torch.bool))
    whole = by_place(together, found)
    for turn, state in new.items():
        torch.testing.assert_close(whole[turn], state, rtol=0, atol=1e-13)
    sums = torch.zeros(10, dtype=torch.float64)
    sums.index_add_(0, torch.tensor([turn for turn, others in SEEN.items() for _ in others]), weights_C[found.cell_E])
    assert sums.tolist() == pytest.approx([float(turn in SEEN) for turn in range(10)])


@pytest.mark.parametrize(("attention", "relations"), KINDS)
def test_the_backward_written_by_hand_is_the_gradient(attention: DagAttention, relations: bool) -> None:
    own, found = layer(attention, relations), plan()
    h_NH = torch.randn(10, 3, dtype=torch.float64, requires_grad=True)
    names, parameters = zip(*own.named_parameters(), strict=True)

    def run(h_NH: Tensor, *values: Tensor) -> Tensor:
        states, _ = torch.func.functional_call(own, dict(zip(names, values, strict=True)), (h_NH, found))
        return states

    assert torch.autograd.gradcheck(run, (h_NH, *parameters), fast_mode=True)


def test_backward_can_run_twice_over_one_forward() -> None:
    own, found = layer("rgcn", True), plan()
    h_NH = torch.randn(10, 3, dtype=torch.float64, requires_grad=True)
    loss = own(h_NH, found)[0].square().sum()
    (one,) = torch.autograd.grad(loss, h_NH, retain_graph=True)
    (other,) = torch.autograd.grad(loss, h_NH)
    assert torch.equal(one, other)
