"""DialogueRNN as its published implementation computes it, with the parameter names of that implementation.

Time first, speakers one-hot over all parties, GRUCells applied to every party and masked afterwards, a history that
grows by concatenation, reversal dialogue by dialogue; slow on purpose. It shares no code with the package.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence


class PastAttention(nn.Module):
    """Attention over the states g so far; the kinds have their published names."""

    def __init__(self, kind: str, memory_dim: int, query_dim: int, inner_dim: int) -> None:
        super().__init__()
        self.kind = kind
        if kind == "simple":
            self.scalar = nn.Linear(memory_dim, 1, bias=False)
        elif kind == "concat":
            self.transform = nn.Linear(memory_dim + query_dim, inner_dim, bias=False)
            self.vector_prod = nn.Linear(inner_dim, 1, bias=False)
        elif kind != "dot":
            self.transform = nn.Linear(query_dim, memory_dim, bias=kind == "general2")

    def forward(self, memory_TBG: Tensor, x_BD: Tensor) -> Tensor:
        if self.kind == "simple":
            logits_TB = self.scalar(memory_TBG)[..., 0]
        elif self.kind == "concat":
            pairs = torch.cat([memory_TBG, x_BD.expand(len(memory_TBG), -1, -1)], dim=-1)
            logits_TB = self.vector_prod(torch.tanh(self.transform(pairs)))[..., 0]
        else:
            query_BG = x_BD if self.kind == "dot" else self.transform(x_BD)
            logits_TB = (memory_TBG * query_BG).sum(-1)
        return (torch.softmax(logits_TB, dim=0)[..., None] * memory_TBG).sum(0)


class Matching(nn.Module):
    """general2 over a padded sequence. The mask sets logits and weights to 0; the weights are then scaled."""

    def __init__(self, size: int, *, tanh: bool) -> None:
        super().__init__()
        self.transform = nn.Linear(size, size)
        self.tanh = tanh

    def forward(self, memory_TBE: Tensor, query_BE: Tensor, real_BT: Tensor) -> Tensor:
        logits_BT = torch.einsum("tbe,be->bt", memory_TBE, self.transform(query_BE)) * real_BT
        weights_BT = torch.softmax(torch.tanh(logits_BT) if self.tanh else logits_BT, dim=1) * real_BT
        weights_BT = weights_BT / weights_BT.sum(1, keepdim=True)
        return torch.einsum("bt,tbe->be", weights_BT, memory_TBE)


class Cell(nn.Module):
    """One turn of all dialogues."""

    def __init__(
        self, d: int, g: int, p: int, e: int, *, a: int, listeners: bool, attention: str, dropout: float
    ) -> None:
        super().__init__()
        self.g_cell = nn.GRUCell(d + p, g)
        self.p_cell = nn.GRUCell(d + g, p)
        self.e_cell = nn.GRUCell(p, e)
        if listeners:
            self.l_cell = nn.GRUCell(d + p, p)
        self.listeners = listeners
        self.dropout = nn.Dropout(dropout)
        self.attention = PastAttention(attention, g, d, a)

    def forward(
        self, x_BD: Tensor, speaks_BP: Tensor, past_TBG: Tensor, q_BPH: Tensor, e_BE: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        row, who = torch.arange(len(x_BD)), speaks_BP.argmax(1)
        n_parties = speaks_BP.shape[1]
        is_first = len(past_TBG) == 0
        zeros_BG = x_BD.new_zeros(len(x_BD), self.g_cell.hidden_size)
        g_BG = self.g_cell(torch.cat([x_BD, q_BPH[row, who]], dim=1), zeros_BG if is_first else past_TBG[-1])
        g_BG = self.dropout(g_BG)
        context_BG = zeros_BG if is_first else self.attention(past_TBG, x_BD)

        def every_party(cell: nn.GRUCell, given_BD: Tensor) -> Tensor:
            given = given_BD[:, None].expand(-1, n_parties, -1).flatten(0, 1)
            states: Tensor = self.dropout(cell(given, q_BPH.flatten(0, 1)))
            return states.view_as(q_BPH)

        spoken_BPH = every_party(self.p_cell, torch.cat([x_BD, context_BG], dim=1))
        heard_BPH = q_BPH
        if self.listeners:
            heard_BPH = every_party(self.l_cell, torch.cat([x_BD, spoken_BPH[row, who]], dim=1))
        q_BPH = torch.where(speaks_BP[..., None] > 0, spoken_BPH, heard_BPH)
        return g_BG, q_BPH, self.dropout(self.e_cell(q_BPH[row, who], e_BE))


class Direction(nn.Module):
    """The loop over turns."""

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.dialogue_cell = cell

    def forward(self, x_TBD: Tensor, speaks_TBP: Tensor) -> Tensor:
        cell = self.dialogue_cell
        _, n_dialogues, n_parties = speaks_TBP.shape
        past_TBG = x_TBD.new_zeros(0, n_dialogues, cell.g_cell.hidden_size)
        q_BPH = x_TBD.new_zeros(n_dialogues, n_parties, cell.p_cell.hidden_size)
        e_BE = x_TBD.new_zeros(n_dialogues, cell.e_cell.hidden_size)
        emotions = []
        for x_BD, speaks_BP in zip(x_TBD, speaks_TBP, strict=True):
            g_BG, q_BPH, e_BE = cell(x_BD, speaks_BP, past_TBG, q_BPH, e_BE)
            past_TBG = torch.cat([past_TBG, g_BG[None]])
            emotions.append(e_BE)
        return torch.stack(emotions)


class BiModel(nn.Module):
    """Both directions, attention over all e, two linear layers; ``tanh`` applies a tanh to its logits."""

    def __init__(
        self, d: int, g: int, p: int, e: int, h: int, n_classes: int, *,
        a: int = 5, listeners: bool = False, attention: str = "general", rate: float = 0.1,
        recurrent_rate: float | None = None, tanh: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.dropout, self.dropout_rec = nn.Dropout(rate), nn.Dropout(rate + 0.15)
        inside = rate if recurrent_rate is None else recurrent_rate
        self.dialog_rnn_f, self.dialog_rnn_r = (
            Direction(Cell(d, g, p, e, a=a, listeners=listeners, attention=attention, dropout=inside)) for _ in range(2)
        )
        self.linear = nn.Linear(2 * e, 2 * h)
        self.smax_fc = nn.Linear(2 * h, n_classes)
        self.matchatt = Matching(2 * e, tanh=tanh)

    def forward(self, x_TBD: Tensor, speaks_TBP: Tensor, real_BT: Tensor, *, over_emotions: bool = True) -> Tensor:
        """Log-probabilities ``[T, B, C]``."""
        lengths = real_BT.sum(1).int().tolist()

        def reverse(sequence_TBX: Tensor) -> Tensor:
            return pad_sequence([rows[:n].flip(0) for rows, n in zip(sequence_TBX.unbind(1), lengths, strict=True)])

        forward_TBE = self.dropout_rec(self.dialog_rnn_f(x_TBD, speaks_TBP))
        backward_TBE = self.dropout_rec(reverse(self.dialog_rnn_r(reverse(x_TBD), reverse(speaks_TBP))))
        e_TBE = torch.cat([forward_TBE, backward_TBE], dim=-1)
        if over_emotions:
            e_TBE = torch.stack([self.matchatt(e_TBE, e_BE, real_BT) for e_BE in e_TBE])
        hidden = self.dropout(torch.relu(self.linear(e_TBE)))
        return torch.log_softmax(self.smax_fc(hidden), dim=-1)
