"""The first part of MMGCN and MM-DFN: from a batch to one node per turn and modality."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.batch.turns import TurnIndex, speech_order
from dialogue_ser.encoders.turn import TurnVectors
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.modalities import by_kind
from dialogue_ser.nn.context import RnnKind, make_rnn, read_sequences
from dialogue_ser.nn.nodes import to_nodes
from dialogue_ser.nn.transfer import send

Vectors = dict[str, Tensor]
"""Modality → vectors ``[N, D]`` of the real turns."""
Speakers = Literal["order", "number", "none"]


class ModalityNodes(nn.Module):
    """From a batch to one vector per turn and modality: a linear layer, and over the text a recurrence.

    Several inputs of one kind, e.g. ``text1`` and ``text2``, are concatenated and are one modality. A turn that lacks a
    modality has zeros before the linear layer.

    Args:
        inputs: name → shape of its features.
        rnn: lstm or gru.
        input_dim: size of the linear layer before a recurrence.
        context_dim: number of units of a recurrence per direction; a node has twice as many features.
        n_layers: number of layers of a recurrence.
        dropout: dropout rate between the layers of a recurrence.
        other_recurrence: every other modality has a recurrence of its own, too.

    Attributes:
        kinds: modality → names of its inputs.
    """

    def __init__(
        self,
        inputs: Mapping[str, InputSpec],
        *,
        rnn: RnnKind,
        input_dim: int,
        context_dim: int,
        n_layers: int,
        dropout: float,
        other_recurrence: bool,
    ) -> None:
        super().__init__()
        self.turns = TurnVectors(inputs)
        self.kinds = by_kind(inputs)
        recurring = [kind for kind in self.kinds if other_recurrence or kind == "text"]
        self.linear = nn.ModuleDict()
        for kind, names in self.kinds.items():
            size = input_dim if kind in recurring else 2 * context_dim
            self.linear[kind] = nn.Linear(sum(self.turns.dims[name] for name in names), size)
        self.rnn = nn.ModuleDict(
            {kind: make_rnn(rnn, input_dim, context_dim, n_layers=n_layers, dropout=dropout) for kind in recurring}
        )

    def projected(self, batch: DialogueBatch, row_N: Int[Tensor, " turn"]) -> Vectors:
        """Modality → outputs of its linear layer, for the real turns.

        Args:
            batch: the batch.
            row_N: ``TurnIndex.row_N`` on the device.
        """
        vectors = self.turns.vectors(batch)
        return {
            kind: self.linear[kind](to_nodes(torch.cat([vectors[name] for name in names], dim=-1), row_N))
            for kind, names in self.kinds.items()
        }

    def read(self, projected: Vectors, turns: TurnIndex) -> Vectors:
        """Modality → its nodes: what its recurrence says, or the outputs of the linear layer as they are."""
        nodes = dict(projected)
        for kind, rnn in self.rnn.items():
            assert isinstance(rnn, nn.RNNBase)
            nodes[kind] = read_sequences(rnn, nodes[kind], turns.dialogue_N, turns.position_N, turns.n_turns_B)
        return nodes


class NodeEmbeddings(nn.Module):
    """Learned vectors that are added to the nodes: for the speaker, and for the modality.

    The speaker's vector is added to the nodes of the text; without text to the first modality. Speakers are numbered in
    the order in which they first speak in the dialogue (``order``), or as the batch numbers them (``number``, the
    published form). A number beyond the table has the table's last row.

    Args:
        kinds: modalities, in their order.
        dim: number of features of a node.
        speakers: how speakers are numbered; none = no vector for them.
        n_speakers: number of rows of the table of speakers.
        modality: whether each modality has a vector.
    """

    def __init__(
        self, kinds: Mapping[str, object], dim: int, *, speakers: Speakers, n_speakers: int, modality: bool
    ) -> None:
        super().__init__()
        self.numbering = speakers
        self.speaker = None if speakers == "none" else nn.Embedding(n_speakers, dim)
        self.modality = nn.Embedding(len(kinds), dim) if modality else None
        self.kinds = list(kinds)
        self.place = self.kinds.index("text") if "text" in kinds else 0

    def forward(self, nodes: Vectors, turns: TurnIndex) -> Float[Tensor, "modality turn feature"]:
        """The nodes of all modalities with what is added to them."""
        x = [nodes[kind] for kind in self.kinds]
        if self.speaker is not None:
            number_N = speech_order(turns) if self.numbering == "order" else turns.speaker_N
            (row_N,) = send([np.minimum(number_N, self.speaker.num_embeddings - 1)], x[0].device)
            x[self.place] = x[self.place] + self.speaker(row_N)
        x_MND = torch.stack(x)
        return x_MND if self.modality is None else x_MND + self.modality.weight[:, None]
