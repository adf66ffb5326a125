"""The columns of the parties' states: a new party begins as the bystander, and only who equals whom matters."""

import torch

from dialogue_ser.nn.recurrence.party_columns import ColumnStep, plan_columns

CPU = torch.device("cpu")


def _columns(step: ColumnStep, flat: torch.Tensor, n_columns: int) -> list[list[int]]:
    """Column of each direction and active dialogue."""
    return [
        [int(place) - row * n_columns for row, place in enumerate(flat.tolist())][k : k + step.n_active]
        for k in range(0, len(flat), step.n_active)
    ]


def test_a_party_reads_the_bystander_first_and_then_its_own_column() -> None:
    speaker_BT = torch.tensor([[7, -1, -1, -1, -1], [4, 2, 4, 9, 2]])  # the longer dialogue comes first
    steps = plan_columns(speaker_BT, torch.tensor([1, 5]), bidirectional=True, device=CPU)
    assert [step.n_active for step in steps] == [2, 1, 1, 1, 1]
    assert [(step.n_columns, step.n_columns_after) for step in steps] == [(1, 2), (2, 3), (3, 4), (4, 4), (4, 4)]
    read = [_columns(step, step.read, step.n_columns) for step in steps]
    write = [_columns(step, step.write, step.n_columns_after) for step in steps]
    assert [forward[0] for forward, _ in read] == [0, 0, 1, 0, 2]
    assert [forward[0] for forward, _ in write] == [1, 2, 1, 3, 2]
    assert [backward[0] for _, backward in read] == [0, 0, 0, 1, 3]  # 2 9 4 2 4
    assert [backward[0] for _, backward in write] == [1, 2, 3, 1, 3]
    assert [row[1] for row in (*read[0], *write[0])] == [0, 0, 1, 1]


def test_the_plan_knows_who_equals_whom_and_nothing_else() -> None:
    n_turns = torch.tensor([5, 3])
    plans = [
        plan_columns(torch.tensor(speakers), n_turns, bidirectional=False, device=CPU)
        for speakers in ([[0, 1, 0, 2, 1], [0, 0, 1, -1, -1]], [[8, 3, 8, 0, 3], [5, 5, 0, 99, 0]])
    ]
    for one, other in zip(*plans, strict=True):
        assert one[:3] == other[:3]
        assert torch.equal(one.read, other.read)
        assert torch.equal(one.write, other.write)
