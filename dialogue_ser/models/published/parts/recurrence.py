"""Published weights of a DialogueRNN (conv-emotion) as parameters of our dialogue recurrence."""

from collections.abc import Sequence

import torch

from dialogue_ser.models.published.parts.tensors import PublishedTensors
from dialogue_ser.nn.recurrence.dialogue_recurrence import DialogueRecurrence

#: Our name of a cell → its published name, and what it reads, in the order of the columns of its matrix.
CELLS = {
    "global": ("g_cell", ("x", "party")),
    "speaker.party": ("p_cell", ("x", "context")),
    "listener.party": ("l_cell", ("x", "speaker")),
    "emotion": ("e_cell", ("party",)),
}


def take_cells(
    found: PublishedTensors, recurrence: DialogueRecurrence, ours: str, directions: Sequence[str], input_dim: int
) -> None:
    """Take the cells of all directions, which our recurrence stores joined. Its first states must be zeros.

    The values stay functions of the published tensors, so that gradients reach them.

    Args:
        found: the published tensors.
        recurrence: our recurrence, with the wiring of DialogueRNN.
        ours: name of the recurrence in the system, with a dot at its end.
        directions: beginning of the published names of each direction, e.g. ``dialog_rnn_f.dialogue_cell.``.
        input_dim: number of features of a turn.
    """
    sizes = {"x": input_dim, "context": recurrence.global_dim}
    hidden_dims = {"global": recurrence.global_dim, "emotion": recurrence.emotion_dim}
    joined = {
        name: torch.zeros(value.shape, dtype=found.dtype)
        for name, value in recurrence.named_parameters()
        if not name.startswith("attention.")
    }
    for direction, beginning in enumerate(directions):
        for cell in ("global", "emotion", *recurrence.wiring.cells):
            name, read = CELLS[cell]
            widths = [sizes.get(cell_input, recurrence.party_dim) for cell_input in read]
            size = hidden_dims.get(cell, recurrence.party_dim)
            columns = found.take(f"{beginning}{name}.weight_ih", 3 * size, sum(widths))
            inputs = dict(zip(read, torch.split(columns, widths, dim=1), strict=True))
            hidden = found.take(f"{beginning}{name}.weight_hh", 3 * size, size)
            bias_x, bias_h = (found.take(f"{beginning}{name}.bias_{kind}", 3 * size) for kind in ("ih", "hh"))
            recurrence.load_cell(direction, cell, inputs, hidden, bias_x, bias_h, into=joined)
    found.values |= {f"{ours}{name}": value for name, value in joined.items()}
