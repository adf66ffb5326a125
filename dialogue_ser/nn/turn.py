"""One turn of EmotionRNN's recurrence, (1)–(6) of EQUATIONS.md A, for all active dialogues and both directions.

States of a step's speakers and listeners are rows of a pool ``[K, J, rows, H]``: K directions, J planes (self, inter).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from dialogue_ser.nn.attention import HistoryAttention, Running
from dialogue_ser.nn.cells import DropoutMasks, gru

SELF, INTER = 0, 1  # planes J of the party states


class Cells(NamedTuple):
    """The GRUs' weights, joined so that states which meet several of them are multiplied once; Z = directions · planes.

    Args:
        from_party: the speaker's S and I → its own gates, then those of g ``[Z, H, 3P + 3G]``.
        speaker_bias: on the speaker's recurrent gates ``[Z, 1, 3P]``.
        from_global: g → g's own gates, then the input gates of every party cell ``[K, G, 3G + 2·cells·3P]``.
        bias_global: of both ``[K, 1, …]``.
        from_context: a → input gates of the inter cells ``[K, G, cells·3P]``.
        listener_weight: recurrent weights of the listeners' cells ``[Z, H, 3P]``; None = listeners hold their states.
        listener_bias: of those ``[Z, 1, 3P]``, or None.
    """

    from_party: Tensor
    speaker_bias: Tensor
    from_global: Tensor
    bias_global: Tensor
    from_context: Tensor
    listener_weight: Tensor | None
    listener_bias: Tensor | None


class TurnInputs(NamedTuple):
    """What depends on x alone, computed before the turn.

    Args:
        x_global: input gates of g, bias included ``[K, n, 3G]``.
        x_self: input gates of the self cells ``[K, n, cells·3P]``.
        query: what attention asks with ``[K, n, G]``, or None.
    """

    x_global: Tensor
    x_self: Tensor
    query: Tensor | None


class State(NamedTuple):
    """What one turn hands to the next.

    Args:
        g_KNH: global states of the active dialogues.
        g_gates: their recurrent gates.
        pool_KJRH: states of this turn's speakers, then of the listeners.
        history: earlier global states as attention keeps them; None before the first turn.
    """

    g_KNH: Tensor
    g_gates: Tensor
    pool_KJRH: Tensor
    history: "Running | list[Tensor] | None"


def take(planes: Tensor, rows_KR: Tensor) -> Tensor:
    """Rows of ``[K, J, rows, H]``, the same of every plane J, each direction its own."""
    n_planes, size = planes.shape[1], planes.shape[-1]
    return planes.gather(2, rows_KR[:, None, :, None].expand(-1, n_planes, -1, size))


def turn(
    cells: Cells,
    attention: HistoryAttention,
    state: State,
    inputs: TurnInputs,
    source_KR: Tensor,
    heard_KL: Tensor,
    masks: DropoutMasks | None = None,
) -> State:
    """(1)–(6) of one turn of every dialogue that still runs.

    Args:
        cells: weights.
        attention: over past global states.
        state: after the turn before.
        inputs: of the n active dialogues.
        source_KR: rows of the pool that hold the n speakers, then the listeners.
        heard_KL: which active dialogue each listener hears.
        masks: dropout of this turn, or None.
    """
    n_directions, n, gates_p = inputs.x_self.shape[0], inputs.x_self.shape[1], cells.speaker_bias.shape[-1]
    taken_KJRH = take(state.pool_KJRH, source_KR)
    speaker_KJNH, listener_KJLH = taken_KJRH[:, :, :n], taken_KJRH[:, :, n:]
    products = torch.bmm(speaker_KJNH.flatten(0, 1), cells.from_party).view(n_directions, 2, n, -1)
    # (1) global state, from the speaker's previous states
    x_gates = inputs.x_global + products[:, SELF, :, gates_p:] + products[:, INTER, :, gates_p:]
    g_KNH = gru(x_gates, state.g_gates[:, :n], state.g_KNH[:, :n])
    if masks is not None:
        g_KNH = g_KNH * masks.global_KNH
    # (2) context from strictly past global states
    a_KNH = attention.read(state.history, inputs.query, n)
    history = attention.write(state.history, g_KNH)
    # input products of (3)–(6), and of (1) at the next step
    g_products = torch.baddbmm(cells.bias_global, g_KNH, cells.from_global)
    gates_g = inputs.x_global.shape[-1]
    g_gates, shared = g_products[..., :gates_g], g_products[..., gates_g:]
    inter = torch.zeros_like(inputs.x_self) if a_KNH is None else torch.bmm(a_KNH, cells.from_context)
    given_KJN = torch.stack([inputs.x_self, inter], dim=1)
    inputs_KJNG = shared.reshape(n_directions, n, 2, -1).transpose(1, 2) + given_KJN
    # (3), (5) the speaker
    gates_h = products[..., :gates_p] + cells.speaker_bias.view(n_directions, 2, 1, -1)
    speaker_KJNH = gru(inputs_KJNG[..., :gates_p], gates_h, speaker_KJNH)
    if masks is not None:
        speaker_KJNH = speaker_KJNH * masks.speaker_KJNH
    # (4), (6) whoever listens and will be read again
    if cells.listener_weight is not None and heard_KL.shape[1]:
        listener_KJLH = _listen(cells, listener_KJLH, take(inputs_KJNG[..., gates_p:], heard_KL))
        if masks is not None:
            listener_KJLH = listener_KJLH * masks.listener_KJNH
    return State(g_KNH, g_gates, torch.cat([speaker_KJNH, listener_KJLH], dim=2), history)


def _listen(cells: Cells, listener_KJLH: Tensor, gates_x: Tensor) -> Tensor:
    """(4) and (6): listeners hear the turn of their dialogue through the listener's cells."""
    assert cells.listener_weight is not None
    assert cells.listener_bias is not None
    gates_h = torch.baddbmm(cells.listener_bias, listener_KJLH.flatten(0, 1), cells.listener_weight)
    return gru(gates_x, gates_h.view(*listener_KJLH.shape[:-1], -1), listener_KJLH)
