"""What every turn has behind it: windows of earlier turns as sequences, shared by turns that see the same beginning."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dialogue_ser.batch.graphs import span_edges
from dialogue_ser.batch.turns import Ints, TurnIndex, steps_within


@dataclass(frozen=True)
class Histories:
    """The histories of some turns (queries). A history is a prefix of a run.

    A run is a stretch of consecutive turns of a dialogue as one speaker sees them: his own turns, and those of all
    others. Queries of one speaker whose windows begin at the same turn share a run, because their histories differ in
    their ends only.

    Args:
        query_Q: the turns whose histories these are.
        run_Q: run of each query.
        length_Q: number of turns in the history of each query, from the beginning of its run.
        length_R: number of turns of each run.
        node_S: turn of each step, run after run.
        is_own_S: whether the step is a turn of the run's own speaker.
    """

    query_Q: Ints
    run_Q: Ints
    length_Q: Ints
    length_R: Ints
    node_S: Ints
    is_own_S: NDArray[np.bool_]

    @cached_property
    def run_S(self) -> Ints:
        """The run of each step."""
        return np.repeat(np.arange(len(self.length_R)), self.length_R)

    @cached_property
    def query_E(self) -> Ints:
        """For each pair of a query and a turn of its history, query after query: the place of the query."""
        return np.repeat(np.arange(len(self.query_Q)), self.length_Q)

    @cached_property
    def row_E(self) -> Ints:
        """For each such pair: the step, as a row of ``node_S``."""
        first_R = np.cumsum(self.length_R) - self.length_R
        return first_R[self.run_Q][self.query_E] + steps_within(self.length_Q)


def histories(turns: TurnIndex, query_Q: Ints, n_past: int) -> Histories:
    """The histories of at most ``n_past`` turns before each query.

    >>> turns = TurnIndex(np.array([4]), 4, np.zeros(4, int), np.arange(4), np.array([0, 1, 1, 0]))
    >>> found = histories(turns, np.arange(4), n_past=2)
    >>> found.length_Q.tolist(), found.run_Q.tolist(), found.length_R.tolist()  # the last one begins at turn 1
    ([0, 1, 2, 2], [0, 1, 1, 2], [0, 2, 2])
    >>> found.node_S.tolist(), found.is_own_S.tolist()
    ([0, 1, 1, 2], [False, True, False, False])
    """
    length_Q = np.minimum(turns.position_N[query_Q], n_past)
    first_Q = query_Q - length_Q
    _, party_N = np.unique(turns.party_N, return_inverse=True)
    key_Q = first_Q * (int(party_N.max(initial=0)) + 1) + party_N[query_Q]
    _, one_R, run_Q = np.unique(key_Q, return_index=True, return_inverse=True)
    length_R = np.zeros(len(one_R), dtype=np.int64)
    np.maximum.at(length_R, run_Q, length_Q)
    first_R = first_Q[one_R]
    run_S, node_S = span_edges(first_R, first_R + length_R - 1)
    is_own_S = party_N[node_S] == party_N[query_Q[one_R]][run_S]
    return Histories(query_Q, run_Q, length_Q, length_R, node_S, is_own_S)


@dataclass(frozen=True)
class StepOrder:
    """Sequences side by side, one step after the other, the longest first, as ``PackedSequence`` has them.

    Args:
        row_S: for each packed row, its row in the order sequence after sequence.
        place_S: for each row in that order, its packed row.
        sequence_R: the sequences from the longest to the shortest, without empty ones.
        sizes: number of sequences that have a first, second, … step.
    """

    row_S: Ints
    place_S: Ints
    sequence_R: Ints
    sizes: list[int]


def step_order(length_R: Ints) -> StepOrder:
    """Order the steps of sequences for a recurrence.

    >>> order = step_order(np.array([1, 0, 3]))
    >>> order.row_S.tolist(), order.sequence_R.tolist(), order.sizes
    ([1, 0, 2, 3], [2, 0], [2, 1, 1])
    """
    by_length_R = np.argsort(-length_R, kind="stable")
    rank_R = np.empty_like(by_length_R)
    rank_R[by_length_R] = np.arange(len(length_R))
    step_S = steps_within(length_R)
    row_S = np.lexsort((np.repeat(rank_R, length_R), step_S))
    place_S = np.empty_like(row_S)
    place_S[row_S] = np.arange(len(row_S))
    return StepOrder(row_S, place_S, by_length_R[: int((length_R > 0).sum())], np.bincount(step_S).tolist())
