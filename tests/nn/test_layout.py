"""The plan keeps exactly the states somebody will read."""

import torch

from dialogue_ser.nn.layout import build_layout


def test_packed_rows_visit_every_real_turn_once_per_direction() -> None:
    speaker = torch.tensor([[0, 1, -1], [0, 1, 0], [0, -1, -1]])
    layout = build_layout(speaker, torch.tensor([2, 3, 1]), bidirectional=True)
    assert layout.turn_of_row.tolist() == [[3, 0, 6, 4, 1, 5], [5, 1, 6, 4, 0, 3]]
    assert layout.batch_sizes.tolist() == [3, 2, 1]
    for direction in range(2):
        turns = layout.turn_of_row[direction]
        assert layout.row_of_turn[direction][turns].tolist() == list(range(6))


def test_a_monologue_has_no_listeners() -> None:
    layout = build_layout(torch.zeros(2, 5, dtype=torch.long), torch.tensor([5, 3]), bidirectional=True)
    assert layout.n_listener_updates == 0


def test_silent_parties_share_one_row_however_many_they_are() -> None:
    """Ten parties enter one after the other and never speak again: one bystander, updated until the last enters."""
    layout = build_layout(torch.arange(10)[None], torch.tensor([10]), bidirectional=False)
    assert [step.n_listeners for step in layout.steps] == [1] * 9 + [0]


def test_a_party_that_never_speaks_again_costs_nothing() -> None:
    speaker = torch.tensor([[0, 1, 2, 2, 2, 2, 0]])
    layout = build_layout(speaker, torch.tensor([7]), bidirectional=False)
    # party 0 listens at steps 1–5, the bystander until party 2 enters at step 2, party 1 never
    assert [step.n_listeners for step in layout.steps] == [1, 2, 1, 1, 1, 1, 0]


def test_renaming_parties_leaves_the_speakers_sources_unchanged() -> None:
    n_turns = torch.tensor([6])
    one = build_layout(torch.tensor([[0, 1, 0, 2, 1, 0]]), n_turns, bidirectional=False)
    other = build_layout(torch.tensor([[7, 0, 7, 3, 0, 7]]), n_turns, bidirectional=False)
    assert [step.n_listeners for step in one.steps] == [step.n_listeners for step in other.steps] == [1, 2, 2, 1, 1, 0]
