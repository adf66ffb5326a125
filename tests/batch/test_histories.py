"""Histories of turns and the order of their steps, against plain loops."""

import numpy as np
import pytest

from dialogue_ser.batch.histories import histories, step_order
from dialogue_ser.batch.turns import TurnIndex, steps_within


def _turns(*dialogues: str) -> TurnIndex:
    lengths = np.array([len(dialogue) for dialogue in dialogues], dtype=np.int64)
    speaker_N = np.array([ord(name) for dialogue in dialogues for name in dialogue], dtype=np.int64)
    dialogue_N = np.repeat(np.arange(len(lengths)), lengths)
    return TurnIndex(lengths, int(lengths.max(initial=0)), dialogue_N, steps_within(lengths), speaker_N)


@pytest.mark.parametrize("n_past", [1, 2, 3, 40])
def test_every_turn_sees_the_turns_before_it_and_whose_they_are(n_past: int) -> None:
    dialogues = ("abbacab", "a", "aaaa", "xyzzy")
    turns = _turns(*dialogues)
    text = "".join(dialogues)
    found = histories(turns, np.arange(len(text)), n_past)
    seen: list[list[tuple[int, bool]]] = [[] for _ in text]
    for query, row in zip(found.query_E, found.row_E, strict=True):
        seen[query].append((int(found.node_S[row]), bool(found.is_own_S[row])))
    for node, position in enumerate(turns.position_N):
        expected = [(k, text[k] == text[node]) for k in range(node - min(position, n_past), node)]
        assert seen[node] == expected


def test_turns_of_one_speaker_share_a_run_while_the_window_does_not_cut_it() -> None:
    turns = _turns("ababab")
    assert len(histories(turns, np.arange(6), 40).length_R) == 2
    assert histories(turns, np.arange(6), 40).length_R.sum() == 4 + 5
    assert len(histories(turns, np.arange(6), 2).length_R) == 5, "turns 0 and 2 of a, then every window is its own"


def test_a_query_gets_its_own_history_only() -> None:
    found = histories(_turns("abc", "ab"), np.array([4, 2]), 40)
    assert found.length_Q.tolist() == [1, 2]
    assert sorted(found.node_S.tolist()) == [0, 1, 3]


def test_no_turns_have_no_histories() -> None:
    found = histories(_turns(), np.arange(0), 3)
    assert len(found.node_S) == len(found.query_E) == len(found.length_R) == 0
    assert step_order(found.length_R).sizes == []


def test_steps_come_side_by_side_and_the_longest_sequence_first() -> None:
    length_R = np.array([2, 0, 5, 1, 5])
    order = step_order(length_R)
    sequence_S, step_S = np.repeat(np.arange(5), length_R), steps_within(length_R)
    packed = [(int(step_S[row]), int(sequence_S[row])) for row in order.row_S]
    expected = [(step, r) for step in range(5) for r in (2, 4, 0, 3) if step < length_R[r]]
    assert packed == expected
    assert order.row_S[order.place_S].tolist() == list(range(13))
    assert order.sequence_R.tolist() == [2, 4, 0, 3]
    assert order.sizes == [4, 3, 2, 2, 2]
