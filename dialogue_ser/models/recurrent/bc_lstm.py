"""bc-LSTM (Poria et al., ACL 2017): an LSTM over the turns in both directions, blind to the speakers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.encoders.turn import TurnEncoder
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.api import DialogueSystem, Output
from dialogue_ser.nn.context import make_rnn, read_dialogues
from dialogue_ser.nn.sequence_attention import SequenceAttention
from dialogue_ser.options import check_fields


@dataclass(frozen=True, kw_only=True, slots=True)
class BcLSTMConfig:
    """Options of bc-LSTM; the defaults are the published settings for MELD.

    Args:
        context_dim: number of units of the LSTM, per direction.
        n_layers: number of layers of the LSTM.
        attention: attention of every turn over the LSTM's outputs of all turns; none = no such attention.
        hidden_dim: number of units of the head's hidden layer.
        dropout: dropout rate between the layers of the LSTM and on the hidden layer.
        input_dropout: dropout rate on the vector of each modality before fusion (the published system has none).
        projection: modality → size of a linear layer with tanh before the concatenation.
    """

    context_dim: int = 100
    n_layers: int = 2
    attention: Literal["none", "general2", "general2-tanh"] = "none"
    hidden_dim: int = 100
    dropout: float = 0.25
    input_dropout: float = 0.0
    projection: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_fields("model bc-lstm: model.options", self)


class BcLSTM(DialogueSystem):
    """An LSTM over the turns in both directions; it never sees who speaks.

    Utterance vectors → LSTM → attention over all turns (an option) → two linear layers.

    Source: Poria et al., ACL 2017, in the form that its authors published for MELD (conv-emotion, bc-LSTM-pytorch).
    Departure: that implementation reads the padding of a batch in the backward direction. Here padding is never read.

    Args:
        config: options.
        inputs: modality → shape of its features.
        n_scores: S.
    """

    name = "bc-lstm"
    Config = BcLSTMConfig
    speaker_aware = False
    speaker_equivariant = True
    causal = False
    bidirectional_recurrence = True

    def __init__(self, config: BcLSTMConfig, inputs: Mapping[str, InputSpec], n_scores: int) -> None:
        super().__init__(inputs, n_scores)
        self.turns = TurnEncoder(inputs, projection=config.projection, dropout=config.input_dropout)
        self.lstm = make_rnn(
            "lstm", self.turns.out_dim, config.context_dim, n_layers=config.n_layers, dropout=config.dropout
        )
        size = 2 * config.context_dim
        self.attention = None if config.attention == "none" else SequenceAttention(config.attention, size)
        self.head = nn.Sequential(
            nn.Linear(size, config.hidden_dim),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden_dim, n_scores),
        )

    def forward(self, batch: DialogueBatch, *, return_attention: bool = False) -> Output:
        """Scores of every turn; with ``return_attention`` and an attention also its weights ``all`` ``[B, T, T]``."""
        h_BTH = read_dialogues(self.lstm, self.turns(batch), batch.n_turns_host)
        weights = {}
        if self.attention is not None:
            if return_attention:
                weights = {"all": self.attention.weights(h_BTH, batch.n_turns)}
            h_BTH = self.attention(h_BTH, batch.n_turns)
        return Output(self.head(h_BTH), weights)
