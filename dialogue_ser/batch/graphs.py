"""Graphs over the turns of a batch, from speakers and lengths: the shapes that several systems share.

A node is a real turn, numbered through the batch (:class:`~dialogue_ser.batch.turns.TurnIndex`). A graph is an int64
array ``[2, E]`` on the CPU: a column is an edge (turn, seen), i.e. the turn in row 0 may look at the turn in row 1.
The edges are sorted by turn, then by the turn seen. A system decides in which direction messages flow.
No function loops over turns, edges or dialogues.
"""

from dataclasses import dataclass

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
    return span_edges(*window_bounds(turns, past, future))


def window_bounds(turns: TurnIndex, past: int | None, future: int | None) -> tuple[Ints, Ints]:
    """The first and the last turn of each turn's window, as in :func:`window_edges`."""
    node_N = np.arange(len(turns))
    low_N = turns.first_N if past is None else np.maximum(turns.first_N, node_N - past)
    high_N = turns.last_N if future is None else np.minimum(turns.last_N, node_N + future)
    return low_N, high_N


def complete_edges(turns: TurnIndex) -> Ints:
    """Join every turn to all turns of its dialogue, itself included."""
    return window_edges(turns, None, None)


def predecessor_edges(turns: TurnIndex, own_turns: int | None) -> Ints:
    """Join every turn to the turns before it, back to the speaker's own ``own_turns``-th turn before it (included).

    A turn whose speaker has spoken fewer times sees all earlier turns of its dialogue (DAG-ERC).

    Args:
        turns: the turns of the batch.
        own_turns: number of the speaker's own earlier turns, at least 1; None = all turns before it.

    >>> turns = TurnIndex(np.array([4]), 4, np.zeros(4, int), np.arange(4), np.array([0, 1, 1, 0]))
    >>> predecessor_edges(turns, 1).tolist()
    [[1, 2, 3, 3, 3], [0, 1, 0, 1, 2]]
    """
    node_N, party_N = np.arange(len(turns)), turns.party_N
    if own_turns is None:
        return span_edges(turns.first_N, node_N - 1)
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


def block_pairs(turns: TurnIndex, size: int | None) -> Ints:
    """All ordered pairs of turns, each with itself too, inside blocks of ``size`` turns of a dialogue (None = all).

    The last block of a dialogue may be shorter (GraphSmile).

    >>> turns = TurnIndex(np.array([3]), 3, np.zeros(3, int), np.arange(3), np.array([0, 1, 0]))
    >>> block_pairs(turns, 2).tolist()
    [[0, 0, 1, 1, 2], [0, 1, 0, 1, 2]]
    """
    if size is None:
        return complete_edges(turns)
    low_N = turns.first_N + turns.position_N // size * size
    return span_edges(low_N, np.minimum(low_N + size - 1, turns.last_N))


def edges_between(turns: TurnIndex, low_N: Ints, high_N: Ints) -> tuple[Ints, Ints]:
    """Let the turns of each of two modalities see a span of the other one's turns; node i of modality m is m · N + i.

    First come the edges from the first modality to the second, then those from the second to the first.

    Args:
        turns: the turns of the batch.
        low_N: the first turn that each turn sees, in its dialogue.
        high_N: the last one.

    Returns:
        the edges ``[2, E]``, and the place of each edge in the list that its dialogue has alone ``[E]``.

    >>> turns = TurnIndex(np.array([2]), 2, np.zeros(2, int), np.arange(2), np.array([0, 1]))
    >>> edges, place = edges_between(turns, np.array([0, 0]), np.array([0, 1]))
    >>> edges.tolist(), place.tolist()
    ([[0, 1, 1, 2, 3, 3], [2, 2, 3, 0, 0, 1]], [0, 1, 2, 3, 4, 5])
    """
    edges, shift = span_edges(low_N, high_N), np.array([[0], [len(turns)]])
    n_edges_B = np.bincount(turns.dialogue_N[edges[0]], minlength=len(turns.n_turns_B))
    place_E = steps_within(n_edges_B)
    place_E = np.concatenate([place_E, place_E + np.repeat(n_edges_B, n_edges_B)])
    return np.concatenate([edges + shift, edges + shift[::-1]], axis=1), place_E


@dataclass(frozen=True)
class Hypergraph:
    """Hyperedges over the turns of several modalities; node i of modality m is m · N + i.

    Args:
        incidences: ``[2, I]``: a column is a node and a hyperedge that it belongs to.
        place_V: place of each node in its dialogue, modality after modality.
        place_E: place of each hyperedge in its dialogue.
    """

    incidences: Ints
    place_V: Ints
    place_E: Ints


def hypergraph(turns: TurnIndex, n_modalities: int) -> Hypergraph:
    """A hyperedge for all turns of each modality of a dialogue, and one for the modalities of each turn (M3NET).

    >>> turns = TurnIndex(np.array([2]), 2, np.zeros(2, int), np.arange(2), np.array([0, 1]))
    >>> hypergraph(turns, 2).incidences.tolist()
    [[0, 1, 2, 3, 0, 1, 2, 3], [0, 0, 1, 1, 2, 3, 2, 3]]
    """
    n_nodes, n_dialogues = len(turns), len(turns.n_turns_B)
    modality_M1 = np.arange(n_modalities)[:, None]
    whole_MN = modality_M1 * n_dialogues + turns.dialogue_N
    turn_MN = n_modalities * n_dialogues + np.broadcast_to(np.arange(n_nodes), whole_MN.shape)
    node_V = np.arange(n_modalities * n_nodes)
    edge_I = np.concatenate([whole_MN.reshape(-1), turn_MN.reshape(-1)])
    place_V = (modality_M1 * turns.n_turns_B[turns.dialogue_N] + turns.position_N).reshape(-1)
    place_E = np.concatenate([np.repeat(np.arange(n_modalities), n_dialogues), n_modalities + turns.position_N])
    return Hypergraph(np.stack([np.tile(node_V, 2), edge_I]), place_V, place_E)


def is_same_speaker(turns: TurnIndex, edges: Ints) -> NDArray[np.bool_]:
    """For each edge inside a dialogue, whether both turns have the same speaker."""
    is_same_E: NDArray[np.bool_] = turns.speaker_N[edges[0]] == turns.speaker_N[edges[1]]
    return is_same_E
