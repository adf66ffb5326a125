"""A classifier of single utterances, for fine-tuning and linear probes: no turn knows its neighbours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from torch import nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.encoders.turn import TurnEncoder
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.api import DialogueSystem, Output, TurnStream, stream_of_single_turns
from dialogue_ser.options import check_fields


@dataclass(frozen=True, kw_only=True, slots=True)
class UtteranceConfig:
    """Options of the single-utterance classifier.

    Args:
        dropout: dropout rate on the fused utterance vector and after each hidden layer.
        input_dropout: dropout rate on the vector of each modality before fusion.
        projection: modality → size of a linear layer with tanh before the concatenation. Use it if one modality has
            many more features than another. A modality that is not named has no such layer.
        hidden_dims: sizes of the hidden layers (linear, ReLU) between the fused vector and the scores.
    """

    dropout: float = 0.1
    input_dropout: float = 0.0
    projection: dict[str, int] = field(default_factory=dict)
    hidden_dims: Sequence[int] = ()

    def __post_init__(self) -> None:
        check_fields("model utterance: model.options", self)


class UtteranceSystem(DialogueSystem):
    """Each turn alone: hidden layers, if there are any, and one linear layer over the vector of the turn.

    Utterance vectors → dropout → hidden layers → one linear layer.

    With a frozen encoder it is the linear probe of docs/equations.md: a dialogue model should score higher. With a
    trained encoder it is the usual fine-tuning on utterances. An encoder may still read the neighbours of an utterance,
    if its options say so.

    Args:
        config: options.
        inputs: modality → shape of its features.
        n_scores: S.
    """

    name = "utterance"
    Config = UtteranceConfig
    speaker_aware = False
    speaker_equivariant = True
    causal = True
    bidirectional_recurrence = False

    def __init__(self, config: UtteranceConfig, inputs: Mapping[str, InputSpec], n_scores: int) -> None:
        super().__init__(inputs, n_scores)
        self.config = config
        self.turns = TurnEncoder(inputs, projection=config.projection, dropout=config.input_dropout)
        self.dropout = nn.Dropout(config.dropout)
        sizes = [self.turns.out_dim, *config.hidden_dims]
        self.hidden = nn.Sequential(
            *(nn.Sequential(nn.Linear(a, b), nn.ReLU(), nn.Dropout(config.dropout)) for a, b in pairwise(sizes))
        )
        self.head = nn.Linear(sizes[-1], n_scores)

    def forward(self, batch: DialogueBatch, *, return_attention: bool = False) -> Output:
        """Scores of every turn; this system has no attention."""
        fused_BTD = self.dropout(self.turns(batch))
        return Output(self.head(self.hidden(fused_BTD)), {})

    def stream(self) -> TurnStream:
        """A stream over one dialogue; it keeps nothing of the earlier turns."""
        return stream_of_single_turns(self)
