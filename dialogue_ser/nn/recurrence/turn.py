"""One turn of a dialogue recurrence, for all active dialogues and both directions, written to be easy to read.

The autograd engine and the stream use this module. :mod:`dialogue_ser.nn.recurrence.manual` computes the same turn
faster.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from dialogue_ser.nn.attention import HistoryAttention, RunningMean
from dialogue_ser.nn.gru.cells import gru
from dialogue_ser.nn.recurrence.manual import Columns, Weights
from dialogue_ser.nn.recurrence.wiring import CellInput, Wiring


@dataclass(frozen=True, kw_only=True)
class Cells:
    """The cells of a recurrence: how they are wired, and their weights. All turns of a batch share them."""

    wiring: Wiring
    columns: Columns
    weights: Weights
    attention: HistoryAttention


class TurnInputs(NamedTuple):
    """The products with x, which need no state.

    Args:
        x_gates: cell → ``[n|r|z]`` from x and from the bias, one row per turn ``[K, n, 3H]``.
        query: query of the attention over past states ``[K, n, G]``, or None if the attention has no query.
    """

    x_gates: Mapping[str, Tensor]
    query: Tensor | None


class TurnMasks(NamedTuple):
    """Dropout multipliers of one turn: of g ``[K, n, G]``, speakers ``[Z, n, P]`` and listeners ``[Z, L, P]``."""

    g: Tensor | None = None
    speaker: Tensor | None = None
    listener: Tensor | None = None


NO_MASKS = TurnMasks()


class TurnResult(NamedTuple):
    """The states after a turn.

    Args:
        g: global states ``[K, n, G]``.
        history: global states up to this turn, in the form that attention keeps.
        speaker: new states of the speakers ``[Z, n, P]``.
        listener: new states of the listeners ``[Z, L, P]``.
    """

    g: Tensor
    history: "RunningMean | list[Tensor]"
    speaker: Tensor
    listener: Tensor


def turn(
    cells: Cells,
    inputs: TurnInputs,
    g_before: Tensor,
    history: "RunningMean | list[Tensor] | None",
    speaker: Tensor,
    listener: Tensor,
    turn_of_listener: Tensor,
    masks: TurnMasks = NO_MASKS,
) -> TurnResult:
    """Compute one turn of every active dialogue: equations (1) to (6) of EmotionRNN, or those of DialogueRNN.

    Args:
        cells: the cells and their weights.
        inputs: products with x of this turn.
        g_before: global states before the turn ``[K, n, G]``.
        history: earlier global states; None at the first turn.
        speaker: states of the speakers before the turn ``[Z, n, P]``.
        listener: states of the listeners before the turn ``[Z, L, P]``.
        turn_of_listener: for each listener, its turn in the flattened ``[Z·n]``.
        masks: dropout multipliers of this turn.
    """
    to_speaker, to_global = torch.bmm(speaker, cells.weights.from_party).tensor_split((3 * speaker.shape[-1],), dim=-1)
    g = _with_dropout(_global_states(cells, inputs, g_before, to_global), masks.g)  # (1)
    context = cells.attention.read(history, inputs.query, g.shape[1])  # (2)
    history = cells.attention.write(history, g)
    products: dict[CellInput, Tensor] = {"g": torch.bmm(g, cells.weights.from_global)}
    if context is not None and cells.weights.from_context is not None:
        products["context"] = torch.bmm(context, cells.weights.from_context)
    gates_x = _input_gates(cells, "speaker", inputs, products)
    gates_h = _add_bias_of_m(to_speaker, cells.weights.speaker_bias_m)
    speaker = _with_dropout(gru(gates_x, gates_h, speaker), masks.speaker)  # (3), (5)
    if cells.wiring.updates_listeners and listener.shape[1]:
        gates_x = _listener_gates(cells, inputs, products, speaker).flatten(0, 1)[turn_of_listener]
        listener = _with_dropout(_listener_states(cells, gates_x, listener), masks.listener)  # (4), (6)
    return TurnResult(g, history, speaker, listener)


def _global_states(cells: Cells, inputs: TurnInputs, g_before: Tensor, to_global: Tensor) -> Tensor:
    """Return the new global states ``[K, n, G]``, given the products with the speakers' states ``[Z, n, 3G]``."""
    weights, (n_directions, n, size) = cells.weights, g_before.shape
    over_planes = to_global.view(n_directions, -1, n, 3 * size).sum(1)
    gates_h = torch.bmm(g_before, weights.from_global[..., : 3 * size])
    return gru(inputs.x_gates["global"] + over_planes, _add_bias_of_m(gates_h, weights.global_bias_m), g_before)


def _input_gates(cells: Cells, role: str, inputs: TurnInputs, products: Mapping[CellInput, Tensor]) -> Tensor:
    """Return ``[n|r|z]`` of the speakers' or the listeners' cells from x, g and context ``[Z, n, 3P]``."""
    gates = []
    for plane in cells.wiring.planes:
        cell = f"{role}.{plane.name}"
        total = inputs.x_gates[cell]
        for cell_input in cells.wiring.cells[cell]:
            if cell_input in products:
                total = total + products[cell_input][..., cells.columns.of[cell_input][cell]]
        gates.append(total)
    return torch.stack(gates, dim=1).flatten(0, 1)


def _listener_gates(cells: Cells, inputs: TurnInputs, products: Mapping[CellInput, Tensor], speaker: Tensor) -> Tensor:
    """Return ``[n|r|z]`` of the listeners' cells, one row per turn, because all listeners of a turn read the same."""
    gates = _input_gates(cells, "listener", inputs, products)
    from_speaker = cells.weights.from_heard
    return gates if from_speaker is None else gates + torch.bmm(speaker, from_speaker)


def _listener_states(cells: Cells, gates_x: Tensor, listener: Tensor) -> Tensor:
    """Return the new states of the listeners ``[Z, L, P]``."""
    weights = cells.weights
    assert weights.from_listener is not None
    assert weights.listener_bias_m is not None
    gates_h = torch.bmm(listener, weights.from_listener)
    return gru(gates_x.view(*listener.shape[:2], -1), _add_bias_of_m(gates_h, weights.listener_bias_m), listener)


def _with_dropout(state: Tensor, mask: Tensor | None) -> Tensor:
    return state if mask is None else state * mask


def _add_bias_of_m(gates_h: Tensor, bias_m: Tensor) -> Tensor:
    """Add the bias of m to the products ``[r|z|m]`` with a state."""
    return gates_h + torch.nn.functional.pad(bias_m, (gates_h.shape[-1] - bias_m.shape[-1], 0))[:, None]
