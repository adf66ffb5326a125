"""The numbers of the real turns of a batch, and the turns of every speaker as sequences."""

import time
from dataclasses import replace

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.batch.turns import TurnIndex, party_sequences, speech_order, steps_within, turn_index

DIALOGUES = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=9), min_size=1, max_size=5)


def index_of(*speakers: list[int]) -> TurnIndex:
    """The turns of dialogues, from the speakers of each dialogue."""
    longest = max(map(len, speakers), default=0)
    speaker = torch.tensor([[*own, *[-1] * (longest - len(own))] for own in speakers]).view(len(speakers), longest)
    n_turns = torch.tensor([len(own) for own in speakers], dtype=torch.int64)
    return turn_index(
        DialogueBatch(
            features={},
            is_present={},
            speaker=speaker.long(),
            n_turns=n_turns,
            label=torch.zeros_like(speaker),
            is_real_turn=torch.arange(longest) < n_turns[:, None],
            utterance_ids=tuple(tuple(f"{b}-{t}" for t in range(len(own))) for b, own in enumerate(speakers)),
        )
    )


def test_turns_are_numbered_dialogue_after_dialogue_without_padding() -> None:
    turns = index_of([0, 1, 1, 0], [0], [0, 1])
    assert len(turns) == 7
    assert turns.dialogue_N.tolist() == [0, 0, 0, 0, 1, 2, 2]
    assert turns.position_N.tolist() == [0, 1, 2, 3, 0, 0, 1]
    assert turns.speaker_N.tolist() == [0, 1, 1, 0, 0, 0, 1]
    assert turns.first_N.tolist() == [0, 0, 0, 0, 4, 5, 5]
    assert turns.last_N.tolist() == [3, 3, 3, 3, 4, 6, 6]
    assert turns.row_N.tolist() == [0, 1, 2, 3, 4, 8, 9]


@settings(max_examples=20, deadline=None)
@given(DIALOGUES)
def test_rows_are_those_of_the_real_turns_of_the_padded_batch(speakers: list[list[int]]) -> None:
    turns = index_of(*speakers)
    longest = max(map(len, speakers))
    rows = [b * longest + t for b, own in enumerate(speakers) for t in range(len(own))]
    assert turns.row_N.tolist() == rows


@settings(max_examples=20, deadline=None)
@given(DIALOGUES)
def test_the_sequences_of_speakers_are_their_turns_in_order(speakers: list[list[int]]) -> None:
    turns = index_of(*speakers)
    parties = party_sequences(turns)
    found: dict[int, list[int]] = {}
    for turn in range(len(turns)):  # the steps of a sequence come in the order of its turns
        sequence = found.setdefault(int(parties.sequence_N[turn]), [])
        assert parties.step_N[turn] == len(sequence)
        sequence.append(turn)
    expected: dict[tuple[int, int], list[int]] = {}
    for turn, key in enumerate((b, p) for b, own in enumerate(speakers) for p in own):
        expected.setdefault(key, []).append(turn)
    assert sorted(found.values()) == sorted(expected.values())
    assert [len(found[r]) for r in range(len(found))] == parties.length_R.tolist()


@settings(max_examples=20, deadline=None)
@given(DIALOGUES, st.permutations(range(4)))
def test_other_numbers_of_the_same_speakers_make_the_same_sequences(
    speakers: list[list[int]], names: list[int]
) -> None:
    one = index_of(*speakers)
    other = replace(one, speaker_N=10 * np.array(names)[one.speaker_N] - 7)  # negative numbers too
    for turns in (one, other):
        same = turns.party_N[:, None] == turns.party_N
        assert (same == ((one.dialogue_N[:, None] == one.dialogue_N) & (one.speaker_N[:, None] == one.speaker_N))).all()
    assert party_sequences(one).step_N.tolist() == party_sequences(other).step_N.tolist()


def test_lengths_of_zero_and_no_turns_at_all_are_allowed() -> None:
    assert steps_within(np.array([2, 0, 1])).tolist() == [0, 1, 0]
    assert steps_within(np.array([], dtype=np.int64)).tolist() == []
    nothing = TurnIndex(*[np.zeros(0, np.int64)] * 1, 0, *[np.zeros(0, np.int64)] * 3)
    assert len(nothing) == len(nothing.party_N) == len(party_sequences(nothing).length_R) == 0


def test_a_dialogue_of_2000_turns_takes_no_time() -> None:
    turns = index_of([t % 7 for t in range(2000)])
    start = time.perf_counter()
    assert party_sequences(turns).length_R.tolist() == [286] * 5 + [285] * 2
    assert time.perf_counter() - start < 0.2


def test_padded_sequences_are_as_long_as_their_dialogue() -> None:
    parties = party_sequences(index_of([0, 1, 1, 0], [0], [0, 1]), padded=True)
    assert parties.length_R.tolist() == [4, 4, 1, 2, 2]
    assert parties.step_N.tolist() == [0, 0, 1, 1, 0, 0, 0]


@settings(max_examples=30)
@given(DIALOGUES)
def test_the_order_of_first_speech_counts_speakers_and_not_their_numbers(speakers: list[list[int]]) -> None:
    right = [list(dict.fromkeys(own)).index(name) for own in speakers for name in own]
    assert speech_order(index_of(*speakers)).tolist() == right
    assert speech_order(index_of(*[[9 - name for name in own] for own in speakers])).tolist() == right
