"""What reads the turns of a dialogue before a graph: a recurrence, or nothing but a linear layer."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from dialogue_ser.nn.context import make_rnn, read_dialogues
from dialogue_ser.nn.recurrence.dialogue_recurrence import DialogueRecurrence
from dialogue_ser.nn.recurrence.stream import RecurrenceStream
from dialogue_ser.nn.recurrence.wiring import Listeners, dialogue_rnn
from dialogue_ser.tensors import FeaturesBTD, HiddenBTH, SpeakerBT, TurnsB

ContextKind = Literal["lstm", "gru", "dialogue-rnn", "none"]


class TurnContext(nn.Module):
    """States of all turns in the context of their dialogue.

    Args:
        kind: lstm, gru, dialogue-rnn, or none (a linear layer).
        in_dim: number of features of a turn.
        dim: number of units per direction; none has as many as two directions unless it is causal.
        n_layers: number of layers of lstm and gru.
        global_dim: number of units of the global state of dialogue-rnn.
        party_dim: number of units of the state of a party of dialogue-rnn.
        listeners: whether dialogue-rnn updates the states of listeners.
        dropout: dropout rate between the layers of lstm and gru, and inside dialogue-rnn.
        causal: read forwards only.
    """

    def __init__(
        self,
        kind: ContextKind,
        in_dim: int,
        dim: int,
        *,
        n_layers: int,
        global_dim: int,
        party_dim: int,
        listeners: Listeners,
        dropout: float,
        causal: bool,
    ) -> None:
        super().__init__()
        self.out_dim = dim if causal else 2 * dim
        if kind == "none":
            self.reader: nn.Module = nn.Linear(in_dim, self.out_dim)
        elif kind == "dialogue-rnn":
            self.reader = DialogueRecurrence(
                in_dim,
                dialogue_rnn(listeners),
                global_dim=global_dim,
                party_dim=party_dim,
                emotion_dim=dim,
                attention="general",
                dropout=dropout,
                bidirectional=not causal,
                initial_state="zeros",
            )
        else:
            self.reader = make_rnn(kind, in_dim, dim, n_layers=n_layers, dropout=dropout, bidirectional=not causal)

    def forward(self, x_BTD: FeaturesBTD, speaker_BT: SpeakerBT, n_turns_B: TurnsB) -> HiddenBTH:
        """The state of every turn; it has no meaning on padding.

        Args:
            x_BTD: vectors of the turns.
            speaker_BT: party number of each turn, on the CPU.
            n_turns_B: number of real turns per dialogue, on the CPU.
        """
        h_BTH: Tensor
        if isinstance(self.reader, DialogueRecurrence):
            h_BTH, _ = self.reader(x_BTD, speaker_BT, n_turns_B)
        elif isinstance(self.reader, nn.RNNBase):
            h_BTH = read_dialogues(self.reader, x_BTD, n_turns_B)
        else:
            h_BTH = self.reader(x_BTD)
        return h_BTH

    def stream(self) -> Callable[[Tensor, int], Tensor]:
        """A function from the vector ``[D]`` of the next turn and its party to the turn's state ``[H]``."""
        reader = self.reader
        if isinstance(reader, DialogueRecurrence):
            return RecurrenceStream(reader).step
        state: Any = None

        @torch.no_grad()
        def step(x_D: Tensor, party: int) -> Tensor:
            nonlocal state
            if not isinstance(reader, nn.RNNBase):
                return reader(x_D)  # type: ignore[no-any-return]
            h_BTH, state = reader(x_D[None, None], state)
            return h_BTH[0, 0]  # type: ignore[no-any-return]

        return step
