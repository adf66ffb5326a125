"""The plan keeps exactly the states somebody will read."""

import torch

from dialogue_ser.nn.recurrence.layout import build_layout


def test_packed_rows_visit_every_real_turn_once_per_direction() -> None:
    speaker = torch.tensor([[0, 1, -1], [0, 1, 0], [0, -1, -1]])
    layout = build_layout(speaker, torch.tensor([2, 3, 1]), bidirectional=True)
    assert layout.turn_of_row.tolist() == [[3, 0, 6, 4, 1, 5], [5, 1, 6, 4, 0, 3]]
    assert [step.n_active for step in layout.steps] == [3, 2, 1]
    assert layout.place_of_row.tolist() == [[0, 1, 2, 0, 1, 0], [0, 0, 0, 1, 1, 2]]
    assert layout.previous_row.tolist() == [0, 1, 3]


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


def test_listeners_that_hold_have_no_rows_and_their_states_stay_where_they_were() -> None:
    speaker = torch.tensor([[0, 1, 1, 0]])
    layout = build_layout(speaker, torch.tensor([4]), bidirectional=False, updates_listeners=False)
    assert layout.n_listener_updates == 0
    # row 0 is the start, row t + 1 what the speaker of turn t left behind
    assert [int(step.source) for step in layout.steps] == [0, 0, 2, 1]


def test_every_state_knows_which_later_updates_read_it() -> None:
    generator = torch.Generator().manual_seed(0)
    n_turns = torch.randint(1, 12, (9,), generator=generator)
    speaker = torch.randint(0, 5, (9, 11), generator=generator)
    for bidirectional in (True, False):
        layout = build_layout(speaker, n_turns, bidirectional=bidirectional, n_planes=2)
        n_z = 4 if bidirectional else 2
        readers: dict[int, list[int]] = {}
        offset = torch.arange(n_z)[:, None] * layout.n_states
        for step in layout.steps:
            written = (torch.arange(step.states.start, step.states.stop) + offset).flatten().tolist()
            for row, source in zip(written, step.source.tolist(), strict=True):
                readers.setdefault(source, []).append(row)
        for step in layout.steps:
            written = (torch.arange(step.states.start, step.states.stop) + offset).flatten()
            second = torch.zeros_like(written)
            second[step.read_twice] = step.second_reader
            for row, first, other in zip(written.tolist(), step.reader.tolist(), second.tolist(), strict=True):
                named = [reader for reader in (first, other) if reader % layout.n_states]
                assert named == readers.get(row, [])


def test_indices_of_a_whole_batch_are_those_of_its_steps() -> None:
    speaker, n_turns = torch.tensor([[0, 1, 0, 2], [1, 1, -1, -1]]), torch.tensor([4, 2])
    layout = build_layout(speaker, n_turns, bidirectional=True, n_planes=1)
    speakers = [step.source.view(2, -1)[:, : step.n_active] for step in layout.steps]
    listeners = [step.source.view(2, -1)[:, step.n_active :] for step in layout.steps]
    assert torch.equal(layout.speaker_source.view(2, -1), torch.cat(speakers, dim=1))
    assert torch.equal(layout.listener_source.view(2, -1), torch.cat(listeners, dim=1))
