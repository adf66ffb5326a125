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
    layout = build_layout(torch.arange(10)[None], torch.tensor([10]), bidirectional=True)
    assert [step.n_listeners for step in layout.steps] == [1] * 9 + [0]


def test_a_party_that_never_speaks_again_costs_nothing() -> None:
    speaker = torch.tensor([[0, 1, 2, 2, 2, 2, 0]])
    layout = build_layout(speaker, torch.tensor([7]), bidirectional=True)
    # forwards party 0 listens at steps 1–5, the bystander at 0 and 1, party 1 never; backwards party 0 listens at steps
    # 1–5 as well and the bystander at 0–4: the larger direction counts
    assert [step.n_listeners for step in layout.steps] == [1, 2, 2, 2, 2, 1, 0]


def test_renaming_parties_leaves_the_speakers_sources_unchanged() -> None:
    n_turns = torch.tensor([6])
    one = build_layout(torch.tensor([[0, 1, 0, 1, 2, 0]]), n_turns, bidirectional=True)
    other = build_layout(torch.tensor([[7, 0, 7, 0, 3, 7]]), n_turns, bidirectional=True)
    assert [step.n_listeners for step in one.steps] == [step.n_listeners for step in other.steps] == [1, 2, 2, 2, 1, 0]


def test_one_direction_alone_never_looks_ahead() -> None:
    """Two futures, one past: the same rows are kept up to the point where they part."""
    n_turns = torch.tensor([5])
    one = build_layout(torch.tensor([[0, 1, 0, 2, 1]]), n_turns, bidirectional=False)
    other = build_layout(torch.tensor([[0, 1, 0, 0, 0]]), n_turns, bidirectional=False)
    for ours, theirs in zip(one.steps[:3], other.steps[:3], strict=True):
        assert torch.equal(ours.source, theirs.source)
        assert torch.equal(ours.heard, theirs.heard)
