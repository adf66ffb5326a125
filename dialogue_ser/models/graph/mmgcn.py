"""MMGCN (Hu et al., ACL 2021): a deep graph network over one node per turn and modality."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.graph.modality_nodes import ModalityNodes, NodeEmbeddings, Speakers
from dialogue_ser.models.graph.similarity_system import SimilaritySystem, share_problems
from dialogue_ser.nn.graph.deep_network import DeepGraphNetwork
from dialogue_ser.options import check_fields


@dataclass(frozen=True, kw_only=True, slots=True)
class MMGCNConfig:
    """Options of MMGCN; the defaults are the published settings for MELD.

    Args:
        input_dim: size of the linear layer before the LSTM of the text.
        context_dim: number of units of an LSTM, per direction; a node has twice as many features.
        n_context_layers: number of layers of an LSTM.
        other_recurrence: every other modality has an LSTM of its own, too.
        speakers: a learned vector per speaker, added to the nodes of the text. order = speakers are numbered in the
            order in which they first speak; number = as the batch numbers them (published); none = no such vector.
        n_speakers: number of speakers with a vector of their own; further ones share the last vector.
        modality_vectors: a learned vector per modality is added to its nodes.
        graph_dim: number of units of a node in every layer of the graph network.
        n_layers: number of layers of the graph network.
        decay: λ; the weights of layer l count with ln(λ / l + 1).
        initial_share: α, the share of the first layer's output in every layer.
        dropout: dropout rate between the layers of an LSTM, on the nodes, in the graph network and before the head.
    """

    input_dim: int = 200
    context_dim: int = 100
    n_context_layers: int = 2
    other_recurrence: bool = False
    speakers: Speakers = "order"
    n_speakers: int = 9
    modality_vectors: bool = False
    graph_dim: int = 100
    n_layers: int = 64
    decay: float = 0.5
    initial_share: float = 0.1
    dropout: float = 0.4

    def __post_init__(self) -> None:
        check_fields("model mmgcn: model.options", self)
        problems = share_problems("model mmgcn: model.options", self.decay, self.initial_share)
        if problems:
            raise ConfigError(*problems)


class MMGCN(SimilaritySystem):
    """A graph over one node per turn and modality, and 64 layers over it.

    Text → linear layer → LSTM; audio, visual and any other modality → linear layer. These vectors are the nodes. Every
    node is joined to all turns of its dialogue in its modality, and to the same turn in the other modalities. The more
    alike two vectors are, the heavier the edge. A turn's nodes before and after the layers are the input of the head.

    Source: Hu et al., ACL 2021, in the form of the authors' code (hujingwen6666/MMGCN). Departures:

    - That code reads the padding of a batch in the backward LSTM. Here padding is never read.
    - It adds a vector per party number. Here the speakers are numbered by the order in which they first speak, so other
      numbers for the same speakers change nothing; ``speakers: number`` is the published form. A speaker beyond the
      table gets its last row, where that code fails.
    - It needs at least two of audio, visual and text. Here any modalities work, also a single one, which has no edges
      to others. The head reads them in the order of the run; the published order is audio, visual, text. The speaker's
      vector is added to the first modality if there is no text; the published code then adds none.
    - A node of zeros would give NaN there. Here it counts as orthogonal to all others.
    - The number of layers is an option here.
    - The published loss for MELD pushes up the log-probabilities of all classes. Here ``loss`` chooses the loss.

    Cost: a dialogue of T turns with M modalities has M · T² weights of edges. Each layer multiplies by them once. The
    time grows with layers · M · T², the memory with M · T² + layers · M · T · units.

    Args:
        config: options.
        inputs: modality → shape of its features.
        n_scores: S.
    """

    name = "mmgcn"
    Config = MMGCNConfig
    speaker_aware = True
    speaker_equivariant = True

    def __init__(self, config: MMGCNConfig, inputs: Mapping[str, InputSpec], n_scores: int) -> None:
        super().__init__(inputs, n_scores, dropout=config.dropout)
        self.config = config
        self.speaker_aware = config.speakers != "none"
        self.speaker_equivariant = config.speakers != "number"
        size = 2 * config.context_dim
        self.nodes = ModalityNodes(
            inputs,
            rnn="lstm",
            input_dim=config.input_dim,
            context_dim=config.context_dim,
            n_layers=config.n_context_layers,
            dropout=config.dropout,
            other_recurrence=config.other_recurrence,
        )
        # Who speaks first changes when the dialogue is read backwards, so the whole is no longer the same then.
        self.bidirectional_recurrence = len(self.nodes.rnn) > 0 and config.speakers != "order"
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
        )
        self.head = nn.Linear(len(self.nodes.kinds) * (size + config.graph_dim), n_scores)
