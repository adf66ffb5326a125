"""The dialogues of a batch in rows of one length, several in a row, for dense matrices per row."""

from dataclasses import dataclass

import numpy as np

from dialogue_ser.batch.turns import Ints, TurnIndex


@dataclass(frozen=True)
class DialogueRows:
    """Whole dialogues side by side in R rows of W slots, so that a batch has less padding than one row per dialogue.

    Args:
        n_rows: R.
        width: W, the number of turns of the longest dialogue.
        slot_N: slot of each turn, row after row, below R · W.
        dialogue_RW: dialogue of each slot; −1 = an empty slot.
    """

    n_rows: int
    width: int
    slot_N: Ints
    dialogue_RW: Ints


def dialogue_rows(turns: TurnIndex) -> DialogueRows:
    """Put the dialogues into rows. R · W² is at most about twice the number of turns times the longest dialogue.

    Long rows are paired with short ones while both together are no longer than the longest dialogue.

    >>> from dialogue_ser.batch.turns import steps_within
    >>> lengths = np.array([5, 2, 3])
    >>> position_N = steps_within(lengths)
    >>> turns = TurnIndex(lengths, 5, np.repeat(np.arange(3), lengths), position_N, 0 * position_N)
    >>> dialogue_rows(turns).dialogue_RW.tolist()
    [[0, 0, 0, 0, 0], [1, 1, 2, 2, 2]]
    """
    n_turns_B, width = turns.n_turns_B, int(turns.n_turns_B.max(initial=1))
    row_B, length_R = np.arange(len(n_turns_B)), n_turns_B
    while True:  # every round joins two rows or more; most batches need two rounds
        order_R = np.argsort(-length_R, kind="stable")
        open_R = order_R[length_R[order_R] + length_R.min(initial=width) <= width]
        half = len(open_R) // 2
        if half == 0:
            break
        long, short = open_R[:half], open_R[::-1][:half]
        fits = length_R[long] + length_R[short] <= width
        joined_R = np.arange(len(length_R))
        joined_R[short[fits]] = long[fits]
        _, row_B = np.unique(joined_R[row_B], return_inverse=True)
        length_R = np.bincount(row_B, weights=n_turns_B).astype(np.int64)
    by_row_B = np.argsort(row_B, kind="stable")
    before_B = np.empty_like(n_turns_B)  # turns of the same row in earlier dialogues
    ends_B = np.cumsum(n_turns_B[by_row_B])
    row_start_R = np.cumsum(length_R) - length_R
    before_B[by_row_B] = ends_B - n_turns_B[by_row_B] - row_start_R[row_B[by_row_B]]
    slot_N = (row_B * width + before_B)[turns.dialogue_N] + turns.position_N
    dialogue_RW = np.full((len(length_R), width), -1)
    dialogue_RW.reshape(-1)[slot_N] = turns.dialogue_N
    return DialogueRows(len(length_R), width, slot_N, dialogue_RW)
