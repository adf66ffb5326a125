"""EmotionRNN (Pathak, Anand and Mahtolia 2023; docs/equations.md): who speaks, who listens, what was felt."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.encoders.turn import TurnEncoder
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.api import DialogueSystem, Output, TurnReader
from dialogue_ser.nn.recurrence.dialogue_recurrence import DialogueRecurrence
from dialogue_ser.nn.recurrence.parameters import Engine
from dialogue_ser.nn.recurrence.stream import RecurrenceStream
from dialogue_ser.nn.recurrence.wiring import emotion_rnn
from dialogue_ser.options import check_fields

AttentionOption = Literal[
    "simple", "matching", "simple-linear", "dot", "general", "general2", "general2-tanh", "concat"
]


@dataclass(frozen=True, kw_only=True, slots=True)
class EmotionRNNConfig:
    """Options of EmotionRNN; sizes are own choices, the source gives none.

    Args:
        attention: simple or matching (= general) over past global states, or another kind (docs/equations.md).
        global_dim: size of g.
        party_dim: size of the self and of the inter state of a party.
        emotion_dim: size of e, per direction.
        hidden_dim: size of the head's hidden layer.
        dropout: on g, S, I inside the recurrence, on e and on the head's hidden layer.
        input_dropout: on each modality's vector before fusion (0 in the source).
        projection: modality → size of a Linear + tanh in front of the concatenation; empty = plain concatenation.
        listeners: update the states of listeners with their own cells, or hold them.
        causal: read forwards only; every turn is labelled from what came before it.
        initial_state: learned (drawn at random) or zeros.
        head_input: emotion = ē alone, as the source; emotion+turn = [ē; x], a shortcut from the fused turn.
        engine: how the recurrence is computed, the same numbers by either: manual (one autograd node), autograd (the
            readable loop), or auto.
    """

    attention: AttentionOption = "matching"
    global_dim: int = 150
    party_dim: int = 150
    emotion_dim: int = 100
    hidden_dim: int = 100
    dropout: float = 0.2
    input_dropout: float = 0.0
    projection: dict[str, int] = field(default_factory=dict)
    listeners: Literal["update", "hold"] = "update"
    causal: bool = False
    initial_state: Literal["learned", "zeros"] = "learned"
    head_input: Literal["emotion", "emotion+turn"] = "emotion"
    engine: Engine = "auto"

    def __post_init__(self) -> None:
        check_fields("model emotion-rnn: model.options", self)


class EmotionRNN(DialogueSystem):
    """Utterance vectors → emotion recurrence → two linear layers.

    Args:
        config: options.
        inputs: modality → shape of its features; their order fixes the order of concatenation.
        n_scores: S.
    """

    name = "emotion-rnn"
    Config = EmotionRNNConfig
    speaker_aware = True
    speaker_equivariant = True

    def __init__(self, config: EmotionRNNConfig, inputs: Mapping[str, InputSpec], n_scores: int) -> None:
        super().__init__(inputs, n_scores)
        self.causal = config.causal
        self.bidirectional_recurrence = not config.causal
        self.config = config
        self.turns = TurnEncoder(inputs, projection=config.projection, dropout=config.input_dropout)
        if config.attention == "dot" and config.global_dim != self.turns.out_dim:
            raise ConfigError(
                f"model emotion-rnn: model.options.global_dim: found {config.global_dim}, but attention dot compares g "
                f"with a turn's vector, so it must be {self.turns.out_dim}; or choose attention general"
            )
        self.recurrence = DialogueRecurrence(
            self.turns.out_dim,
            emotion_rnn(config.listeners),
            global_dim=config.global_dim,
            party_dim=config.party_dim,
            emotion_dim=config.emotion_dim,
            attention=config.attention,
            dropout=config.dropout,
            bidirectional=not config.causal,
            initial_state=config.initial_state,
            engine=config.engine,
        )
        shortcut = self.turns.out_dim if config.head_input == "emotion+turn" else 0
        self.head = nn.Sequential(  # (9)
            nn.Linear(self.recurrence.output_dim + shortcut, config.hidden_dim),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden_dim, n_scores),
        )

    def forward(self, batch: DialogueBatch, *, return_attention: bool = False) -> Output:
        """Scores of every turn; attention ``forward`` and ``backward`` ``[B, T, T]`` if asked for."""
        x_BTD = self.turns(batch)
        e_BTH, attention = self.recurrence(
            x_BTD, batch.speaker_host, batch.n_turns_host, return_attention=return_attention
        )
        if self.config.head_input == "emotion+turn":
            e_BTH = torch.cat([e_BTH, x_BTD], dim=-1)
        return Output(self.head(e_BTH), attention)

    def stream(self) -> TurnReader:
        """A reader of one dialogue, turn by turn: O(1) a turn with simple attention, O(turns so far) with matching.

        Raises:
            ConfigError: the system is not causal.
        """
        if not self.causal:
            return super().stream()
        recurrence = RecurrenceStream(self.recurrence)

        def read(batch: DialogueBatch) -> Tensor:
            x_D = self.turns(batch)[0, 0]
            e_H = recurrence.step(x_D, int(batch.speaker[0, 0]))
            if self.config.head_input == "emotion+turn":
                e_H = torch.cat([e_H, x_D])
            return self.head(e_H)  # type: ignore[no-any-return]

        return read
