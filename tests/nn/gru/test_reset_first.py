"""TensorFlow's GRU against its equations, one sequence and one step after the other."""

import torch
from torch import Tensor

from dialogue_ser.nn.gru.reset_first import ResetFirstGRU

SIZES = [3, 2, 2, 1]  # of three sequences of 4, 3 and 1 steps


def plain_step(gru: ResetFirstGRU, x: Tensor, h: Tensor) -> Tensor:
    """h' of one step, with matrices over [x; h] as TensorFlow has them."""
    size = gru.hidden_dim
    w, b = gru.input.weight, gru.input.bias
    w_gates = torch.cat([w[: 2 * size], gru.state_gates.weight], dim=1)
    w_candidate = torch.cat([w[2 * size :], gru.state_candidate.weight], dim=1)
    r, z = torch.sigmoid(w_gates @ torch.cat([x, h]) + b[: 2 * size]).chunk(2)
    n = torch.tanh(w_candidate @ torch.cat([x, r * h]) + b[2 * size :])
    return z * h + (1 - z) * n


def _gru() -> ResetFirstGRU:
    torch.manual_seed(3)
    return ResetFirstGRU(4, 3).double()


def _plain(gru: ResetFirstGRU, x_S4: Tensor, first: Tensor) -> Tensor:
    states, h, start = [], list(first), 0
    for size in SIZES:
        for k in range(size):
            h[k] = plain_step(gru, x_S4[start + k], h[k])
            states.append(h[k])
        start += size
    return torch.stack(states)


def test_states_and_gradients_are_those_of_the_equations() -> None:
    gru = _gru()
    x, first = torch.randn(8, 4).double().requires_grad_(), torch.randn(3, 3).double().requires_grad_()
    ours, right = gru(gru.project(x), SIZES, first), _plain(gru, x, first)
    torch.testing.assert_close(ours, right, rtol=0, atol=1e-14)
    weights = torch.randn(8, 3).double()
    wanted = [x, first, *gru.parameters()]
    for one, other in zip(
        torch.autograd.grad((ours * weights).sum(), wanted),
        torch.autograd.grad((right * weights).sum(), wanted),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-13)


def test_the_gradient_is_that_of_small_differences() -> None:
    gru = _gru()
    gates, first = torch.randn(8, 9).double().requires_grad_(), torch.randn(3, 3).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda g, f: gru(g, SIZES, f), (gates, first))


def test_the_first_state_is_zero() -> None:
    gru, x = _gru(), torch.randn(8, 4).double()
    torch.testing.assert_close(gru(gru.project(x), SIZES), _plain(gru, x, torch.zeros(3, 3).double()))


def test_steps_without_input_go_on_from_zero() -> None:
    gru = _gru()
    h, states = torch.zeros(3).double(), [torch.zeros(3).double()]
    for _ in range(4):
        h = plain_step(gru, torch.zeros(4).double(), h)
        states.append(h)
    torch.testing.assert_close(gru.idle_states(4), torch.stack(states))


def test_no_sequence_gives_no_states() -> None:
    gru = _gru()
    gates = gru.project(torch.zeros(0, 4).double())
    assert gru(gates, []).shape == (0, 3)
    gru(gates, []).sum().backward()


def test_biases_start_as_in_tensorflow() -> None:
    gru = ResetFirstGRU(5, 7)
    assert (gru.input.bias[:14] == 1).all()
    assert (gru.input.bias[14:] == 0).all()
    bound = (6 / (5 + 7 + 7)) ** 0.5
    assert gru.state_candidate.weight.abs().max() <= bound
    assert gru.input.weight[14:].abs().max() <= bound
