"""torch's GRU over packed rows, computed by the chain."""

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from dialogue_ser.nn.gru.packed import PackedGRU, _rows_of


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("n_layers", [1, 3])
@pytest.mark.filterwarnings("ignore:dropout option adds dropout after all but last")
def test_outputs_and_gradients_are_those_of_torch(n_layers: int, dropout: float, bidirectional: bool) -> None:
    torch.manual_seed(0)
    ours = PackedGRU(4, 3, n_layers, dropout=dropout, bidirectional=bidirectional).double()
    plain = torch.nn.GRU(4, 3, n_layers, dropout=dropout, bidirectional=bidirectional).double()
    plain.load_state_dict(ours.state_dict())
    x = torch.randn(12, 4, dtype=torch.float64, requires_grad=True)
    packed = PackedSequence(x, torch.tensor([4, 3, 3, 1, 1]))
    outputs, gradients = [], []
    for rnn in (ours, plain):
        torch.manual_seed(1)
        outputs.append(rnn(packed)[0].data)
        gradients.append(torch.autograd.grad(outputs[-1].sin().sum(), [x, *rnn.parameters()]))
    torch.testing.assert_close(*outputs, rtol=0, atol=1e-13)
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_the_plan_follows_each_sequence() -> None:
    names = ["a0", "b0", "c0", "d0", "a1", "b1", "c1", "a2", "b2", "c2", "a3", "a4"]
    rows = _rows_of(torch.tensor([4, 3, 3, 1, 1]))
    assert [names[row] for row in rows.previous] == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "a3"]
    assert [names[row] for row in rows.mirrored_N[:5]] == ["a4", "b2", "c2", "d0", "a3"]


def test_a_single_turn_has_no_step_before_it() -> None:
    rnn, x_TD = PackedGRU(4, 3, bidirectional=True), torch.randn(1, 4)
    plain = torch.nn.GRU(4, 3, bidirectional=True)
    plain.load_state_dict(rnn.state_dict())
    torch.testing.assert_close(rnn(pack_sequence([x_TD]))[0].data, plain(x_TD)[0])
