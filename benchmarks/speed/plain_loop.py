"""DialogueRNN as a plain loop over turns: what `benchmarks.recurrence` compares the package's recurrence with.

We wrote it from docs/equations.md in the style of every published implementation. Tensors are padded, with the turn as
first axis. Speakers are one-hot rows over a fixed number of parties. Each state has one call of a GRUCell per turn. The
state of every party is computed at every turn, and the one-hot picks the right one. The history of global states
grows by concatenation, and attention reads all of it. The directions run one after the other. Nothing in it is slow
on purpose: one product with the one-hot picks the state of the speaker, where some implementations loop over the
dialogues.
"""

import torch
from torch import Tensor, nn

from dialogue_ser.nn.recurrence.dialogue_recurrence import DialogueRecurrence


class GeneralAttention(nn.Module):
    """Context of a turn over all earlier global states, with general attention: softmax((x W) · g_i)."""

    def __init__(self, memory_dim: int, query_dim: int) -> None:
        super().__init__()
        self.transform = nn.Linear(query_dim, memory_dim, bias=False)

    def forward(self, history_TBG: Tensor, x_BD: Tensor) -> Tensor:
        """Return the context ``[B, G]``."""
        logits_BT = torch.bmm(history_TBG.permute(1, 0, 2), self.transform(x_BD)[:, :, None])[:, :, 0]
        weights_BT = torch.softmax(logits_BT, dim=1)
        return torch.bmm(weights_BT[:, None], history_TBG.transpose(0, 1))[:, 0]


class PlainCell(nn.Module):
    """Compute one turn of all dialogues."""

    def __init__(
        self, input_dim: int, *, global_dim: int, party_dim: int, emotion_dim: int, listeners: bool, dropout: float
    ) -> None:
        super().__init__()
        self.g_cell = nn.GRUCell(input_dim + party_dim, global_dim)
        self.p_cell = nn.GRUCell(input_dim + global_dim, party_dim)
        self.l_cell = nn.GRUCell(input_dim + party_dim, party_dim) if listeners else None
        self.e_cell = nn.GRUCell(party_dim, emotion_dim)
        self.attention = GeneralAttention(global_dim, input_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x_BD: Tensor, speaks_BP: Tensor, history_TBG: Tensor | None, q_BPH: Tensor, e_BE: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the new global, party and emotion states."""
        n_dialogues, n_parties, _ = q_BPH.shape
        zeros_BG = x_BD.new_zeros(n_dialogues, self.g_cell.hidden_size)
        of_speaker_B1P = speaks_BP[:, None]
        speaker_BH = torch.bmm(of_speaker_B1P, q_BPH)[:, 0]
        g_BG = self.g_cell(torch.cat([x_BD, speaker_BH], dim=1), zeros_BG if history_TBG is None else history_TBG[-1])
        g_BG = self.dropout(g_BG)
        context_BG = zeros_BG if history_TBG is None else self.attention(history_TBG, x_BD)

        def of_every_party(cell: nn.GRUCell, given_BD: Tensor) -> Tensor:
            given_BPD = given_BD[:, None].expand(-1, n_parties, -1)
            states = cell(given_BPD.reshape(n_dialogues * n_parties, -1), q_BPH.reshape(n_dialogues * n_parties, -1))
            new_BPH: Tensor = self.dropout(states.view_as(q_BPH))
            return new_BPH

        spoken_BPH = of_every_party(self.p_cell, torch.cat([x_BD, context_BG], dim=1))
        listening_BPH = q_BPH
        if self.l_cell is not None:
            new_speaker_BH = torch.bmm(of_speaker_B1P, spoken_BPH)[:, 0]
            listening_BPH = of_every_party(self.l_cell, torch.cat([x_BD, new_speaker_BH], dim=1))
        is_speaker_BP1 = speaks_BP[:, :, None]
        q_BPH = listening_BPH * (1 - is_speaker_BP1) + spoken_BPH * is_speaker_BP1
        e_BE = self.e_cell(torch.bmm(of_speaker_B1P, q_BPH)[:, 0], e_BE)
        return g_BG, q_BPH, self.dropout(e_BE)


class PlainDialogueRNN(nn.Module):
    """The recurrence of DialogueRNN, both directions one after the other. All states start at zero.

    Args:
        input_dim: D of x.
        listeners: parties that listen are updated by a cell of their own; else they hold their states.
        global_dim: size of g.
        party_dim: size of a party's state.
        emotion_dim: size of e, per direction.
        dropout: on g, the parties' states and e, inside the recurrence.
    """

    def __init__(
        self,
        input_dim: int,
        *,
        listeners: bool,
        global_dim: int = 150,
        party_dim: int = 150,
        emotion_dim: int = 100,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.directions = nn.ModuleList(
            PlainCell(
                input_dim,
                global_dim=global_dim,
                party_dim=party_dim,
                emotion_dim=emotion_dim,
                listeners=listeners,
                dropout=dropout,
            )
            for _ in range(2)
        )

    def forward(self, x_TBD: Tensor, speaks_TBP: Tensor, n_turns_B: Tensor) -> Tensor:
        """Return the emotion states of both directions ``[T, B, 2E]``. Values on padding have no meaning.

        Args:
            x_TBD: inputs, padded.
            speaks_TBP: one-hot over the parties, 0 on padding.
            n_turns_B: real turns of each dialogue, on the host.
        """
        forwards, backwards = self.directions
        lengths = n_turns_B.tolist()
        e_TBE = self._walk(forwards, x_TBD, speaks_TBP)
        r_TBE = self._walk(backwards, reversed_dialogues(x_TBD, lengths), reversed_dialogues(speaks_TBP, lengths))
        return torch.cat([e_TBE, reversed_dialogues(r_TBE, lengths)], dim=-1)

    def _walk(self, cell: nn.Module, x_TBD: Tensor, speaks_TBP: Tensor) -> Tensor:
        assert isinstance(cell, PlainCell)
        history_TBG: Tensor | None = None
        q_BPH = x_TBD.new_zeros(*speaks_TBP.shape[1:], cell.p_cell.hidden_size)
        e_BE = x_TBD.new_zeros(x_TBD.shape[1], cell.e_cell.hidden_size)
        emotions = []
        for x_BD, speaks_BP in zip(x_TBD, speaks_TBP, strict=True):
            g_BG, q_BPH, e_BE = cell(x_BD, speaks_BP, history_TBG, q_BPH, e_BE)
            history_TBG = g_BG[None] if history_TBG is None else torch.cat([history_TBG, g_BG[None]])
            emotions.append(e_BE)
        return torch.stack(emotions)

    def load_into(self, ours: DialogueRecurrence) -> None:
        """Copy these weights into the recurrence of the package, so that both compute the same.

        Args:
            ours: of the same sizes, general attention, wired as DialogueRNN with or without listeners as here, built
                with ``initial_state="zeros"``.
        """
        assert not any(start.any() for start in (ours.initial_global, ours.initial_party, ours.initial_emotion)), (
            "the plain loop starts at zero: build the recurrence with initial_state='zeros'"
        )
        for direction, cell in enumerate(self.directions):
            assert isinstance(cell, PlainCell)
            d, party, memory = cell.attention.transform.in_features, cell.p_cell.hidden_size, cell.g_cell.hidden_size
            _load(ours, direction, "global", cell.g_cell, {"x": d, "party": party})
            _load(ours, direction, "speaker.party", cell.p_cell, {"x": d, "context": memory})
            _load(ours, direction, "emotion", cell.e_cell, {"party": party})
            if cell.l_cell is not None:
                _load(ours, direction, "listener.party", cell.l_cell, {"x": d, "speaker": party})
            with torch.no_grad():
                ours.attention.weight[direction].copy_(cell.attention.transform.weight.T)


def _load(ours: DialogueRecurrence, direction: int, name: str, cell: nn.GRUCell, reads: dict[str, int]) -> None:
    """One cell; ``reads`` gives the sizes of what it reads, in the order of its columns."""
    columns = torch.split(cell.weight_ih, list(reads.values()), dim=1)
    inputs = dict(zip(reads, columns, strict=True))
    ours.load_cell(direction, name, inputs, cell.weight_hh, cell.bias_ih, cell.bias_hh)


def reversed_dialogues(sequence_TBX: Tensor, lengths: list[int]) -> Tensor:
    """Reverse every dialogue within its own length. Padding is zero."""
    rows = [sequence_TBX[:n, b].flip(0) for b, n in enumerate(lengths)]
    padded = nn.utils.rnn.pad_sequence(rows)
    missing = sequence_TBX.shape[0] - padded.shape[0]
    return nn.functional.pad(padded, (0, 0, 0, 0, 0, missing)) if missing else padded


def one_hot_speakers(speaker_BT: Tensor, n_turns_B: Tensor, n_parties: int, dtype: torch.dtype) -> Tensor:
    """One-hot speakers for the loop ``[T, B, P]``, 0 on padding."""
    is_real_BT = torch.arange(speaker_BT.shape[1]) < n_turns_B[:, None]
    one_hot = nn.functional.one_hot(speaker_BT.clamp_min(0), n_parties).to(dtype)
    return (one_hot * is_real_BT[..., None]).transpose(0, 1).contiguous()
