"""Recurrences over the turns of dialogues and of single speakers, against cells that run turn by turn."""

import numpy as np
import pytest
import torch
from torch import Tensor

from dialogue_ser.nn.context import make_rnn, read_dialogues, read_sequences
from tests.support.published_models import run_rnn

LENGTHS = [3, 6, 1]


def _x(content: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    x_BTD = torch.full((len(LENGTHS), max(LENGTHS), 4), content, dtype=torch.float64)
    for b, n in enumerate(LENGTHS):
        x_BTD[b, :n] = torch.randn(n, 4, generator=generator, dtype=torch.float64)
    return x_BTD


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("n_layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_every_dialogue_is_read_over_its_own_turns(kind: str, n_layers: int, bidirectional: bool) -> None:
    rnn = make_rnn(kind, 4, 3, n_layers=n_layers, bidirectional=bidirectional).double()  # type: ignore[arg-type]
    h_BTH = read_dialogues(rnn, _x(float("nan")), torch.tensor(LENGTHS))
    for b, n in enumerate(LENGTHS):
        own = run_rnn(dict(rnn.state_dict()), "", kind, _x()[b, :n])
        torch.testing.assert_close(h_BTH[b, :n], own, rtol=0, atol=1e-13)
        assert (h_BTH[b, n:] == 0).all(), "padding gives exactly 0"


def test_padding_gets_no_gradient() -> None:
    rnn, x_BTD = make_rnn("gru", 4, 3).double(), _x().requires_grad_()
    read_dialogues(rnn, x_BTD, torch.tensor(LENGTHS)).sum().backward()
    assert x_BTD.grad is not None
    for b, n in enumerate(LENGTHS):
        assert x_BTD.grad[b, :n].abs().sum() > 0
        assert x_BTD.grad[b, n:].abs().sum() == 0


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_sequences_of_single_turns_are_read_in_their_own_order(kind: str) -> None:
    rnn = make_rnn(kind, 4, 3, n_layers=2).double()  # type: ignore[arg-type]
    x_ND = torch.randn(5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    sequence, step = np.array([0, 1, 1, 0, 2]), np.array([0, 1, 0, 1, 0])  # the second one comes in reverse
    h_NH = read_sequences(rnn, x_ND, sequence, step, np.array([2, 2, 1]))
    for nodes in ([0, 3], [2, 1], [4]):
        own = run_rnn(dict(rnn.state_dict()), "", kind, x_ND[nodes])
        torch.testing.assert_close(h_NH[nodes], own, rtol=0, atol=1e-13)


@pytest.mark.parametrize("n_layers", [1, 2])
@pytest.mark.filterwarnings("error")
def test_dropout_acts_between_layers_only(n_layers: int) -> None:
    torch.manual_seed(0)
    rnn = make_rnn("lstm", 4, 3, n_layers=n_layers, dropout=0.9).double()
    one, other = (read_dialogues(rnn, _x(), torch.tensor(LENGTHS)) for _ in range(2))
    assert torch.equal(one, other) == (n_layers == 1)
