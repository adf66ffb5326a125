"""What MMGCN and MM-DFN share: the graph of similar turns, the deep network over it, and the head."""

import math
from collections.abc import Mapping

import torch
from torch import nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.batch.rows import dialogue_rows
from dialogue_ser.batch.turns import TurnIndex, turn_index
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.api import DialogueSystem, Output
from dialogue_ser.models.graph.modality_nodes import ModalityNodes, NodeEmbeddings, Vectors
from dialogue_ser.models.modalities import say_missing
from dialogue_ser.nn.dropout import Dropout
from dialogue_ser.nn.graph.deep_network import DeepGraphNetwork
from dialogue_ser.nn.graph.similarity import similarity_graph
from dialogue_ser.nn.nodes import to_turns
from dialogue_ser.nn.transfer import send


def share_problems(where: str, decay: float, initial_share: float) -> list[str]:
    """What is wrong with λ and α, for an error."""
    problems = []
    if not 0 < decay < math.inf:
        problems.append(f"{where}.decay: found {decay}, expected more than 0")
    if not 0 <= initial_share <= 1:
        problems.append(f"{where}.initial_share: found {initial_share}, expected 0 to 1")
    return problems


class SimilaritySystem(DialogueSystem):
    """A system with one node per turn and modality, joined by similarity. A subclass builds the parts.

    Attributes:
        nodes: from a batch to the nodes.
        embeddings: what is added to the nodes.
        network: the layers over the graph.
        across_weight: factor of the weights between modalities.
        residual: the head reads the nodes beside the output of the network.
        head: one linear layer.
    """

    causal = False
    bidirectional_recurrence = True
    nodes: ModalityNodes
    embeddings: NodeEmbeddings
    network: DeepGraphNetwork
    across_weight: float = 1.0
    residual: bool = True
    head: nn.Linear

    def __init__(self, inputs: Mapping[str, InputSpec], n_scores: int, *, dropout: float) -> None:
        super().__init__(inputs, n_scores)
        dropped = "its graph has no nodes for them and joins only the modalities that the run has"
        say_missing(self.name, ("text", "audio", "visual"), inputs, dropped)
        self.dropout = Dropout(dropout)

    def contexts(self, batch: DialogueBatch, turns: TurnIndex, row_N: torch.Tensor) -> Vectors:
        """Modality → its nodes before anything is added to them."""
        return self.nodes.read(self.nodes.projected(batch, row_N), turns)

    def forward(self, batch: DialogueBatch, *, return_attention: bool = False) -> Output:
        """Scores of every turn; the graph has no attention, so nothing is returned for it."""
        turns = turn_index(batch)
        rows = dialogue_rows(turns)
        device = batch.n_turns.device
        row_N, slot_N, dialogue_S = send([turns.row_N, rows.slot_N, rows.dialogue_RW], device)
        x_MND = self.embeddings(self.contexts(batch, turns, row_N), turns)
        n_kinds, _, size = x_MND.shape
        x_MSF = x_MND.new_zeros(n_kinds, rows.n_rows * rows.width, size).index_copy(1, slot_N, x_MND)
        x_MRWF = x_MSF.view(n_kinds, rows.n_rows, rows.width, size)
        graph = similarity_graph(x_MRWF, dialogue_S.view(rows.n_rows, rows.width), self.across_weight)
        x_MRWF = self.dropout(x_MRWF)
        h_MRWH = self.network(graph, x_MRWF)
        out_MRWH = torch.cat([x_MRWF, h_MRWH], dim=-1) if self.residual else h_MRWH
        out_NMH = out_MRWH.flatten(1, 2).index_select(1, slot_N).transpose(0, 1)
        scores_NS = self.head(torch.relu(self.dropout(out_NMH.flatten(1))))
        return Output(to_turns(scores_NS, row_N, batch.n_dialogues, turns.n_padded), {})
