"""In which order a layer over a directed acyclic graph of turns computes its states, and which turns a turn sees."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dialogue_ser.nn.transfer import send

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class DagPlan:
    """The steps of a batch: step t computes turn t of every dialogue that has one, longest dialogue first.

    Rows are turns in the order of the steps. The *cells* of step t are all pairs of one of its turns and one of the
    places ``first[t]`` … t − 1, which hold all turns that these turns see: first the place, then the turn.

    Args:
        n_turns: number of dialogues that have a turn, per step.
        first: earliest place that a turn of the step sees.
        place_N: where each turn (as nodes are numbered) lies in a padded tensor ``[B, T, …]``, in the order of the
            rows.
        relation_C: 0 where the turn does not see the place, 1 where it does and another speaker speaks there, 2 where
            its own speaker speaks there.
        cell_E: cell of each edge.
        edge_E: place of each edge in a padded matrix of turns ``[B, T, T]``.
    """

    n_turns: list[int]
    first: list[int]
    place_N: Tensor
    relation_C: Tensor
    cell_E: Tensor
    edge_E: Tensor

    @property
    def cells_per_step(self) -> list[int]:
        """Number of cells of each step."""
        return [(t - first) * n for t, (first, n) in enumerate(zip(self.first, self.n_turns, strict=True))]


def dag_plan(
    edges: Ints,
    is_same_E: NDArray[np.bool_],
    dialogue_N: Ints,
    position_N: Ints,
    n_turns_B: Ints,
    n_padded: int,
    device: torch.device,
) -> DagPlan:
    """The plan of a batch, computed on the CPU and sent without waiting.

    Args:
        edges: (turn, seen) ``[2, E]``, sorted by turn; a turn sees earlier turns of its dialogue only.
        is_same_E: whether both turns have the same speaker.
        dialogue_N: dialogue of each turn.
        position_N: place of each turn in its dialogue.
        n_turns_B: number of turns per dialogue.
        n_padded: T.
        device: where the layer computes.
    """
    rank_B = np.empty_like(n_turns_B)
    rank_B[np.argsort(-n_turns_B, kind="stable")] = np.arange(len(n_turns_B))
    n_steps = int(n_turns_B.max(initial=0))
    n_turns_T = np.bincount(position_N, minlength=n_steps)
    by_step_N = np.lexsort((rank_B[dialogue_N], position_N))
    turn_E, seen_E = edges
    step_E, rank_E = position_N[turn_E], rank_B[dialogue_N[turn_E]]
    first_T = np.arange(n_steps)
    np.minimum.at(first_T, step_E, position_N[seen_E])
    cells_T = (np.arange(n_steps) - first_T) * n_turns_T
    begins_T = np.cumsum(cells_T) - cells_T
    cell_E = begins_T[step_E] + (position_N[seen_E] - first_T[step_E]) * n_turns_T[step_E] + rank_E
    relation_C = np.zeros(int(cells_T.sum()), dtype=np.int64)
    relation_C[cell_E] = 1 + is_same_E
    row_N = dialogue_N * n_padded + position_N
    edge_E = row_N[turn_E] * n_padded + position_N[seen_E]
    sent = send([row_N[by_step_N], relation_C, cell_E, edge_E], device)
    return DagPlan(n_turns_T.tolist(), first_T.tolist(), *sent)
