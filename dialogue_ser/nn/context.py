"""LSTM and GRU over the turns of dialogues or of single speakers. Padding is never read, so nothing leaks from it."""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from dialogue_ser.nn.gru.packed import PackedGRU
from dialogue_ser.nn.transfer import send
from dialogue_ser.tensors import FeaturesBTD, HiddenBTH, TurnsB

RnnKind = Literal["lstm", "gru"]


def make_rnn(
    kind: RnnKind, in_dim: int, hidden_dim: int, *, n_layers: int = 1, dropout: float = 0.0, bidirectional: bool = True
) -> nn.RNNBase:
    """An LSTM or a GRU; with both directions its output has 2 · ``hidden_dim`` units.

    Args:
        kind: lstm or gru.
        in_dim: number of features of a turn.
        hidden_dim: number of units per direction.
        n_layers: number of layers; the next one reads both directions of the one before.
        dropout: dropout rate between the layers.
        bidirectional: also read backwards.
    """
    cls: type[nn.LSTM] | type[PackedGRU] = {"lstm": nn.LSTM, "gru": PackedGRU}[kind]
    between = dropout if n_layers > 1 else 0.0  # torch warns of a dropout that has no place
    return cls(in_dim, hidden_dim, n_layers, batch_first=True, dropout=between, bidirectional=bidirectional)


def read_dialogues(rnn: nn.RNNBase, x_BTD: FeaturesBTD, n_turns_B: TurnsB) -> HiddenBTH:
    """The outputs of a recurrence over every dialogue; exactly 0 on padding, which is not read.

    Args:
        rnn: from :func:`make_rnn`.
        x_BTD: vectors of the turns.
        n_turns_B: number of real turns per dialogue, on the CPU (``DialogueBatch.n_turns_host``).
    """
    # Torch would sort on the device and wait for the result, so the sorting is done here on the CPU.
    sorted_B, order_B = torch.sort(n_turns_B, descending=True)
    order, inverse_order = send([order_B.numpy(), order_B.argsort().numpy()], x_BTD.device)
    packed = pack_padded_sequence(x_BTD.index_select(0, order), sorted_B, batch_first=True)
    h_BTH: Tensor = pad_packed_sequence(rnn(packed)[0], batch_first=True, total_length=x_BTD.shape[1])[0]
    return h_BTH.index_select(0, inverse_order)


def read_sequences(
    rnn: nn.RNNBase,
    x_ND: Float[Tensor, "turn feature"],
    sequence_N: NDArray[np.int64],
    step_N: NDArray[np.int64],
    length_R: NDArray[np.int64],
) -> Float[Tensor, "turn hidden"]:
    """The outputs of a recurrence over sequences of turns, e.g. over the turns of each speaker, per turn.

    Args:
        rnn: from :func:`make_rnn`.
        x_ND: vectors of the turns.
        sequence_N: sequence of each turn (``PartySequences``).
        step_N: place of each turn in its sequence.
        length_R: number of turns per sequence.
    """
    longest = int(length_R.max())
    (place_N,) = send([sequence_N * longest + step_N], x_ND.device)
    x_RLD = x_ND.new_zeros(len(length_R) * longest, x_ND.shape[1]).index_copy(0, place_N, x_ND)
    h_RLH = read_dialogues(rnn, x_RLD.view(len(length_R), longest, -1), torch.from_numpy(length_R))
    return h_RLH.flatten(0, 1).index_select(0, place_N)
