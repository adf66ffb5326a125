"""The real turns of a batch, numbered through all its dialogues, and the turns of each speaker as sequences."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dialogue_ser.batch.dialogue_batch import DialogueBatch

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class TurnIndex:
    """The N real turns of a batch, dialogue after dialogue: turn i of the batch is node i of every graph.

    All arrays are on the CPU, so nobody waits for a GPU.

    Args:
        n_turns_B: number of real turns per dialogue.
        n_padded: T, the number of turns per dialogue with padding.
        dialogue_N: dialogue of each turn.
        position_N: place of each turn in its dialogue, from 0.
        speaker_N: party of each turn, numbered per dialogue.
    """

    n_turns_B: Ints
    n_padded: int
    dialogue_N: Ints
    position_N: Ints
    speaker_N: Ints

    def __len__(self) -> int:
        return len(self.dialogue_N)

    @cached_property
    def first_N(self) -> Ints:
        """The number of the first turn of each turn's dialogue."""
        return np.arange(len(self)) - self.position_N

    @cached_property
    def last_N(self) -> Ints:
        """The number of the last turn of each turn's dialogue."""
        return self.first_N + self.n_turns_B[self.dialogue_N] - 1

    @cached_property
    def row_N(self) -> Ints:
        """The row of each turn in a padded tensor ``[B · T, …]``."""
        return self.dialogue_N * self.n_padded + self.position_N

    @cached_property
    def party_N(self) -> Ints:
        """A number for each turn that is equal for turns of one speaker in one dialogue, and different for others."""
        if not len(self):
            return self.dialogue_N
        lowest, highest = int(self.speaker_N.min()), int(self.speaker_N.max())
        return self.dialogue_N * (highest - lowest + 1) + self.speaker_N - lowest


def turn_index(batch: DialogueBatch) -> TurnIndex:
    """Number the real turns of a batch, without waiting for a GPU."""
    n_turns_B = batch.n_turns_host.numpy()
    speaker_BT = batch.speaker_host.numpy()
    dialogue_N = np.repeat(np.arange(len(n_turns_B)), n_turns_B)
    position_N = steps_within(n_turns_B)
    return TurnIndex(n_turns_B, speaker_BT.shape[1], dialogue_N, position_N, speaker_BT[dialogue_N, position_N])


def steps_within(length_R: Ints) -> Ints:
    """0, 1, …, n − 1 for every length n, one after the other.

    >>> steps_within(np.array([3, 1, 2])).tolist()
    [0, 1, 2, 0, 0, 1]
    """
    ends_R = np.cumsum(length_R)
    return np.arange(int(ends_R[-1]) if len(ends_R) else 0) - np.repeat(ends_R - length_R, length_R)


@dataclass(frozen=True)
class PartySequences:
    """The turns of every speaker as a sequence of their own, R sequences in all.

    Args:
        sequence_N: sequence of each turn.
        step_N: place of each turn in its sequence, from 0.
        length_R: number of turns per sequence; of steps, if the sequences were padded.
    """

    sequence_N: Ints
    step_N: Ints
    length_R: Ints


def party_sequences(turns: TurnIndex, *, padded: bool = False) -> PartySequences:
    """Divide the turns by dialogue and speaker. Only who equals whom matters, not the numbers of the speakers.

    Args:
        turns: the turns of the batch.
        padded: every sequence is as long as its dialogue: behind its turns come steps without a turn. Published systems
            read such steps as zeros, also in a dialogue that is run alone.

    >>> turns = TurnIndex(np.array([4]), 4, np.zeros(4, int), np.arange(4), np.array([0, 1, 1, 0]))
    >>> parties = party_sequences(turns)
    >>> parties.sequence_N.tolist(), parties.step_N.tolist(), parties.length_R.tolist()
    ([0, 1, 1, 0], [0, 0, 1, 1], [2, 2])
    """
    if not len(turns):
        return PartySequences(turns.dialogue_N, turns.dialogue_N, turns.dialogue_N)
    _, sequence_N, length_R = np.unique(turns.party_N, return_inverse=True, return_counts=True)
    by_sequence_N = np.argsort(sequence_N, kind="stable")
    step_N = np.empty_like(sequence_N)
    step_N[by_sequence_N] = steps_within(length_R)
    if padded:
        length_R = length_R.copy()
        length_R[sequence_N] = turns.n_turns_B[turns.dialogue_N]
    return PartySequences(sequence_N, step_N, length_R)


def speech_order(turns: TurnIndex) -> Ints:
    """For each turn, how many other speakers of its dialogue spoke before its speaker first did.

    Unlike the numbers of the speakers, it depends only on who equals whom.

    >>> turns = TurnIndex(np.array([4]), 4, np.zeros(4, int), np.arange(4), np.array([7, 2, 2, 7]))
    >>> speech_order(turns).tolist()
    [0, 1, 1, 0]
    """
    parties = party_sequences(turns)
    is_first_N = parties.step_N == 0
    n_heard_N = np.cumsum(is_first_N)
    order_R = np.empty_like(parties.length_R)
    order_R[parties.sequence_N[is_first_N]] = (n_heard_N - n_heard_N[turns.first_N])[is_first_N]
    return order_R[parties.sequence_N]
