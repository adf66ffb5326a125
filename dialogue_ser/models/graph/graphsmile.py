"""GraphSmile (Li et al., 2025): graphs between the turns of two modalities each, with two further heads.

Long because one system has three heads and many options.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.batch.graphs import block_pairs, edges_between, window_bounds
from dialogue_ser.batch.turns import Ints, TurnIndex, turn_index
from dialogue_ser.encoders.turn import TurnVectors
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.api import DialogueSystem, MainLoss, Output, TurnStream
from dialogue_ser.models.modalities import by_kind, same_size, say_missing
from dialogue_ser.nn.graph.pair import PairEdges, PairGraph, PairWindows
from dialogue_ser.nn.graph.place_weights import PlaceWeights
from dialogue_ser.nn.nodes import to_nodes, to_turns
from dialogue_ser.nn.transfer import send
from dialogue_ser.nn.vectors.projection import TextProjection, VectorProjection
from dialogue_ser.options import check_fields
from dialogue_ser.tensors import IGNORED_LABEL

_logger = logging.getLogger(__name__)
Nodes = Float[Tensor, "node feature"]
#: More edges per turn than this are not listed; their sums are computed without them.
MOST_EDGES = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class GraphSmileConfig:
    """Options of GraphSmile; the defaults are the published settings for MELD.

    Args:
        text_vectors: numbers of the text's vectors that are read, from 0; empty = all.
        text_fusion: mean of the projected vectors, or one projection of all vectors side by side (concat).
        hidden_dim: number of units everywhere.
        past: number of earlier turns of the other modality that a turn sees; -1 = all.
        future: number of later turns that it sees; -1 = all, 0 = the system is causal (not with ``weights_by_place``).
        layers: number of layers of each graph, in the order of the pairs of modalities; one number is for all graphs.
        weights_by_place: weights of edges by their place in the dialogue. Only published weights need them.
        n_edge_weights: length of each graph's table of weights.
        sentiment_weight: weight of the loss of the sentiment; 0 = no such head.
        shift_weight: weight of the loss of sentiment shifts; 0 = no such head.
        shift_window: number of turns in a block whose pairs are compared for shifts; -1 = all turns of the dialogue.
        dropout: dropout rate behind the projections and the layers of the graphs.
    """

    text_vectors: Sequence[int] = ()
    text_fusion: Literal["mean", "concat"] = "mean"
    hidden_dim: int = 384
    past: int = 3
    future: int = 3
    layers: Sequence[int] = (5,)
    weights_by_place: bool = False
    n_edge_weights: int = 500000
    sentiment_weight: float = 0.5
    shift_weight: float = 0.2
    shift_window: int = 3
    dropout: float = 0.2

    def __post_init__(self) -> None:
        where = "model graphsmile: model.options"
        check_fields(where, self)
        problems = [
            f"{where}.{name}: found {getattr(self, name)}, expected at least 0, or -1 for all turns"
            for name in ("past", "future")
            if getattr(self, name) < -1
        ]
        if self.shift_window < 1 and self.shift_window != -1:
            problems.append(
                f"{where}.shift_window: found {self.shift_window}, expected at least 1, or -1 for all turns"
            )
        problems += [
            f"{where}.{name}: found {getattr(self, name)}, expected at least 0"
            for name in ("sentiment_weight", "shift_weight")
            if getattr(self, name) < 0
        ]
        if not self.layers or min(self.layers) < 0:
            problems.append(f"{where}.layers: found {list(self.layers)}, expected numbers of at least 0")
        if len(set(self.text_vectors)) < len(self.text_vectors) or min(self.text_vectors, default=0) < 0:
            problems.append(f"{where}.text_vectors: found {list(self.text_vectors)}, expected different numbers from 0")
        if problems:
            raise ConfigError(*problems)


class GraphSmile(DialogueSystem):
    """For each pair of modalities a graph, in which a turn of one sees a window of turns of the other.

    Each modality is projected to one size (the text behind batch norm). In the graph of a pair, a layer is Â h W + b.
    The result is the nodes plus a nonlinear function of each layer's output. The mean over the results of a turn in
    all graphs gives the scores. The system never sees who speaks.

    In training, a second head learns the sentiment of the turns, and a third one whether two turns of a block have
    different sentiments. They need the sentiment of the turns (``DialogueBatch.sentiment``); turns without one do not
    count.

    Source: Li, Wang and Zeng, "Tracing Intricate Cues in Dialogue: Joint Graph Structure and Sentiment Dynamics for
    Multimodal Emotion Recognition", IEEE TPAMI 2025, in the form that its authors published (GraphSmile).

    Departures from that implementation:

    * Batch norm takes its statistics from real turns.
    * Edges have no weights. The published weights belong to places in the batch's list of edges; with
      ``weights_by_place`` every dialogue counts its places from 0, so it has the weights that the published system
      gives it alone, in any batch. Places beyond the table have the weight 1.
    * Any modalities, in the order of the inputs; the published pairs are those of text, visual, audio. One modality
      alone makes one graph with itself. Several inputs of another modality are concatenated. A turn that lacks a
      modality has a node with the vector 0.
    * Any number of vectors of the text. By default all are read (``mean``); the published runs on MELD read the first
      of four (``text_vectors: [0]``).
    * The losses of the heads are means over all turns or pairs of a step, not means of the means of batches.

    With ``future: 0`` the system is causal, unless it has ``weights_by_place``: later turns move the places of edges
    that begin in the second modality. A stream keeps the vectors of all turns so far and computes them again with each
    turn.

    Cost: memory and time grow with the number of turns times their window, or with the number of turns if the window
    has more than 64 turns. The weights of places need a list of all edges.

    Args:
        config: options.
        inputs: modality → shape of its features.
        n_scores: S.

    Raises:
        ConfigError: vectors of the text are missing or have different sizes; the number of ``layers`` does not fit.
    """

    name = "graphsmile"
    Config = GraphSmileConfig
    speaker_aware = False
    speaker_equivariant = True
    causal = False
    bidirectional_recurrence = False

    def __init__(self, config: GraphSmileConfig, inputs: Mapping[str, InputSpec], n_scores: int) -> None:
        super().__init__(inputs, n_scores)
        self.config = config
        # The list of edges has those of the second modality behind all those of the first: more turns, other places.
        self.causal = config.future == 0 and not config.weights_by_place
        kinds = _read_inputs(config, inputs)
        self.turns = TurnVectors({name: inputs[name] for names in kinds.values() for name in names})
        self.projections = nn.ModuleDict(
            {
                kind: _projection(kind, {name: self.turns.dims[name] for name in names}, config)
                for kind, names in kinds.items()
            }
        )
        self.pairs = list(combinations(kinds, 2)) or [(next(iter(kinds)),) * 2]
        counts = list(config.layers) * len(self.pairs) if len(config.layers) == 1 else config.layers
        if len(counts) != len(self.pairs):
            shown = ", ".join("+".join(pair) for pair in self.pairs)
            raise ConfigError(
                f"model graphsmile: model.options.layers: found {len(counts)} numbers, expected one for all graphs or "
                f"one for each of {shown}"
            )
        self.graphs = nn.ModuleList(PairGraph(config.hidden_dim, count, config.dropout) for count in counts)
        tables = [PlaceWeights(config.n_edge_weights) for _ in self.pairs] if config.weights_by_place else []
        self.edge_weights = nn.ModuleList(tables)
        self.fusion = nn.Sequential(nn.Linear(config.hidden_dim, config.hidden_dim), nn.LeakyReLU())
        self.head = nn.Linear(config.hidden_dim, n_scores)
        self.sentiment = nn.Linear(config.hidden_dim, 3) if config.sentiment_weight else None
        self._has_warned = False
        self.shift = nn.Linear(2 * config.hidden_dim, 2) if config.shift_weight else None

    def forward(self, batch: DialogueBatch, *, return_attention: bool = False) -> Output:
        """Scores of every turn; there is no attention."""
        index = turn_index(batch)
        fused_NH = self.fuse(self.turns.vectors(batch), batch.is_present, index)
        (row_N,) = send([index.row_N], fused_NH.device)
        auxiliary = self.further_scores(fused_NH, index) if self.training else {}
        if "sentiment" in auxiliary:
            auxiliary["sentiment"] = to_turns(auxiliary["sentiment"], row_N, *batch.speaker.shape)
        return Output(to_turns(self.head(fused_NH), row_N, *batch.speaker.shape), {}, auxiliary)

    def fuse(self, vectors: Mapping[str, Tensor], is_present: Mapping[str, Tensor], index: TurnIndex) -> Nodes:
        """The fused vectors of the real turns.

        Args:
            vectors: input → vectors of the turns ``[B, T, D]``.
            is_present: input → where a turn has it.
            index: the real turns.
        """
        some_BT = next(iter(is_present.values()))
        (row_N,) = send([index.row_N], some_BT.device)
        nodes = {
            kind: to_nodes(projection(vectors, is_present), row_N) for kind, projection in self.projections.items()
        }
        graphs = self._graphs(index, next(iter(nodes.values())))
        halves: list[Tensor] = []
        for (one, other), layers, graph in zip(self.pairs, self.graphs, graphs, strict=True):
            halves += layers(torch.cat([nodes[one], nodes[other]]), graph).chunk(2)
        fused_NH: Tensor = self.fusion(torch.stack(halves)).mean(0)
        return fused_NH

    def _graphs(self, index: TurnIndex, x_NH: Nodes) -> Sequence[PairEdges | PairWindows]:
        """The graph of each pair; without weights all are the same."""
        past, future = (None if size < 0 else size for size in (self.config.past, self.config.future))
        low_N, high_N = window_bounds(index, past, future)
        count_N = high_N - low_N + 1
        if not self.edge_weights and count_N.sum() > MOST_EDGES * len(index):
            spans = send([low_N, high_N, index.row_N, index.dialogue_N, count_N], x_NH.device)
            n_dialogues = len(index.n_turns_B)
            windows = PairWindows.of(*spans, n_dialogues=n_dialogues, n_padded=index.n_padded, dtype=x_NH.dtype)
            return [windows] * len(self.pairs)
        edges, place_E = edges_between(index, low_N, high_N)
        flat, place = send([edges, place_E], x_NH.device)
        weights: list[Tensor | None] = [table(place) for table in self.edge_weights] or [None]
        graphs = [PairEdges.normalised(flat.view(2, -1), weight_E, 2 * len(index), x_NH) for weight_E in weights]
        return graphs if self.edge_weights else graphs * len(self.pairs)

    def further_scores(self, fused_NH: Nodes, index: TurnIndex) -> dict[str, Tensor]:
        """``sentiment``: scores of the real turns ``[N, 3]``; ``shift``: scores of all pairs ``[P, 2]``."""
        found = {}
        if self.sentiment is not None:
            found["sentiment"] = self.sentiment(fused_NH)
        if self.shift is not None:
            first, second = self.shift.weight.chunk(2, dim=1)  # a product per turn, not one per pair
            pairs = self._shift_pairs(index)
            one, other = send([pairs[0], pairs[1]], fused_NH.device)
            scores_P2 = (fused_NH @ first.T).index_select(0, one) + (fused_NH @ second.T).index_select(0, other)
            found["shift"] = scores_P2 + self.shift.bias
        return found

    @property
    def auxiliary_weights(self) -> Mapping[str, float]:
        """The weights of the two further losses, beside 1 for the main loss."""
        weights = {"sentiment": self.config.sentiment_weight, "shift": self.config.shift_weight}
        return {name: weight for name, weight in weights.items() if weight}

    def auxiliary_counts(self, batch: DialogueBatch) -> Mapping[str, float]:
        """The number of turns with a sentiment, and of pairs in which both turns have one."""
        if batch.sentiment is None and not self._has_warned:
            self._has_warned = True
            _logger.warning("model graphsmile: the turns have no sentiments, so its further heads learn nothing")
        return {name: float(len(rows)) for name, (rows, _) in self._targets(batch).items()}

    def auxiliary_numerators(self, output: Output, batch: DialogueBatch, loss: MainLoss) -> Mapping[str, Tensor]:
        """The sums of the negative log-likelihoods of the sentiments, and of the shifts."""
        sums = {}
        for name, (rows, labels) in self._targets(batch).items():
            scores_RC = output.auxiliary[name].flatten(0, -2)
            row_R, label_R = send([rows, labels], scores_RC.device)
            dtype = torch.promote_types(scores_RC.dtype, torch.float32)
            log_probs_RC = scores_RC.index_select(0, row_R).log_softmax(-1, dtype=dtype)
            sums[name] = -log_probs_RC.gather(1, label_R[:, None]).sum()
        return sums

    def _targets(self, batch: DialogueBatch) -> dict[str, tuple[Ints, Ints]]:
        """For each further loss, the rows of its scores that count, and their labels, on the CPU."""
        index = turn_index(batch)
        sentiment_N = np.full(len(index), IGNORED_LABEL)
        if batch.sentiment is not None:
            sentiment_N = batch.on_host(batch.sentiment).numpy().reshape(-1)[index.row_N]
        is_known_N = sentiment_N != IGNORED_LABEL
        found = {}
        if self.sentiment is not None:
            found["sentiment"] = index.row_N[is_known_N], sentiment_N[is_known_N]
        if self.shift is not None:
            one_P, other_P = self._shift_pairs(index)
            (known_R,) = np.nonzero(is_known_N[one_P] & is_known_N[other_P])
            is_shift_P = sentiment_N[one_P] != sentiment_N[other_P]
            found["shift"] = known_R, is_shift_P[known_R].astype(np.int64)
        return found

    def _shift_pairs(self, index: TurnIndex) -> Ints:
        size = self.config.shift_window
        return block_pairs(index, None if size < 0 else size)

    def stream(self) -> TurnStream:
        """A stream that keeps the vectors of all turns so far; only for a causal system."""
        if not self.causal and self.config.future == 0:
            raise ConfigError(
                f"model {self.name}: cannot label turn by turn, because with weights_by_place an edge has another "
                "weight in a longer dialogue; use predict on the whole dialogue"
            )
        if not self.causal:
            raise ConfigError(
                f"model {self.name}: cannot label turn by turn, because a turn sees later turns; train it with "
                "--model.options.future 0"
            )
        kept: dict[str, list[Tensor]] = {name: [] for name in self.turns.dims}
        present: dict[str, list[Tensor]] = {name: [] for name in self.turns.dims}

        def score_turn(batch: DialogueBatch) -> Tensor:
            for name, vector_11D in self.turns.vectors(batch).items():
                kept[name].append(vector_11D)
                present[name].append(batch.is_present[name])
            n_turns = len(next(iter(kept.values())))
            nothing_N = np.zeros(n_turns, dtype=np.int64)
            index = TurnIndex(np.array([n_turns]), n_turns, nothing_N, np.arange(n_turns), nothing_N)
            fused_NH = self.fuse(
                {name: torch.cat(turns, dim=1) for name, turns in kept.items()},
                {name: torch.cat(turns, dim=1) for name, turns in present.items()},
                index,
            )
            scores_S: Tensor = self.head(fused_NH[-1])
            return scores_S

        return score_turn


def _projection(kind: str, dims: Mapping[str, int], config: GraphSmileConfig) -> nn.Module:
    """The projection of a modality's vectors."""
    if kind != "text":
        return VectorProjection(dims, config.hidden_dim, config.dropout)
    if config.text_fusion == "mean":
        advice = "they share a projection; set model.options.text_fusion to concat, or choose text_vectors"
        same_size(GraphSmile.name, dims, advice)
    return TextProjection(dims, config.hidden_dim, config.dropout, is_mean=config.text_fusion == "mean")


def _read_inputs(config: GraphSmileConfig, inputs: Mapping[str, InputSpec]) -> dict[str, list[str]]:
    """Kind of modality → its inputs that are read. What is missing or dropped is said."""
    kinds = by_kind(inputs)
    texts = kinds.get("text", [])
    if texts and config.text_vectors:
        beyond = [number for number in config.text_vectors if number >= len(texts)]
        if beyond:
            raise ConfigError(
                f"model graphsmile: model.options.text_vectors: found {beyond}, but the run has {len(texts)} vectors "
                f"of the text ({', '.join(texts)}), numbered from 0"
            )
        kinds["text"] = [texts[number] for number in config.text_vectors]
        unread = [name for name in texts if name not in kinds["text"]]
        if unread:
            _logger.warning("model graphsmile: %s not read, because of text_vectors", ", ".join(unread))
    dropped = "the graphs with them are dropped"
    if len(kinds) == 1:
        dropped += f", and one graph joins {next(iter(kinds))} with itself"
    say_missing("graphsmile", ("text", "visual", "audio"), inputs, dropped)
    return kinds
