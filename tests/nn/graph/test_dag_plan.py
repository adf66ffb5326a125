"""The steps of a layer over a directed acyclic graph: their rows, their cells and what a turn sees."""

import numpy as np
import torch

from dialogue_ser.nn.graph.dag_plan import dag_plan

# Two dialogues: two turns, then four turns A B B A of which each sees back to its speaker's last turn.
EDGES = np.array([[1, 3, 4, 5, 5, 5], [0, 2, 3, 2, 3, 4]])
IS_SAME = np.array([False, False, True, True, False, False])
ARRAYS = (np.array([0, 0, 1, 1, 1, 1]), np.array([0, 1, 0, 1, 2, 3]), np.array([2, 4]))


def test_a_step_has_a_turn_of_every_dialogue_that_goes_on_longest_first() -> None:
    plan = dag_plan(EDGES, IS_SAME, *ARRAYS, 4, torch.device("cpu"))
    assert plan.n_turns == [2, 2, 1, 1]
    assert plan.place_N.tolist() == [4, 0, 5, 1, 6, 7]


def test_cells_say_which_turns_are_seen_and_who_speaks_there() -> None:
    plan = dag_plan(EDGES, IS_SAME, *ARRAYS, 4, torch.device("cpu"))
    assert plan.first == [0, 0, 1, 0]
    assert plan.cells_per_step == [0, 2, 1, 3]
    assert plan.relation_C.tolist() == [1, 1, 2, 2, 1, 1]
    assert plan.cell_E.tolist() == [1, 0, 2, 3, 4, 5]
    assert plan.edge_E.tolist() == [4, 4 * 5, 4 * 6 + 1, 4 * 7, 4 * 7 + 1, 4 * 7 + 2]


def test_turns_that_see_nothing_and_batches_without_turns_have_no_cells() -> None:
    none = np.zeros((2, 0), dtype=np.int64)
    alone = dag_plan(none, none[0] > 0, *ARRAYS, 4, torch.device("cpu"))
    assert alone.cells_per_step == [0, 0, 0, 0]
    empty = dag_plan(none, none[0] > 0, none[0], none[0], none[0], 0, torch.device("cpu"))
    assert empty.n_turns == empty.cells_per_step == []
