"""The multiply-adds of a recurrence, and the GRU of torch with the same number, for `benchmarks.recurrence`."""

from collections.abc import Sequence

from torch import nn

from dialogue_ser.nn.recurrence.dialogue_recurrence import DialogueRecurrence


def listener_updates(speakers: Sequence[int]) -> int:
    """Updates of listeners that are used later, in one dialogue and one direction.

    A party that has spoken and will speak again counts. All parties that have not spoken yet count as one.

    >>> listener_updates([0, 1, 0]), listener_updates([0, 0, 0]), listener_updates([0, 1, 2])
    (2, 0, 2)
    """
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for turn, speaker in enumerate(speakers):
        first.setdefault(speaker, turn)
        last[speaker] = turn
    newest = max(first.values())
    return sum(
        sum(first[party] < turn < last[party] for party in first if party != speaker) + (newest > turn)
        for turn, speaker in enumerate(speakers)
    )


def per_turn(recurrence: DialogueRecurrence, updates: float) -> float:
    """Multiply-adds of one turn in one direction, without pointwise work and the sums of attention.

    Args:
        recurrence: its cells are counted as they are: what listeners hear is multiplied once for all of them.
        updates: listeners whose states change, on average over the turns.
    """
    attention = recurrence.attention.weight[0].numel() if hasattr(recurrence.attention, "weight") else 0
    total = float(attention)  # the query of matching kinds, the logit of simple ones
    for cell in ("global", *recurrence.wiring.cells, "emotion"):
        weights = recurrence.cell_weights(0, cell)
        total += sum(weight.numel() for weight in weights.inputs.values())
        total += weights.hidden.numel() * (updates if cell.startswith("listener.") else 1)
    return total


def average_updates(dialogues: Sequence[Sequence[int]]) -> float:
    """Listener updates per turn over some dialogues and both reading directions."""
    both = [(*speakers,) for speakers in dialogues] + [(*reversed(speakers),) for speakers in dialogues]
    return sum(map(listener_updates, both)) / sum(map(len, both))


def average_listeners(dialogues: Sequence[Sequence[int]]) -> float:
    """Parties that do not speak, per turn: the listener updates of the equations as they are written."""
    turns = sum(map(len, dialogues))
    return sum(len(speakers) * (len(set(speakers)) - 1) for speakers in dialogues) / turns


def equal_work_gru(multiply_adds: float, input_dim: int) -> nn.GRU:
    """The bidirectional GRU with the nearest number of multiply-adds per turn and direction.

    >>> equal_work_gru(3 * 32 * (10 + 32), input_dim=10).hidden_size
    32
    """
    hidden = min(range(1, 4096), key=lambda size: abs(3 * size * (input_dim + size) - multiply_adds))
    return nn.GRU(input_dim, hidden, bidirectional=True, batch_first=True)
