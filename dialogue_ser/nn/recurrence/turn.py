"""One turn of a dialogue recurrence for all active dialogues and both directions, written to be read.

The loop that autograd follows and the stream share it; :mod:`dialogue_ser.nn.recurrence.manual` computes the same,
faster.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from dialogue_ser.nn.attention import HistoryAttention, Running
from dialogue_ser.nn.gru.cells import gru
from dialogue_ser.nn.recurrence.manual import Columns, Weights
from dialogue_ser.nn.recurrence.wiring import Source, Wiring


@dataclass(frozen=True, kw_only=True)
class Cells:
    """What the turns of a batch have in common."""

    wiring: Wiring
    columns: Columns
    weights: Weights
    attention: HistoryAttention


class TurnInputs(NamedTuple):
    """What depends on x alone.

    Args:
        x_gates: cell → ``[n|r|z]`` from x and from the bias, of this turn's dialogues ``[K, n, 3H]``.
        query: what attention asks with ``[K, n, G]``, or None.
    """

    x_gates: Mapping[str, Tensor]
    query: Tensor | None


class TurnMasks(NamedTuple):
    """Dropout multipliers of one turn: of g ``[K, n, G]``, speakers ``[Z, n, P]`` and listeners ``[Z, L, P]``."""

    g: Tensor | None = None
    speaker: Tensor | None = None
    listener: Tensor | None = None


NO_MASKS = TurnMasks()


class After(NamedTuple):
    """What a turn leaves behind.

    Args:
        g: global states ``[K, n, G]``.
        history: earlier global states, this one included, as attention keeps them.
        speaker: new states of who spoke ``[Z, n, P]``.
        listener: new states of who listened ``[Z, L, P]``.
    """

    g: Tensor
    history: "Running | list[Tensor]"
    speaker: Tensor
    listener: Tensor


def turn(
    cells: Cells,
    given: TurnInputs,
    g_before: Tensor,
    history: "Running | list[Tensor] | None",
    speaker: Tensor,
    listener: Tensor,
    heard: Tensor,
    masks: TurnMasks = NO_MASKS,
) -> After:
    """One turn of every dialogue that still runs; equations (1) to (6) of EmotionRNN, or DialogueRNN's.

    Args:
        cells: weights.
        given: what x says.
        g_before: global states ``[K, n, G]``.
        history: earlier global states; None before the first turn.
        speaker: states of who speaks ``[Z, n, P]``.
        listener: states of who listens ``[Z, L, P]``.
        heard: for each listener, its turn in the flattened ``[Z·n]``.
        masks: dropout of this turn.
    """
    weights, planes = cells.weights, cells.wiring.planes
    n_directions, n, size_g = g_before.shape
    size = speaker.shape[-1]
    products = torch.bmm(speaker, weights.from_party)
    # (1) global state, from the speaker's previous states
    to_global = products[..., 3 * size :].view(n_directions, len(planes), n, -1).sum(1)
    gates_h = torch.bmm(g_before, weights.from_global[..., : 3 * size_g])
    g = gru(given.x_gates["global"] + to_global, _plus_m(gates_h, weights.global_bias_m), g_before)
    g = g if masks.g is None else g * masks.g
    # (2) context from strictly past global states
    context = cells.attention.read(history, given.query, n)
    history = cells.attention.write(history, g)
    products_of: dict[Source, Tensor] = {"g": torch.bmm(g, weights.from_global)}
    if context is not None and weights.from_context is not None:
        products_of["context"] = torch.bmm(context, weights.from_context)

    def input_gates(role: str) -> Tensor:
        """``[n|r|z]`` of the speakers' or listeners' cells, one row per turn ``[Z, n, 3P]``."""
        gates = []
        for plane in planes:
            cell = f"{role}.{plane.name}"
            total = given.x_gates[cell]
            for source in cells.wiring.cells[cell]:
                if source in products_of:
                    total = total + products_of[source][..., cells.columns.of[source][cell]]
            gates.append(total)
        return torch.stack(gates, dim=1).flatten(0, 1)

    # (3), (5) the speaker
    speaker = gru(input_gates("speaker"), _plus_m(products[..., : 3 * size], weights.speaker_bias_m), speaker)
    speaker = speaker if masks.speaker is None else speaker * masks.speaker
    # (4), (6) whoever listens and will be read again
    if weights.from_listener is not None and weights.listener_bias_m is not None and listener.shape[1]:
        said = input_gates("listener")
        if weights.from_heard is not None:
            said = said + torch.bmm(speaker, weights.from_heard)
        gates_x = said.flatten(0, 1)[heard].view(*listener.shape[:2], -1)
        gates_h = torch.bmm(listener, weights.from_listener)
        listener = gru(gates_x, _plus_m(gates_h, weights.listener_bias_m), listener)
        listener = listener if masks.listener is None else listener * masks.listener
    return After(g, history, speaker, listener)


def _plus_m(gates_h: Tensor, bias_m: Tensor) -> Tensor:
    """State products with the candidate's bias."""
    return gates_h + torch.nn.functional.pad(bias_m, (gates_h.shape[-1] - bias_m.shape[-1], 0))[:, None]
