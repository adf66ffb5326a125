"""EmotionRNN (Pathak, Anand and Mahtolia 2023; docs/equations.md): each party has a self and an inter-speaker state."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.api import Output, TurnStream
from dialogue_ser.models.recurrent.base import AttentionOption, InitialState, RecurrentConfig, RecurrentSystem
from dialogue_ser.nn.recurrence.parameters import Engine
from dialogue_ser.nn.recurrence.stream import RecurrenceStream
from dialogue_ser.nn.recurrence.wiring import Listeners, emotion_rnn
from dialogue_ser.options import check_fields


@dataclass(frozen=True, kw_only=True, slots=True)
class EmotionRNNConfig(RecurrentConfig):
    """Options of EmotionRNN; the document gives no sizes, so the default sizes are own choices.

    :class:`~dialogue_ser.models.recurrent.base.RecurrentConfig` describes the options that are not described here.

    Args:
        party_dim: number of units of the self state S and of the inter-speaker state I of a party.
        dropout: dropout rate on the global state g, on S and I inside the recurrence, on the emotion state e, and on
            the head's hidden layer.
        head_input: what the head reads. emotion = the emotion states, as in the document; emotion+turn = also the
            vector of the turn. With emotion+turn the gradient has a short way to an encoder that is trained.
    """

    attention: AttentionOption = "matching"
    dropout: float = 0.2
    listeners: Listeners = "update"
    causal: bool = False
    initial_state: InitialState = "learned"
    head_input: Literal["emotion", "emotion+turn"] = "emotion"
    engine: Engine = "auto"

    def __post_init__(self) -> None:
        check_fields("model emotion-rnn: model.options", self)


class EmotionRNN(RecurrentSystem):
    """A recurrence in which each party has a self state and an inter-speaker state.

    Utterance vectors → emotion recurrence → two linear layers.

    Args:
        config: options.
        inputs: modality → shape of its features; their order fixes the order of concatenation.
        n_scores: S.
    """

    name = "emotion-rnn"
    Config = EmotionRNNConfig

    def __init__(self, config: EmotionRNNConfig, inputs: Mapping[str, InputSpec], n_scores: int) -> None:
        super().__init__(
            config,
            emotion_rnn(config.listeners),
            inputs,
            n_scores,
            causal=config.causal,
            initial_state=config.initial_state,
            engine=config.engine,
        )
        self.config = config
        shortcut = self.turns.out_dim if config.head_input == "emotion+turn" else 0
        self.head = nn.Sequential(  # (9)
            nn.Linear(self.recurrence.output_dim + shortcut, config.hidden_dim),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden_dim, n_scores),
        )

    def forward(self, batch: DialogueBatch, *, return_attention: bool = False) -> Output:
        """Scores of every turn; the attention ``forward`` and ``backward`` ``[B, T, T]`` if ``return_attention``."""
        x_BTD = self.turns(batch)
        e_BTH, attention = self.emotion_states(x_BTD, batch, return_attention=return_attention)
        if self.config.head_input == "emotion+turn":
            e_BTH = torch.cat([e_BTH, x_BTD], dim=-1)
        return Output(self.head(e_BTH), attention)

    def stream(self) -> TurnStream:
        """A stream over one dialogue; a turn costs O(1) with simple attention and O(turns so far) with matching.

        Raises:
            ConfigError: the system is not causal.
        """
        if not self.causal:
            return super().stream()
        recurrence = RecurrenceStream(self.recurrence)

        def score_turn(batch: DialogueBatch) -> Tensor:
            x_D = self.turns(batch)[0, 0]
            e_H = recurrence.step(x_D, int(batch.speaker[0, 0]))
            if self.config.head_input == "emotion+turn":
                e_H = torch.cat([e_H, x_D])
            return self.head(e_H)  # type: ignore[no-any-return]

        return score_turn
