"""Mean over the frames of each turn, the default encoder for frames of a frozen encoder."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor, nn

from dialogue_ser.encoders.base import TrainedEncoder, is_valid


@dataclass(frozen=True, kw_only=True, slots=True)
class MeanPoolConfig:
    """Options of MeanPool.

    Args:
        dropout: dropout rate on the mean vector.
    """

    dropout: float = 0.0


class MeanPool(TrainedEncoder):
    """Mean over the valid frames; it has no weights.

    Args:
        config: options.
        dim: D, the number of features of a frame and of the output.
    """

    name = "meanpool"
    description = "masked mean over the frames of a frozen encoder (options frames, frames_options)"
    front_end = "frames"
    Config = MeanPoolConfig

    def __init__(self, config: MeanPoolConfig, dim: int) -> None:
        super().__init__()
        self.config = config
        self.out_dim = dim
        self.dropout = nn.Dropout(config.dropout)

    def encode_rows(
        self,
        values_NL: Float[Tensor, "row length feature"],
        lengths_N: Int[Tensor, " row"],
        host_lengths_N: Int[Tensor, " row"],
    ) -> Float[Tensor, "row feature"]:
        """The mean over the first ``length`` frames of each row."""
        is_padding_NL = ~is_valid(lengths_N, values_NL.shape[1])
        total_ND = values_NL.masked_fill(is_padding_NL[..., None], 0.0).sum(1)
        pooled_ND: Tensor = self.dropout(total_ND / lengths_N.clamp_min(1)[:, None])
        return pooled_ND
