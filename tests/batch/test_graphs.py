"""Graphs over the turns of a batch, beside worked examples and plain loops."""

import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialogue_ser.batch.graphs import (
    block_pairs,
    complete_edges,
    edges_between,
    hypergraph,
    in_each_modality,
    is_same_speaker,
    predecessor_edges,
    same_turn_edges,
    span_edges,
    window_bounds,
    window_edges,
)
from dialogue_ser.batch.turns import Ints, TurnIndex, steps_within

DIALOGUES = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=9), min_size=1, max_size=4)
SIZE = st.one_of(st.none(), st.integers(0, 10))
EXAMPLE = [[0, 1, 1, 0]]


def index_of(speakers: list[list[int]]) -> TurnIndex:
    n_turns_B = np.array([len(own) for own in speakers], dtype=np.int64)
    return TurnIndex(
        n_turns_B,
        int(n_turns_B.max(initial=0)),
        np.repeat(np.arange(len(speakers)), n_turns_B),
        steps_within(n_turns_B),
        np.array([party for own in speakers for party in own], dtype=np.int64),
    )


def pairs(edges: Ints) -> list[tuple[int, int]]:
    assert edges.dtype == np.int64
    assert edges.shape[0] == 2
    return list(zip(*edges.tolist(), strict=True))


def seen_by(edges: Ints, n_turns: int) -> list[list[int]]:
    return [[seen for turn, seen in pairs(edges) if turn == own] for own in range(n_turns)]


def test_the_window_of_one_turn_to_both_sides() -> None:
    edges = window_edges(index_of(EXAMPLE), 1, 1)
    assert pairs(edges) == [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (3, 2), (3, 3)]


def test_the_window_of_two_earlier_turns() -> None:
    edges = window_edges(index_of(EXAMPLE), 2, 0)
    assert pairs(edges) == [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (3, 1), (3, 2), (3, 3)]


@settings(max_examples=20, deadline=None)
@given(DIALOGUES, SIZE, SIZE)
def test_windows_are_those_of_a_plain_loop(speakers: list[list[int]], past: int | None, future: int | None) -> None:
    expected, first = [], 0
    for own in speakers:
        n = len(own)
        for j in range(n):
            low = 0 if past is None else max(0, j - past)
            high = n - 1 if future is None else min(n - 1, j + future)
            expected += [(first + j, first + k) for k in range(low, high + 1)]
        first += n
    assert pairs(window_edges(index_of(speakers), past, future)) == expected


def test_the_complete_graph_stays_inside_its_dialogue() -> None:
    assert seen_by(complete_edges(index_of([[0, 1], [0], [0, 0]])), 5) == [[0, 1], [0, 1], [2], [3, 4], [3, 4]]


@pytest.mark.parametrize(
    ("own_turns", "expected"),
    [
        (1, [[], [0], [1], [0, 1, 2]]),
        (2, [[], [0], [0, 1], [0, 1, 2]]),
        (9, [[], [0], [0, 1], [0, 1, 2]]),
        (None, [[], [0], [0, 1], [0, 1, 2]]),
    ],
)
def test_predecessors_go_back_to_the_speakers_own_turn(own_turns: int | None, expected: list[list[int]]) -> None:
    assert seen_by(predecessor_edges(index_of(EXAMPLE), own_turns), 4) == expected


@settings(max_examples=20, deadline=None)
@given(DIALOGUES, st.integers(1, 4))
def test_predecessors_are_those_of_a_walk_back(speakers: list[list[int]], own_turns: int) -> None:
    expected, first = [], 0
    for own in speakers:
        for i in range(len(own)):
            seen, met, j = [], 0, i - 1
            while j >= 0 and met < own_turns:
                seen.append(first + j)
                met += own[j] == own[i]
                j -= 1
            expected += [(first + i, k) for k in reversed(seen)]
        first += len(own)
    assert pairs(predecessor_edges(index_of(speakers), own_turns)) == expected


def test_a_graph_in_each_modality_and_between_them() -> None:
    edges = window_edges(index_of([[0, 1]]), 1, 0)
    assert pairs(in_each_modality(edges, 2, 2)) == [(0, 0), (1, 0), (1, 1), (2, 2), (3, 2), (3, 3)]
    # node a0 of four turns in three modalities is joined to v0 and t0
    found = pairs(same_turn_edges(4, 3))
    assert [seen for turn, seen in found if turn == 0] == [4, 8]
    assert len(found) == len(set(found)) == 4 * 3 * 2
    assert {(turn % 4, seen % 4) for turn, seen in found} == {(i, i) for i in range(4)}
    assert same_turn_edges(4, 1).shape == (2, 0)


def test_edges_know_whether_their_turns_have_one_speaker() -> None:
    turns = index_of(EXAMPLE)
    edges = window_edges(turns, 1, 0)
    assert is_same_speaker(turns, edges).tolist() == [True, False, True, True, True, False, True]


EVERY_SHAPE: list[Callable[[TurnIndex], Ints]] = [
    complete_edges,
    lambda turns: window_edges(turns, 3, None),
    lambda turns: predecessor_edges(turns, 1),
    lambda turns: in_each_modality(window_edges(turns, 10, 10), len(turns), 3),
    lambda turns: same_turn_edges(len(turns), 3),
]


@pytest.mark.parametrize("shape", EVERY_SHAPE)
def test_no_turns_have_no_edges(shape: Callable[[TurnIndex], Ints]) -> None:
    assert shape(index_of([])).shape == (2, 0)


@pytest.mark.parametrize("shape", EVERY_SHAPE)
def test_every_edge_stays_inside_its_dialogue_whatever_the_numbers_of_the_speakers(
    shape: Callable[[TurnIndex], Ints],
) -> None:
    turns = index_of([[-3, 5, -3], [5], [5, -3]])
    dialogue = np.tile(turns.dialogue_N, 3)
    edges = shape(turns)
    assert (dialogue[edges[0]] == dialogue[edges[1]]).all()


def test_2000_turns_are_fast_and_a_window_stays_small() -> None:
    turns = index_of([[t % 5 for t in range(2000)]])
    start = time.perf_counter()
    assert window_edges(turns, 10, 10).shape[1] == 2000 * 21 - 2 * 55
    assert predecessor_edges(turns, 1).shape[1] == 10 + 1995 * 5
    assert time.perf_counter() - start < 0.5


def test_a_span_may_be_empty() -> None:
    assert pairs(span_edges(np.array([0, 1]), np.array([-1, 1]))) == [(1, 1)]


def test_pairs_of_a_block_are_ordered_and_stay_in_their_dialogue() -> None:
    turns = index_of([*EXAMPLE, [0]])
    assert pairs(block_pairs(turns, 3)) == [(i, j) for i in range(3) for j in range(3)] + [(3, 3), (4, 4)]
    assert pairs(block_pairs(turns, None)) == pairs(complete_edges(turns))


def test_two_modalities_see_windows_of_each_other_and_every_dialogue_counts_its_edges() -> None:
    turns = index_of(EXAMPLE)
    edges, place = edges_between(turns, *window_bounds(turns, 1, 0))
    published = [(0, 4), (1, 4), (1, 5), (2, 5), (2, 6), (3, 6), (3, 7)]
    assert pairs(edges) == [*published, *((4, 0), (5, 0), (5, 1), (6, 1), (6, 2), (7, 2), (7, 3))]
    assert place.tolist() == list(range(14))
    turns = index_of([[0, 1], [0]])
    edges, place = edges_between(turns, *window_bounds(turns, 1, 0))
    assert pairs(edges) == [(0, 3), (1, 3), (1, 4), (2, 5), (3, 0), (4, 0), (4, 1), (5, 2)]
    assert place.tolist() == [0, 1, 2, 0, 3, 4, 5, 1]


def test_a_hyperedge_has_all_turns_of_a_modality_or_all_modalities_of_a_turn() -> None:
    graph = hypergraph(index_of(EXAMPLE), 3)
    members = {int(edge): graph.incidences[0][graph.incidences[1] == edge].tolist() for edge in graph.incidences[1]}
    assert [members[edge] for edge in range(7)] == [
        [0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [0, 4, 8], [1, 5, 9], [2, 6, 10], [3, 7, 11],
    ]  # fmt: skip
    assert graph.place_V.tolist() == list(range(12))
    assert graph.place_E.tolist() == list(range(7))
    two = hypergraph(index_of([[0, 1], [0]]), 2)
    assert two.place_V.tolist() == [0, 1, 0, 2, 3, 1]
    assert two.place_E.tolist() == [0, 0, 1, 1, 2, 3, 2]
