"""A GRU and self-attention over frames: a branch of system E1, averaged to one vector."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor, nn

from dialogue_ser.encoders.base import TrainedEncoder
from dialogue_ser.errors import ConfigError
from dialogue_ser.nn.frames.attentive_gru import AttentiveGRU


@dataclass(frozen=True, kw_only=True, slots=True)
class GruAttentionConfig:
    """Options of GruAttention.

    Args:
        units: of the GRU, per direction; the document has 192 for text and 78 for audio.
        recurrent_dropout: on the GRU's way from state to state, one mask per row (0.3 in the document).
        bidirectional: a second GRU reads every row from its end (own addition).
        dropout: on the vector (own addition).
    """

    units: int = 192
    recurrent_dropout: float = 0.3
    bidirectional: bool = False
    dropout: float = 0.0

    def __post_init__(self) -> None:
        shares = {"recurrent_dropout": self.recurrent_dropout, "dropout": self.dropout}
        problems = [
            f"{name} {share} must be at least 0 and below 1" for name, share in shares.items() if not 0 <= share < 1
        ]
        if self.units < 1:
            problems.append(f"units {self.units} must be at least 1")
        if problems:
            raise ConfigError(*(f"gru-attention: {problem}" for problem in problems))


class GruAttention(TrainedEncoder):
    """Batch norm → GRU → self-attention → mean over frames (docs/equations.md, E1).

    One branch of ``fusion-attention``, with the document's global average pooling, as an encoder under any model.

    Args:
        config: options.
        dim: D of the frames: 39 of ``mfcc39``, the width of a text model with ``pooling: none``.
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
        """Mean of what each of the first ``length`` frames has read; 0 for a row without frames."""
        out_ND: Tensor = self.dropout(self.branch(values_NL, lengths_N, host_lengths_N).mean())
        return out_ND

    def attention_maps(
        self,
        values_NL: Float[Tensor, "row length feature"],
        lengths_N: Int[Tensor, " row"],
        host_lengths_N: Int[Tensor, " row"],
    ) -> list[Float[Tensor, "head frame frame"]]:
        """Weights ``[1, frame, frame]`` of each row; each frame's weights sum to 1."""
        weights_N1LL = self.branch.weights(values_NL, lengths_N, host_lengths_N)[:, None]
        return [own[:, :n, :n] for own, n in zip(weights_N1LL, host_lengths_N.tolist(), strict=True)]
