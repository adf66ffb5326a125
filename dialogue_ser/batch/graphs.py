"""Graphs over the turns of a batch, from speakers and lengths: the shapes that several systems share.

A node is a real turn, numbered through the batch (:class:`~dialogue_ser.batch.turns.TurnIndex`). A graph is an int64
array ``[2, E]`` on the CPU: a column is an edge (turn, seen), i.e. the turn in row 0 may look at the turn in row 1.
The edges are sorted by turn, then by the turn seen. A system decides in which direction messages flow.
No function loops over turns, edges or dialogues.
"""

import numpy as np
from numpy.typing import NDArray

from dialogue_ser.batch.turns import Ints, TurnIndex, steps_within


def span_edges(low_N: Ints, high_N: Ints) -> Ints:
    """Join every node i to all nodes from ``low_N[i]`` to ``high_N[i]``, both included; low > high = to none.

    >>> span_edges(np.array([0, 0, 2]), np.array([0, 1, 1])).tolist()
    [[0, 1, 1], [0, 0, 1]]
    """
    count_N = np.maximum(high_N - low_N + 1, 0)
    node_E = np.repeat(np.arange(len(count_N)), count_N)
    return np.stack([node_E, low_N[node_E] + steps_within(count_N)])


def window_edges(turns: TurnIndex, past: int | None, future: int | None) -> Ints:
    """Join every turn to itself, to ``past`` turns before it and to ``future`` turns after it in its dialogue.

    Args:
        turns: the turns of the batch.
        past: number of earlier turns; None = all.
        future: number of later turns; None = all.

    >>> turns = TurnIndex(np.array([3]), 3, np.zeros(3, int), np.arange(3), np.array([0, 1, 0]))
    >>> window_edges(turns, 1, 0).tolist()
    [[0, 1, 1, 2, 2], [0, 0, 1, 1, 2]]
    """
    node_N = np.arange(len(turns))
    low_N = turns.first_N if past is None else np.maximum(turns.first_N, node_N - past)
    high_N = turns.last_N if future is None else np.minimum(turns.last_N, node_N + future)
    return span_edges(low_N, high_N)


def complete_edges(turns: TurnIndex) -> Ints:
    """Join every turn to all turns of its dialogue, itself included."""
    return window_edges(turns, None, None)


def predecessor_edges(turns: TurnIndex, own_turns: int) -> Ints:
    """Join every turn to the turns before it, back to the speaker's own ``own_turns``-th turn before it (included).

    A turn whose speaker has spoken fewer times sees all earlier turns of its dialogue (DAG-ERC).

    Args:
        turns: the turns of the batch.
        own_turns: number of the speaker's own earlier turns, at least 1.

    >>> turns = TurnIndex(np.array([4]), 4, np.zeros(4, int), np.arange(4), np.array([0, 1, 1, 0]))
    >>> predecessor_edges(turns, 1).tolist()
    [[1, 2, 3, 3, 3], [0, 1, 0, 1, 2]]
    """
    node_N, party_N = np.arange(len(turns)), turns.party_N
    by_party_N = np.argsort(party_N, kind="stable")
    low_N = turns.first_N.copy()
    earlier_N, later_N = by_party_N[:-own_turns], by_party_N[own_turns:]
    is_same_N = party_N[earlier_N] == party_N[later_N]
    low_N[later_N[is_same_N]] = earlier_N[is_same_N]
    return span_edges(low_N, node_N - 1)


def in_each_modality(edges: Ints, n_nodes: int, n_modalities: int) -> Ints:
    """Repeat a graph of N turns for every modality; node i of modality m is m · N + i.

    >>> in_each_modality(np.array([[0], [1]]), 2, 2).tolist()
    [[0, 2], [1, 3]]
    """
    return np.concatenate([edges + modality * n_nodes for modality in range(n_modalities)], axis=1)


def same_turn_edges(n_nodes: int, n_modalities: int) -> Ints:
    """Join the nodes of one turn in different modalities, in both directions; node i of modality m is m · N + i.

    >>> same_turn_edges(1, 2).tolist()
    [[0, 1], [1, 0]]
    """
    one, other = np.nonzero(~np.eye(n_modalities, dtype=bool))
    turn_N = np.arange(n_nodes)
    pairs = [(turn_N + modality_P[:, None] * n_nodes).reshape(-1) for modality_P in (one, other)]
    return np.stack(pairs)


def is_same_speaker(turns: TurnIndex, edges: Ints) -> NDArray[np.bool_]:
    """For each edge inside a dialogue, whether both turns have the same speaker."""
    is_same_E: NDArray[np.bool_] = turns.speaker_N[edges[0]] == turns.speaker_N[edges[1]]
    return is_same_E
