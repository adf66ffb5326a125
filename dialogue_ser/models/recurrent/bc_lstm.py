"""bc-LSTM (Poria et al., ACL 2017): an LSTM over the turns in both directions, blind to the speakers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.encoders.turn import TurnEncoder
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.api import DialogueSystem, MainLoss, Output
from dialogue_ser.models.modalities import by_kind, kind_of
from dialogue_ser.nn.context import make_rnn, read_dialogues
from dialogue_ser.nn.sequence_attention import SequenceAttention
from dialogue_ser.options import check_fields
from dialogue_ser.tensors import FeaturesBTD, HiddenBTH, ScoresBTS, TurnsB


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
        fusion: how modalities come together. early = one LSTM over their concatenated vectors. hierarchical = every
            modality has an LSTM and a hidden layer of its own, and one more LSTM reads all these hidden layers. With
            a single modality that is two LSTMs one after the other.
        unimodal_weight: weight of the loss of every modality's own classifier, for hierarchical only. The classifiers
            are used in training only. 0 = there are none.
    """

    context_dim: int = 100
    n_layers: int = 2
    attention: Literal["none", "general2", "general2-tanh"] = "none"
    hidden_dim: int = 100
    dropout: float = 0.25
    input_dropout: float = 0.0
    projection: dict[str, int] = field(default_factory=dict)
    fusion: Literal["early", "hierarchical"] = "early"
    unimodal_weight: float = 0.0

    def __post_init__(self) -> None:
        check_fields("model bc-lstm: model.options", self)
        if self.unimodal_weight < 0:
            raise ConfigError(
                f"model bc-lstm: model.options.unimodal_weight: found {self.unimodal_weight}, expected at least 0"
            )
        if self.unimodal_weight and self.fusion != "hierarchical":
            raise ConfigError(
                "model bc-lstm: model.options.unimodal_weight: only the hierarchical fusion has a classifier for every "
                "modality; set fusion to hierarchical, or unimodal_weight to 0"
            )


class ContextLevel(nn.Module):
    """One level of bc-LSTM: an LSTM over the turns, an attention over its outputs (an option), a hidden layer.

    Args:
        config: options.
        in_dim: number of features of a turn.
        n_scores: S; None = the level ends with the hidden layer.
    """

    def __init__(self, config: BcLSTMConfig, in_dim: int, n_scores: int | None) -> None:
        super().__init__()
        self.lstm = make_rnn("lstm", in_dim, config.context_dim, n_layers=config.n_layers, dropout=config.dropout)
        size = 2 * config.context_dim
        self.attention = None if config.attention == "none" else SequenceAttention(config.attention, size)
        self.head = nn.Sequential(nn.Linear(size, config.hidden_dim), nn.ReLU(), nn.Dropout(config.dropout))
        if n_scores is not None:
            self.head.append(nn.Linear(config.hidden_dim, n_scores))

    def context(self, x_BTD: FeaturesBTD, batch: DialogueBatch) -> HiddenBTH:
        """The outputs of the LSTM for all turns."""
        return read_dialogues(self.lstm, x_BTD, batch.n_turns_host)

    def attend(self, h_BTH: HiddenBTH, n_turns_B: TurnsB) -> HiddenBTH:
        """What every turn sees of the outputs of the LSTM."""
        return h_BTH if self.attention is None else self.attention(h_BTH, n_turns_B)

    def hidden(self, x_BTD: FeaturesBTD, batch: DialogueBatch) -> HiddenBTH:
        """The hidden layer of all turns."""
        hidden_BTH: HiddenBTH = self.head[:3](self.attend(self.context(x_BTD, batch), batch.n_turns))
        return hidden_BTH


class BcLSTM(DialogueSystem):
    """An LSTM over the turns in both directions; it never sees who speaks.

    Utterance vectors → LSTM → attention over all turns (an option) → two linear layers.

    Source: Poria et al., ACL 2017, in the form that its authors published for MELD (conv-emotion, bc-LSTM-pytorch).
    Departure: that implementation reads the padding of a batch in the backward direction. Here padding is never read.

    With ``fusion: hierarchical`` there are two levels, as in the paper. On the first level every modality has a model
    of this kind of its own; its hidden layer is its output. On the second level one more model of this kind reads the
    outputs of all modalities. Departures from the paper, which has no published implementation of this form:

    - The paper trains the first level alone, then the second level on its outputs, which stay as they are. Here
      ``training.begin_from`` names runs of ``bc-lstm`` on one modality each, and the second training goes on with
      their weights. Without it both levels are trained together from the start, with ``unimodal_weight`` also on the
      labels of every modality's own classifier.
    - Both levels have the sizes, layers, dropout and attention of the form for MELD.
    - Several inputs of one modality (``text1``, ``text2``) are concatenated and have one model together.

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
    branch_model = "bc-lstm"

    def __init__(self, config: BcLSTMConfig, inputs: Mapping[str, InputSpec], n_scores: int) -> None:
        super().__init__(inputs, n_scores)
        self.config = config
        self.turns = TurnEncoder(inputs, projection=config.projection, dropout=config.input_dropout)
        self.branches = nn.ModuleDict()
        in_dim = self.turns.out_dim
        if config.fusion == "hierarchical":
            dims = self.turns.fusion.dims
            n_unimodal = n_scores if config.unimodal_weight else None
            for kind, names in by_kind(dims).items():
                self.branches[kind] = ContextLevel(config, sum(dims[name] for name in names), n_unimodal)
            in_dim = len(self.branches) * config.hidden_dim
        self.level = ContextLevel(config, in_dim, n_scores)

    def forward(self, batch: DialogueBatch, *, return_attention: bool = False) -> Output:
        """Scores of every turn; with ``return_attention`` and an attention also its weights ``all`` ``[B, T, T]``."""
        x_BTD = self.turns(batch)
        unimodal: dict[str, ScoresBTS] = {}
        if self.branches:
            x_BTD, unimodal = self._first_level(x_BTD, batch)
        h_BTH = self.level.context(x_BTD, batch)
        weights = {}
        if self.level.attention is not None and return_attention:
            weights = {"all": self.level.attention.weights(h_BTH, batch.n_turns)}
        scores_BTS = self.level.head(self.level.attend(h_BTH, batch.n_turns))
        return Output(scores_BTS, weights, unimodal if self.training else {})

    def _first_level(self, x_BTD: FeaturesBTD, batch: DialogueBatch) -> tuple[HiddenBTH, dict[str, ScoresBTS]]:
        """The hidden layers of all modalities side by side, and kind of modality → scores of its classifier."""
        dims = self.turns.fusion.dims
        parts = dict(zip(dims, torch.split(x_BTD, list(dims.values()), dim=-1), strict=True))
        hidden, scores = [], {}
        for kind, names in by_kind(dims).items():
            branch = self.branches[kind]
            assert isinstance(branch, ContextLevel)
            hidden.append(branch.hidden(torch.cat([parts[name] for name in names], dim=-1), batch))
            if len(branch.head) > 3:
                scores[kind] = branch.head[3](hidden[-1])
        return torch.cat(hidden, dim=-1), scores

    @property
    def auxiliary_weights(self) -> Mapping[str, float]:
        """The weight of every modality's own classifier."""
        return dict.fromkeys(self.branches, self.config.unimodal_weight) if self.config.unimodal_weight else {}

    def auxiliary_numerators(self, output: Output, batch: DialogueBatch, loss: MainLoss) -> Mapping[str, Tensor]:
        """The main loss of every modality's own classifier."""
        return {kind: loss(scores_BTS, batch)[0] for kind, scores_BTS in output.auxiliary.items()}

    @property
    def has_branches(self) -> bool:
        """Only the hierarchical fusion has branches."""
        return bool(self.branches)

    def take_branch(self, modality: str, weights: Mapping[str, Tensor]) -> None:
        """Load the encoder and the first level of one modality from a ``bc-lstm`` that was trained on it alone.

        Args:
            modality: the only modality of the other system.
            weights: the ``state_dict`` of the other system.

        Raises:
            RuntimeError: weights are missing, unknown or of another shape.
        """
        kind = kind_of(modality)
        own = f"branches.{kind}."
        beginnings = (own, f"turns.encoders.{modality}.", f"turns.fusion.projections.{modality}.")
        expected = {name for name in self.state_dict() if name.startswith(beginnings)}
        branch = {
            name.replace("level.", own, 1) if name.startswith("level.") else name: value
            for name, value in weights.items()
        }
        if not self.config.unimodal_weight:  # nothing here reads the classifier
            branch = {name: value for name, value in branch.items() if not name.startswith(f"{own}head.3.")}
        if expected != branch.keys():
            raise RuntimeError(
                f"weights are missing: {sorted(expected - branch.keys())}; unknown: {sorted(branch.keys() - expected)}"
            )
        self.load_state_dict(branch, strict=False)
