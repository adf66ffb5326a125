"""Dialogues side by side in rows."""

import numpy as np
import pytest

from dialogue_ser.batch.rows import dialogue_rows
from dialogue_ser.batch.turns import TurnIndex, steps_within


def turns_of(lengths: list[int]) -> TurnIndex:
    n_turns_B = np.array(lengths)
    position_N = steps_within(n_turns_B)
    dialogue_N = np.repeat(np.arange(len(lengths)), n_turns_B)
    return TurnIndex(n_turns_B, max(lengths), dialogue_N, position_N, 0 * position_N)


@pytest.mark.parametrize("lengths", [[1], [4, 4, 4], [2, 9, 1, 3, 1, 5, 9, 4], [1] * 7, [3, 1, 2]])
def test_every_turn_has_a_slot_of_its_own_and_dialogues_stay_together(lengths: list[int]) -> None:
    turns = turns_of(lengths)
    rows = dialogue_rows(turns)
    assert rows.dialogue_RW.shape == (rows.n_rows, rows.width) == (rows.n_rows, max(lengths))
    assert len(set(rows.slot_N.tolist())) == len(turns)
    assert (rows.dialogue_RW.reshape(-1)[rows.slot_N] == turns.dialogue_N).all()
    assert (rows.dialogue_RW >= 0).sum() == len(turns)
    in_order = turns.position_N[1:] > 0
    assert (np.diff(rows.slot_N)[in_order] == 1).all()


def test_one_long_dialogue_does_not_make_the_rows_of_the_short_ones_long() -> None:
    lengths = [2000, *range(1, 30)]
    rows = dialogue_rows(turns_of(lengths))
    assert rows.n_rows <= 1 + -(-2 * sum(lengths) // rows.width)
    assert dialogue_rows(turns_of([24] + [8] * 29)).n_rows < 20
