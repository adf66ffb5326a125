"""CMN and ICON as published, one query after the other, over windows of `history` places (zeros where nobody spoke)."""

import torch
from torch import Tensor

from dialogue_ser.models.recurrent.cmn import CMN
from dialogue_ser.models.recurrent.icon import ICON
from dialogue_ser.nn.gru.reset_first import ResetFirstGRU
from tests.nn.gru.test_reset_first import plain_step


def scores(system: CMN | ICON, x_TD: Tensor, speakers: str, turn: int) -> Tensor:
    """Scores of one turn of a dialogue, from the fused vectors of all turns."""
    history = system.config.history
    places = [turn - history + k for k in range(history)]  # oldest first, the last one is the turn before
    is_there = torch.tensor([place >= 0 for place in places])
    is_own = torch.tensor([place >= 0 and speakers[place] == speakers[turn] for place in places])
    x = torch.stack([x_TD[place] if place >= 0 else torch.zeros_like(x_TD[0]) for place in places])
    q = torch.tanh(system.query(x_TD[turn]))
    own, others = _masked(system.own, x, is_own), _masked(system.others, x, is_there & ~is_own)
    n_read = history if system.config.window_padding else int(is_there.sum())
    if isinstance(system, CMN):
        memories = [
            _all_steps(system.own_memory, torch.tanh(own), n_read),
            _all_steps(system.others_memory, torch.tanh(others), n_read),
        ]
    else:
        memories = [_all_steps(system.first_memory, torch.tanh(own + others), n_read)]
    for hop in range(system.config.hops):
        if isinstance(system, ICON) and hop:
            assert system.next_memory is not None
            memories = [_all_steps(system.next_memory, memories[0] * is_there[:, None], n_read)]
        read = torch.zeros_like(q)
        for memory in memories:
            output = memory * is_there[:, None]
            if is_there.any():
                weights = torch.softmax(torch.tanh(memory @ q).masked_fill(~is_there, -torch.inf), 0)
                read = read + weights @ output
        q = torch.tanh(q + read)
    return system.head(q)  # type: ignore[no-any-return]


def _masked(gru: ResetFirstGRU, x: Tensor, mask: Tensor) -> Tensor:
    """The outputs of a recurrence that keeps its state and gives zeros where the mask is 0."""
    h, outputs = x.new_zeros(gru.hidden_dim), []
    for step, is_on in zip(x, mask, strict=True):
        if is_on:
            h = plain_step(gru, step, h)
        outputs.append(h if is_on else torch.zeros_like(h))
    return torch.stack(outputs)


def _all_steps(gru: ResetFirstGRU, x: Tensor, n_read: int) -> Tensor:
    """The outputs of a recurrence over the last ``n_read`` places."""
    h, outputs = x.new_zeros(gru.hidden_dim), []
    for place, step in enumerate(x):
        if place >= len(x) - n_read:
            h = plain_step(gru, step, h)
        outputs.append(h)
    return torch.stack(outputs)
