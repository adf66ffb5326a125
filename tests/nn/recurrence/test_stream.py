"""A dialogue that is read turn by turn gives the results of the whole dialogue."""

from collections.abc import Callable

import pytest
import torch

from dialogue_ser.nn.attention import ATTENTION_KINDS
from dialogue_ser.nn.recurrence.dialogue_recurrence import DialogueRecurrence
from dialogue_ser.nn.recurrence.stream import RecurrenceStream
from dialogue_ser.nn.recurrence.wiring import Wiring, dialogue_rnn, emotion_rnn

EMOTION_RNN = emotion_rnn()
SPEAKERS = [0, 1, 0, 2, 1, 0, 3, 3, 0, 1]


def _recurrence(attention: str, wiring: Wiring = EMOTION_RNN) -> DialogueRecurrence:
    torch.manual_seed(7)
    sizes = {"global_dim": 6, "party_dim": 4, "emotion_dim": 3}
    recurrence = DialogueRecurrence(
        6,
        wiring,
        attention=attention,
        bidirectional=False,
        dropout=0.5,
        **sizes,
    )
    return recurrence.double().eval()


@pytest.mark.parametrize("listeners", ["update", "hold"])
@pytest.mark.parametrize("wire", [emotion_rnn, dialogue_rnn])
@pytest.mark.parametrize("attention", ATTENTION_KINDS)
def test_every_turn_equals_that_of_the_whole_dialogue(
    attention: str, wire: Callable[[str], Wiring], listeners: str
) -> None:
    recurrence = _recurrence(attention, wire(listeners))
    x_TD = torch.randn(len(SPEAKERS), 6, dtype=torch.float64)
    whole, _ = recurrence(x_TD[None], torch.tensor([SPEAKERS]), torch.tensor([len(SPEAKERS)]))
    stream = RecurrenceStream(recurrence)
    e_TE = torch.stack([stream.step(x_D, party) for x_D, party in zip(x_TD, SPEAKERS, strict=True)])
    torch.testing.assert_close(e_TE, whole[0], rtol=0, atol=1e-12)


def test_numbers_of_parties_do_not_matter_and_two_streams_are_independent() -> None:
    recurrence = _recurrence("simple")
    x_TD = torch.randn(len(SPEAKERS), 6, dtype=torch.float64)
    one, other = RecurrenceStream(recurrence), RecurrenceStream(recurrence)
    for x_D, party in zip(x_TD, SPEAKERS, strict=True):
        assert torch.equal(one.step(x_D, party), other.step(x_D, 90 - party))


def test_simple_attention_keeps_one_sum_however_long_the_dialogue() -> None:
    stream = RecurrenceStream(_recurrence("simple"))
    for turn in range(30):
        stream.step(torch.zeros(6, dtype=torch.float64), turn % 2)
    history = stream._history
    assert [part.shape[1] for part in history] == [1, 1, 1]


def test_a_recurrence_with_two_directions_cannot_stream() -> None:
    with pytest.raises(AssertionError, match="causal"):
        RecurrenceStream(DialogueRecurrence(6, emotion_rnn()))
