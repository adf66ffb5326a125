"""The recurrence of COSMIC: what a turn changes, and where dropout acts. Its numbers: tests/models/published."""

import pytest
import torch
from torch import Tensor

from dialogue_ser.nn.recurrence import commonsense
from dialogue_ser.nn.recurrence.commonsense import CommonsenseRecurrence, PartySizes
from dialogue_ser.nn.recurrence.party_columns import plan_columns

SIZES = PartySizes(shared=4, internal=3, external=5, intent=2, emotion=4)
SPEAKERS, N_TURNS = torch.tensor([[0, 1, 1, 0, 2], [0, 0, 1, -1, -1]]), torch.tensor([5, 3])


def _recurrence(**options: object) -> CommonsenseRecurrence:
    torch.manual_seed(1)
    return CommonsenseRecurrence(6, {}, SIZES, attention="general", **options).double()  # type: ignore[arg-type]


def _parties(recurrence: CommonsenseRecurrence) -> list[Tensor]:
    """The states of all parties after every turn of the longer dialogue, forwards."""
    columns = plan_columns(SPEAKERS[:1], N_TURNS[:1], bidirectional=False, device=torch.device("cpu"))
    gates, query = recurrence.known_gates({"u": torch.randn(1, 5, 6, dtype=torch.float64)})
    states, found = recurrence.start(1), []
    for t, step in enumerate(columns):
        of_turn = {name: value[:, t : t + 1] for name, value in gates.items()}
        states, _ = recurrence.turn(of_turn, None if query is None else query[:, t : t + 1], states, step)
        found.append(states.parties[0, 0])
    return found


@pytest.mark.parametrize("listeners", [True, False])
def test_a_turn_changes_the_states_of_listeners_but_never_their_intents(listeners: bool) -> None:
    recurrence = _recurrence(listeners=listeners, bidirectional=False)
    after = _parties(recurrence)
    intent = SIZES.internal + SIZES.external
    assert torch.equal(after[1][1, :intent], after[2][1, :intent]) != listeners  # party 0 listens to turn 3
    assert torch.equal(after[1][1, intent:], after[2][1, intent:])
    assert not torch.equal(after[2][2], after[1][2]), "party 1 spoke"
    assert torch.equal(after[0][0, :intent], torch.zeros(intent, dtype=torch.float64)) != listeners  # the bystander


def test_states_that_no_turn_changes_are_not_dropped_again() -> None:
    recurrence = _recurrence(listeners=False, bidirectional=False, dropout=0.5).train()
    after = _parties(recurrence)
    assert 0 < (after[0][1] == 0).sum() < 10
    assert torch.equal(after[0][1], after[1][1])
    assert torch.equal(after[1][1], after[2][1])


def test_cells_of_a_turn_read_states_without_dropout_and_the_next_turn_reads_them_with_it() -> None:
    recurrence = _recurrence(bidirectional=False, dropout=0.9).train()
    columns = plan_columns(SPEAKERS[:1], N_TURNS[:1], bidirectional=False, device=torch.device("cpu"))
    gates, query = recurrence.known_gates({"u": torch.randn(1, 1, 6, dtype=torch.float64)})
    states, spoken = recurrence.turn(gates, query, recurrence.start(1), columns[0])
    kept = states.parties[0, 0, 1]
    assert (spoken != 0).all()
    assert (kept == 0).any()
    torch.testing.assert_close(kept[kept != 0], (spoken[0, 0] * 10)[kept != 0])


def test_emotion_states_are_dropped_with_one_mask_and_fed_back(monkeypatch: pytest.MonkeyPatch) -> None:
    recurrence = _recurrence(dropout=0.3).train()
    monkeypatch.setattr(commonsense, "draw_mask", lambda like, dropout, *shape: like.new_zeros(shape))
    e_BTE, _ = recurrence(torch.randn(2, 5, 6, dtype=torch.float64), {}, SPEAKERS, N_TURNS)
    assert e_BTE.abs().sum() == 0


def test_attention_of_both_directions_is_shown() -> None:
    recurrence = _recurrence()
    _, shown = recurrence(torch.randn(2, 5, 6, dtype=torch.float64), {}, SPEAKERS, N_TURNS, return_attention=True)
    expected = torch.tensor([[0, 1, 1, 1, 1], [0, 1, 1, 0, 0]], dtype=torch.float64)
    torch.testing.assert_close(shown["forward"].sum(-1), expected)
    assert shown["forward"].triu(0).abs().sum() == 0
    assert shown["backward"].tril(0).abs().sum() == 0
    torch.testing.assert_close(shown["backward"].sum(-1)[1], torch.tensor([1.0, 1, 0, 0, 0], dtype=torch.float64))
