"""DialogueRNN (Majumder et al., AAAI 2019; docs/equations.md): one state per party, attention over emotion states."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.api import Output, TurnStream
from dialogue_ser.models.recurrent.base import InitialState, RecurrentConfig, RecurrentSystem
from dialogue_ser.nn.recurrence.parameters import Engine
from dialogue_ser.nn.recurrence.stream import RecurrenceStream
from dialogue_ser.nn.recurrence.wiring import dialogue_rnn
from dialogue_ser.nn.sequence_attention import SequenceAttention
from dialogue_ser.options import check_fields

PUBLISHED_EXTRA_DROPOUT = 0.15


@dataclass(frozen=True, kw_only=True, slots=True)
class DialogueRNNConfig(RecurrentConfig):
    """Options of DialogueRNN; the defaults are the published settings for MELD.

    :class:`~dialogue_ser.models.recurrent.base.RecurrentConfig` describes the options that are not described here.

    Args:
        attention: kind of attention over the past global states (docs/equations.md); matching is the same as general.
            The kinds simple and simple-linear ignore the present turn and cost less in long dialogues. The published
            implementation calls simple-linear "simple".
        party_dim: number of units of the state q of a party.
        hidden_dim: number of units of the head's hidden layer, per direction: with two directions it has twice as many.
        dropout: dropout rate on the global state g, the party state q and the emotion state e inside the recurrence, on
            e before the attention over all turns, and on the head's hidden layer.
        emotion_attention: kind of attention of each turn over the emotion states of all turns (of the turns so far if
            causal); none = no such attention.
        compat: follow the published implementation: the dropout rate on e before the attention over all turns is then
            ``dropout`` + 0.15. Set it to repeat published results.
        attention_dim: number of units inside the attention concat; null = that of the global state.
        recurrent_dropout: dropout rate on g, q and e inside the recurrence; null = ``dropout``.
    """

    emotion_attention: Literal["general2", "general2-tanh", "none"] = "general2"
    causal: bool = False
    initial_state: InitialState = "zeros"
    compat: bool = False
    engine: Engine = "auto"
    attention_dim: int | None = None
    recurrent_dropout: float | None = None

    def __post_init__(self) -> None:
        check_fields("model dialogue-rnn: model.options", self)
        if self.emotion_dropout >= 1:
            raise ConfigError(
                f"model dialogue-rnn: model.options.dropout: found {self.dropout}, but compat adds "
                f"{PUBLISHED_EXTRA_DROPOUT} to it on the emotion states; choose less than {1 - PUBLISHED_EXTRA_DROPOUT}"
            )

    @property
    def emotion_dropout(self) -> float:
        """Dropout rate on e between the recurrence and the attention over e."""
        return self.dropout + (PUBLISHED_EXTRA_DROPOUT if self.compat else 0.0)


class DialogueRNN(RecurrentSystem):
    """A recurrence with one state per party, then attention over the emotion states of all turns.

    Utterance vectors → recurrence → attention over all emotion states → two linear layers.

    Source: Majumder et al., DialogueRNN, AAAI 2019, and its published implementation (BiModel).

    Args:
        config: options.
        inputs: modality → shape of its features; their order fixes the order of concatenation.
        n_scores: S.
    """

    name = "dialogue-rnn"
    Config = DialogueRNNConfig

    def __init__(self, config: DialogueRNNConfig, inputs: Mapping[str, InputSpec], n_scores: int) -> None:
        super().__init__(
            config,
            dialogue_rnn(config.listeners),
            inputs,
            n_scores,
            causal=config.causal,
            initial_state=config.initial_state,
            engine=config.engine,
            attention_dim=config.attention_dim,
            recurrent_dropout=config.recurrent_dropout,
        )
        self.config = config
        size = self.recurrence.output_dim
        self.emotion_dropout = nn.Dropout(config.emotion_dropout)
        self.emotion_attention = (
            None
            if config.emotion_attention == "none"
            else SequenceAttention(config.emotion_attention, size, causal=config.causal)
        )
        hidden = config.hidden_dim * self.recurrence.n_directions
        self.head = nn.Sequential(
            nn.Linear(size, hidden), nn.ReLU(), nn.Dropout(config.dropout), nn.Linear(hidden, n_scores)
        )

    def forward(self, batch: DialogueBatch, *, return_attention: bool = False) -> Output:
        """Scores of every turn.

        With ``return_attention`` the output has the attention weights ``forward`` and ``backward`` over past g and
        ``emotion`` over all e, each ``[B, T, T]``.
        """
        e_BTH, attention = self.emotion_states(self.turns(batch), batch, return_attention=return_attention)
        e_BTH = self.emotion_dropout(e_BTH)
        if self.emotion_attention is not None:
            if return_attention:
                attention = {**attention, "emotion": self.emotion_attention.weights(e_BTH, batch.n_turns)}
            e_BTH = self.emotion_attention(e_BTH, batch.n_turns)
        return Output(self.head(e_BTH), attention)

    def stream(self) -> TurnStream:
        """A stream over one dialogue; a turn costs O(turns so far · E), and more with matching attention over g.

        Raises:
            ConfigError: the system is not causal.
        """
        if not self.causal:
            return super().stream()
        recurrence = RecurrenceStream(self.recurrence)
        emotions: list[Tensor] = []

        def score_turn(batch: DialogueBatch) -> Tensor:
            e_H = self.emotion_dropout(recurrence.step(self.turns(batch)[0, 0], int(batch.speaker[0, 0])))
            if self.emotion_attention is not None:
                emotions.append(e_H)
                e_H = self.emotion_attention.newest(torch.stack(emotions))
            return self.head(e_H)  # type: ignore[no-any-return]

        return score_turn
