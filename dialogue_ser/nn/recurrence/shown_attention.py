"""The attention weights of a recurrence over past global states, for pages that show them."""

import torch
from torch import Tensor

from dialogue_ser.nn.attention import HistoryAttention


def shown_attention(attention: HistoryAttention, g_KBTH: Tensor, x_BTD: Tensor, n_turns_B: Tensor) -> dict[str, Tensor]:
    """The weights ``forward`` and ``backward`` ``[B, T, T]``. They are computed again, for all turns at once.

    Args:
        attention: the attention of the recurrence, with one or two directions.
        g_KBTH: global states in the order of the dialogue, 0 on padding.
        x_BTD: vectors of the turns, from which the queries are made.
        n_turns_B: number of real turns per dialogue, on the same device.
    """
    turn_T = torch.arange(x_BTD.shape[1], device=x_BTD.device)
    mirrored_BT = torch.where(turn_T < n_turns_B[:, None], n_turns_B[:, None] - 1 - turn_T, turn_T)

    def mirror(tensor: Tensor) -> Tensor:
        return tensor.gather(1, mirrored_BT[..., None].expand_as(tensor))

    is_bidirectional = len(g_KBTH) == 2
    g_steps, x_steps = [g_KBTH[0]], [x_BTD]
    if is_bidirectional:
        g_steps.append(mirror(g_KBTH[1]))
        x_steps.append(mirror(x_BTD))
    weights = attention.weights(torch.stack(g_steps), torch.stack(x_steps), n_turns_B)
    found = {"forward": weights[0]}
    if is_bidirectional:
        found["backward"] = mirror(mirror(weights[1]).transpose(1, 2)).transpose(1, 2)
    return found
