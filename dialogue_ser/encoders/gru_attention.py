"""A GRU and self-attention over frames, averaged to one vector: a branch of E1."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor, nn

from dialogue_ser.encoders.base import TrainedEncoder
from dialogue_ser.encoders.option_checks import raise_problems, rate_problems, size_problems
from dialogue_ser.nn.frames.attentive_gru import AttentiveGRU


@dataclass(frozen=True, kw_only=True, slots=True)
class GruAttentionConfig:
    """Options of GruAttention.

    Args:
        units: number of units of the GRU, per direction; the document has 192 for text and 78 for audio.
        recurrent_dropout: dropout rate on the GRU's path from state to state, with one mask per row (document: 0.3).
        bidirectional: add a second GRU, which reads every row from its end (own addition).
        dropout: dropout rate on the utterance vector (own addition).
    """

    units: int = 192
    recurrent_dropout: float = 0.3
    bidirectional: bool = False
    dropout: float = 0.0

    def __post_init__(self) -> None:
        problems = rate_problems(recurrent_dropout=self.recurrent_dropout, dropout=self.dropout)
        raise_problems("gru-attention", problems + size_problems(units=self.units))


class GruAttention(TrainedEncoder):
    """Batch norm → GRU → self-attention → mean over frames (docs/equations.md, E1).

    This is one branch of the model ``fusion-attention`` with the mean over time of the document. As an encoder it can
    be used with any model.

    Args:
        config: options.
        dim: D, the number of features of a frame: 39 for ``mfcc39``, or the width of a text model with ``pooling:
            none``.
    """

    name = "gru-attention"
    description = "batch norm, GRU and self-attention over frames (options frames, frames_options)"
    front_end = "frames"
    Config = GruAttentionConfig

    def __init__(self, config: GruAttentionConfig, dim: int) -> None:
        super().__init__()
        self.config = config
        self.branch = AttentiveGRU(
            dim, config.units, recurrent_dropout=config.recurrent_dropout, bidirectional=config.bidirectional
        )
        self.out_dim = self.branch.out_dim
        self.dropout = nn.Dropout(config.dropout)

    def encode_rows(
        self,
        values_NL: Float[Tensor, "row length feature"],
        lengths_N: Int[Tensor, " row"],
        host_lengths_N: Int[Tensor, " row"],
    ) -> Float[Tensor, "row out"]:
        """The mean of the attention's outputs over the valid frames of each row; 0 for a row without frames."""
        out_ND: Tensor = self.dropout(self.branch(values_NL, lengths_N, host_lengths_N).mean())
        return out_ND

    def attention_maps(
        self,
        values_NL: Float[Tensor, "row length feature"],
        lengths_N: Int[Tensor, " row"],
        host_lengths_N: Int[Tensor, " row"],
    ) -> list[Float[Tensor, "head frame frame"]]:
        """For each row, weights ``[1, frame, frame]``; the weights of each frame sum to 1."""
        weights_N1LL = self.branch.weights(values_NL, lengths_N, host_lengths_N)[:, None]
        return [weights[:, :n, :n] for weights, n in zip(weights_N1LL, host_lengths_N.tolist(), strict=True)]
