"""MM-DFN (Hu et al., ICASSP 2022): MMGCN's graph with an LSTM through the layers and a context per speaker."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.batch.turns import TurnIndex, party_sequences
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.graph.modality_nodes import ModalityNodes, NodeEmbeddings, Speakers, Vectors
from dialogue_ser.models.graph.similarity_system import SimilaritySystem, share_problems
from dialogue_ser.models.modalities import kind_of
from dialogue_ser.nn.context import make_rnn, read_sequences
from dialogue_ser.nn.graph.deep_network import DeepGraphNetwork
from dialogue_ser.options import check_fields

#: Weight of the speakers' context in a modality that ``party_weights`` does not name.
OTHER_WEIGHT = 0.5
KNOWN_KINDS = ("text", "audio", "visual")


@dataclass(frozen=True, kw_only=True, slots=True)
class MMDFNConfig:
    """Options of MM-DFN; the defaults are the published settings for MELD, out of its grid n_layers 32, dropout 0.4.

    Args:
        context_dim: number of units of a GRU, per direction; a node has twice as many features.
        n_context_layers: number of layers of a GRU.
        other_recurrence: every other modality has a GRU of its own, too.
        party_context: a GRU over the turns of each speaker, one for all modalities and speakers, adds to the nodes.
        party_padding: true = after a speaker's turns this GRU also reads a zero vector for each turn of the others, as
            the published code does for a dialogue alone.
        party_weights: modality → factor of what this GRU adds; 0.5 for a modality that is not named.
        speakers: a learned vector per speaker, added to the nodes of the text. order = speakers are numbered in the
            order in which they first speak; number = as the batch numbers them (published); none = no such vector.
        n_speakers: number of speakers with a vector of their own; further ones share the last vector.
        modality_vectors: a learned vector per modality is added to its nodes.
        across_weight: factor of the weights of edges between modalities.
        graph_dim: number of units of a node in every layer of the graph network.
        n_layers: number of layers of the graph network.
        layer_lstm: an LSTM takes a step before each layer of the graph network, and its input is added afterwards.
        residual: the head reads the nodes beside the output of the graph network.
        decay: λ; the weights of layer l count with ln(λ / l + 1).
        initial_share: α, the share of the first layer's output in every layer.
        dropout: dropout rate between the layers of a GRU, on the nodes, in the graph network and before the head.
    """

    context_dim: int = 100
    n_context_layers: int = 2
    other_recurrence: bool = False
    party_context: bool = True
    party_padding: bool = False
    party_weights: dict[str, float] = field(default_factory=lambda: {"audio": 0.5, "visual": 0.5, "text": 1.5})
    speakers: Speakers = "none"
    n_speakers: int = 9
    modality_vectors: bool = False
    across_weight: float = 1.0
    graph_dim: int = 100
    n_layers: int = 32
    layer_lstm: bool = True
    residual: bool = True
    decay: float = 0.5
    initial_share: float = 0.2
    dropout: float = 0.4

    def __post_init__(self) -> None:
        where = "model mm-dfn: model.options"
        check_fields(where, self)
        problems = share_problems(where, self.decay, self.initial_share)
        if not 0 <= self.across_weight < float("inf"):
            problems.append(f"{where}.across_weight: found {self.across_weight}, expected at least 0")
        if problems:
            raise ConfigError(*problems)


class MMDFN(SimilaritySystem):
    """MMGCN's graph, with a context per speaker in its nodes and an LSTM through its layers.

    Every modality → linear layer u; text → GRU over u, others u itself. To this is added, times a weight, what one GRU
    says that reads the u of each speaker's turns alone. These are the nodes of MMGCN's graph. Before each layer an LSTM
    takes a step over the layers, and the layer reads its state.

    Source: Hu et al., ICASSP 2022, in the form of the authors' code (zerohd4869/MM-DFN). Departures:

    - That code reads the padding of a batch in both backward GRUs. Here padding is never read. The backward half of the
      speaker's GRU begins there in zeros, up to the longest dialogue of the batch; here at the speaker's last turn.
      ``party_padding`` keeps the zeros up to the number of turns of the dialogue itself, for published weights.
    - Speakers are told apart by who speaks which turns, as there. Its option of a vector per party number is
      ``speakers: number``; ``order`` numbers the speakers by the order in which they first speak.
    - It needs at least two of audio, visual and text. Here any modalities work, also a single one, which has no edges
      to others. The head reads them in the order of the run; the published order is audio, visual, text. A vector per
      speaker is added to the first modality if there is no text; the published code then adds none.
    - A node of zeros would give NaN there. Here it counts as orthogonal to all others.
    - The factor of its focal loss has no gradient; ``loss.focal_gamma`` follows Lin et al. and has one.

    Cost: as MMGCN's.

    Args:
        config: options.
        inputs: modality → shape of its features.
        n_scores: S.

    Raises:
        ConfigError: ``party_weights`` names a modality that is neither in the run nor text, audio or visual.
    """

    name = "mm-dfn"
    Config = MMDFNConfig
    speaker_aware = True
    speaker_equivariant = True

    def __init__(self, config: MMDFNConfig, inputs: Mapping[str, InputSpec], n_scores: int) -> None:
        super().__init__(inputs, n_scores, dropout=config.dropout)
        self.config = config
        self.across_weight, self.residual = config.across_weight, config.residual
        size = 2 * config.context_dim
        self.nodes = ModalityNodes(
            inputs,
            rnn="gru",
            input_dim=size,
            context_dim=config.context_dim,
            n_layers=config.n_context_layers,
            dropout=config.dropout,
            other_recurrence=config.other_recurrence,
        )
        self.party_weights = self._party_weights() if config.party_context else {}
        self.party_rnn = (
            make_rnn("gru", size, config.context_dim, n_layers=config.n_context_layers, dropout=config.dropout)
            if config.party_context
            else None
        )
        self.speaker_aware = config.speakers != "none" or any(self.party_weights.values())
        self.speaker_equivariant = config.speakers != "number"
        # Who speaks first changes when the dialogue is read backwards, and the padding is read by one direction only.
        reads_backwards = len(self.nodes.rnn) > 0 or any(self.party_weights.values())
        self.bidirectional_recurrence = reads_backwards and config.speakers != "order" and not config.party_padding
        self.embeddings = NodeEmbeddings(
            self.nodes.kinds,
            size,
            speakers=config.speakers,
            n_speakers=config.n_speakers,
            modality=config.modality_vectors,
        )
        self.network = DeepGraphNetwork(
            size,
            config.graph_dim,
            config.n_layers,
            dropout=config.dropout,
            decay=config.decay,
            initial_share=config.initial_share,
            layer_lstm=config.layer_lstm,
        )
        self.head = nn.Linear(len(self.nodes.kinds) * (size * config.residual + config.graph_dim), n_scores)

    def _party_weights(self) -> dict[str, float]:
        """Modality of the run → factor of the speakers' context."""
        weights = {kind_of(name): weight for name, weight in self.config.party_weights.items()}
        known = {*KNOWN_KINDS, *self.nodes.kinds}
        unknown = [name for name in self.config.party_weights if kind_of(name) not in known]
        if unknown:
            raise ConfigError(
                f"model {self.name}: model.options.party_weights: the run has no modality {', '.join(unknown)}; "
                f"name some of {', '.join(self.nodes.kinds)}"
            )
        return {kind: weights.get(kind, OTHER_WEIGHT) for kind in self.nodes.kinds}

    def contexts(self, batch: DialogueBatch, turns: TurnIndex, row_N: torch.Tensor) -> Vectors:
        """Modality → its nodes: context of the dialogue, and of the speaker."""
        projected = self.nodes.projected(batch, row_N)
        nodes = self.nodes.read(projected, turns)
        kinds = [kind for kind, weight in self.party_weights.items() if weight]
        if self.party_rnn is None or not kinds:
            return nodes
        parties, n = party_sequences(turns), len(kinds)
        n_sequences, length_R = len(parties.length_R), parties.length_R.copy()
        if self.config.party_padding:
            length_R[parties.sequence_N] = turns.n_turns_B[turns.dialogue_N]
        said_KNH = read_sequences(  # the modalities are further sequences of the same GRU
            self.party_rnn,
            torch.cat([projected[kind] for kind in kinds]),
            np.concatenate([parties.sequence_N + place * n_sequences for place in range(n)]),
            np.tile(parties.step_N, n),
            np.tile(length_R, n),
        ).chunk(n)
        added = {kind: self.party_weights[kind] * said_NH for kind, said_NH in zip(kinds, said_KNH, strict=True)}
        return {kind: x_NF + added[kind] if kind in added else x_NF for kind, x_NF in nodes.items()}
