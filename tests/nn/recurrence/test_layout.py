"""A layout keeps exactly the states that a later step uses."""

import torch
from torch import Tensor

from dialogue_ser.nn.recurrence.layout import PackedLayout, build_layout


def test_packed_rows_visit_every_real_turn_once_per_direction() -> None:
    speaker = torch.tensor([[0, 1, -1], [0, 1, 0], [0, -1, -1]])
    layout = build_layout(speaker, torch.tensor([2, 3, 1]), bidirectional=True)
    assert layout.turn_of_row.tolist() == [[3, 0, 6, 4, 1, 5], [5, 1, 6, 4, 0, 3]]
    assert [step.n_active for step in layout.steps] == [3, 2, 1]
    assert layout.dialogue_and_step.tolist() == [[0, 1, 2, 0, 1, 0], [0, 0, 0, 1, 1, 2]]
    assert layout.previous_row.tolist() == [0, 1, 3]


def test_a_monologue_has_no_listeners() -> None:
    layout = build_layout(torch.zeros(2, 5, dtype=torch.long), torch.tensor([5, 3]), bidirectional=True)
    assert layout.n_listener_updates == 0


def test_silent_parties_share_one_row_however_many_they_are() -> None:
    """Ten parties speak once each: there is one bystander, which is updated until the last of them has spoken."""
    layout = build_layout(torch.arange(10)[None], torch.tensor([10]), bidirectional=True)
    assert [step.n_listeners for step in layout.steps] == [1] * 9 + [0]


def test_a_party_that_never_speaks_again_costs_nothing() -> None:
    speaker = torch.tensor([[0, 1, 2, 2, 2, 2, 0]])
    layout = build_layout(speaker, torch.tensor([7]), bidirectional=True)
    # Forwards, party 0 listens at steps 1–5, the bystander at steps 0 and 1, and party 1 never. Backwards, party 0
    # listens at steps 1–5 too, and the bystander at steps 0–4. The larger number of the two directions counts.
    assert [step.n_listeners for step in layout.steps] == [1, 2, 2, 2, 2, 1, 0]


def test_renaming_parties_leaves_the_number_of_listeners_unchanged() -> None:
    n_turns = torch.tensor([6])
    one = build_layout(torch.tensor([[0, 1, 0, 1, 2, 0]]), n_turns, bidirectional=True)
    other = build_layout(torch.tensor([[7, 0, 7, 0, 3, 7]]), n_turns, bidirectional=True)
    assert [step.n_listeners for step in one.steps] == [step.n_listeners for step in other.steps] == [1, 2, 2, 2, 1, 0]


def test_one_direction_alone_never_looks_ahead() -> None:
    """Two dialogues with the same past and different futures have the same rows as long as they are equal."""
    n_turns = torch.tensor([5])
    one = build_layout(torch.tensor([[0, 1, 0, 2, 1]]), n_turns, bidirectional=False)
    other = build_layout(torch.tensor([[0, 1, 0, 0, 0]]), n_turns, bidirectional=False)
    for ours, theirs in zip(one.steps[:3], other.steps[:3], strict=True):
        assert torch.equal(ours.states_before, theirs.states_before)
        assert torch.equal(ours.turn_of_listener, theirs.turn_of_listener)


def test_listeners_that_keep_their_states_get_no_new_rows() -> None:
    speaker = torch.tensor([[0, 1, 1, 0]])
    layout = build_layout(speaker, torch.tensor([4]), bidirectional=False, updates_listeners=False)
    assert layout.n_listener_updates == 0
    # row 0 is the first state, row t + 1 the state of the speaker after turn t
    assert [int(step.states_before) for step in layout.steps] == [0, 0, 2, 1]


def _written_rows(layout: PackedLayout, n_z: int) -> list[Tensor]:
    """Return the flat state rows that each step writes: the rows of the speakers, then those of the listeners."""
    offset, start, written = torch.arange(n_z)[:, None] * layout.n_states, 1, []
    for step in layout.steps:
        end = start + step.n_active + step.n_listeners
        written.append((torch.arange(start, end) + offset).flatten())
        start = end
    return written


def test_every_state_has_the_updates_that_use_it() -> None:
    generator = torch.Generator().manual_seed(0)
    n_turns = torch.randint(1, 12, (9,), generator=generator)
    speaker = torch.randint(0, 5, (9, 11), generator=generator)
    for bidirectional in (True, False):
        layout = build_layout(speaker, n_turns, bidirectional=bidirectional, n_planes=2)
        written = _written_rows(layout, n_z=4 if bidirectional else 2)
        uses: dict[int, list[int]] = {}
        for step, rows in zip(layout.steps, written, strict=True):
            for row, before in zip(rows.tolist(), step.states_before.tolist(), strict=True):
                uses.setdefault(before, []).append(row)
        for step, rows in zip(layout.steps, written, strict=True):
            second_use = torch.zeros_like(rows)
            second_use[step.used_twice] = step.second_use
            for row, first, second in zip(rows.tolist(), step.first_use.tolist(), second_use.tolist(), strict=True):
                found = [use for use in (first, second) if use % layout.n_states]
                assert found == uses.get(row, [])


def test_indices_of_a_whole_batch_are_those_of_its_steps() -> None:
    speaker, n_turns = torch.tensor([[0, 1, 0, 2], [1, 1, -1, -1]]), torch.tensor([4, 2])
    layout = build_layout(speaker, n_turns, bidirectional=True, n_planes=1)
    speakers = [step.states_before.view(2, -1)[:, : step.n_active] for step in layout.steps]
    listeners = [step.states_before.view(2, -1)[:, step.n_active :] for step in layout.steps]
    assert torch.equal(layout.speaker_states_before.view(2, -1), torch.cat(speakers, dim=1))
    assert torch.equal(layout.listener_states_before.view(2, -1), torch.cat(listeners, dim=1))
