import pytest
import torch

from benchmarks.speed.plain_loop import PlainDialogueRNN, one_hot_speakers, reversed_dialogues
from dialogue_ser.nn.recurrence.dialogue_recurrence import DialogueRecurrence
from dialogue_ser.nn.recurrence.wiring import dialogue_rnn

SIZES = {"global_dim": 7, "party_dim": 6, "emotion_dim": 4}
D, N_PARTIES = 5, 9


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    n_turns_B = torch.tensor([7, 1, 11, 4])
    speaker_BT = torch.randint(0, 4, (4, 11), generator=generator)
    speaker_BT = speaker_BT.masked_fill(torch.arange(11) >= n_turns_B[:, None], -1)
    return torch.randn(4, 11, D, generator=generator, dtype=torch.float64), speaker_BT, n_turns_B


@pytest.mark.parametrize("engine", ["manual", "autograd"])
@pytest.mark.parametrize("listeners", [False, True])
def test_plain_loop_and_recurrence_give_the_same_states_and_the_same_gradient_of_x(
    listeners: bool, engine: str
) -> None:
    torch.manual_seed(0)
    x_BTD, speaker_BT, n_turns_B = batch()
    plain = PlainDialogueRNN(D, listeners=listeners, dropout=0.3, **SIZES).double().eval()
    wiring = dialogue_rnn("update" if listeners else "hold")
    ours = DialogueRecurrence(D, wiring, dropout=0.3, initial_state="zeros", engine=engine, **SIZES).double().eval()
    speaks_TBP = one_hot_speakers(speaker_BT, n_turns_B, N_PARTIES, torch.float64)
    is_real_BT = speaker_BT >= 0

    def both() -> list[tuple[torch.Tensor, torch.Tensor]]:
        results = []
        for run in (
            lambda x: plain(x.transpose(0, 1), speaks_TBP, n_turns_B).transpose(0, 1),
            lambda x: ours(x, speaker_BT, n_turns_B)[0],
        ):
            x = x_BTD.clone().requires_grad_()
            e = run(x)[is_real_BT]
            (slope,) = torch.autograd.grad(e.sin().sum(), x)
            results.append((e, slope))
        return results

    (e_plain, _), (e_ours, _) = both()
    assert (e_plain - e_ours).abs().max() > 1e-3, "before the weights are copied they differ"
    plain.load_into(ours)
    (e_plain, slope_plain), (e_ours, slope_ours) = both()
    torch.testing.assert_close(e_ours, e_plain, rtol=0, atol=1e-12)
    torch.testing.assert_close(slope_ours, slope_plain, rtol=0, atol=1e-12)


def test_weights_are_not_given_to_a_recurrence_that_starts_elsewhere() -> None:
    plain = PlainDialogueRNN(D, listeners=False, **SIZES)
    with pytest.raises(AssertionError, match="initial_state"):
        plain.load_into(DialogueRecurrence(D, dialogue_rnn("hold"), **SIZES))


def test_dropout_acts_inside_the_loop() -> None:
    torch.manual_seed(0)
    x_BTD, speaker_BT, n_turns_B = batch()
    plain = PlainDialogueRNN(D, listeners=True, dropout=0.5, **SIZES).double()
    speaks_TBP = one_hot_speakers(speaker_BT, n_turns_B, N_PARTIES, torch.float64)
    once, again = (plain(x_BTD.transpose(0, 1), speaks_TBP, n_turns_B) for _ in range(2))
    assert not torch.equal(once, again)
    assert (once[0] == 0).any()


def test_each_dialogue_is_reversed_by_its_own_length_and_padding_stays_behind() -> None:
    sequence_TBX = torch.tensor([[1.0, 4.0], [2.0, 9.0], [3.0, 9.0], [9.0, 9.0]])[..., None]
    assert reversed_dialogues(sequence_TBX, [3, 1])[..., 0].T.tolist() == [[3, 2, 1, 0], [4, 0, 0, 0]]
