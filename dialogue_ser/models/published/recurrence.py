"""Published weights of a DialogueRNN (conv-emotion) as parameters of our dialogue recurrence."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from dialogue_ser.models.published.tensors import PublishedTensors
from dialogue_ser.nn.recurrence.dialogue_recurrence import DialogueRecurrence


class _Writer(nn.Module):
    """Writes the cells of a recurrence; as a module it can be called with tensors in place of the parameters."""

    def __init__(self, recurrence: DialogueRecurrence, published: Sequence[Mapping[str, "_Cell"]]) -> None:
        super().__init__()
        self.recurrence, self.published = recurrence, published

    def forward(self) -> None:
        for direction, cells in enumerate(self.published):
            for name, cell in cells.items():
                self.recurrence.write_cell(direction, name, *cell)


_Cell = tuple[Mapping[str, Tensor], Tensor, Tensor, Tensor]


def take_dialogue_rnn(
    found: PublishedTensors, recurrence: DialogueRecurrence, ours: str, directions: Sequence[str], in_dim: int
) -> None:
    """Take the cells and the general attention of a DialogueRNN, per direction.

    The values stay functions of the published tensors, so that gradients reach them.

    Args:
        found: the published tensors.
        recurrence: our recurrence, with the wiring of DialogueRNN and general attention.
        ours: name of the recurrence in the system, with a dot at its end.
        directions: beginning of the published names of each direction, e.g. ``dialog_rnn_f.``.
        in_dim: number of features of a turn.
    """
    cells = [_cells(found, recurrence, f"{direction}dialogue_cell.", in_dim) for direction in directions]
    values = {
        f"recurrence.{name}": torch.zeros_like(value, dtype=found.dtype)
        for name, value in recurrence.state_dict().items()
    }
    functional_call(_Writer(recurrence, cells), values)  # writes the tensors in place
    attention = [
        found.take(f"{direction}dialogue_cell.attention.transform.weight", recurrence.global_dim, in_dim).T
        for direction in directions
    ]
    values["recurrence.attention.weight"] = torch.stack(attention)
    found.values |= {f"{ours}{name.removeprefix('recurrence.')}": value for name, value in values.items()}


def _cells(found: PublishedTensors, recurrence: DialogueRecurrence, beginning: str, in_dim: int) -> dict[str, _Cell]:
    """Our name of a cell → its weights, of one direction."""
    g, q, e = recurrence.global_dim, recurrence.party_dim, recurrence.emotion_dim
    inputs = {
        "g_cell": ("global", {"x": in_dim, "party": q}, g),
        "p_cell": ("speaker.party", {"x": in_dim, "context": g}, q),
        "e_cell": ("emotion", {"party": q}, e),
    }
    if recurrence.wiring.updates_listeners:
        inputs["l_cell"] = ("listener.party", {"x": in_dim, "speaker": q}, q)
    cells: dict[str, _Cell] = {}
    for published, (name, sizes, size) in inputs.items():
        at = f"{beginning}{published}."
        columns = torch.split(found.take(f"{at}weight_ih", 3 * size, sum(sizes.values())), list(sizes.values()), dim=1)
        cells[name] = (
            dict(zip(sizes, columns, strict=True)),
            found.take(f"{at}weight_hh", 3 * size, size),
            found.take(f"{at}bias_ih", 3 * size),
            found.take(f"{at}bias_hh", 3 * size),
        )
    return cells
