"""Convolutions and self-attention over frames, the encoder and decoder of E3 (docs/equations.md)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from dialogue_ser.encoders.base import TrainedEncoder, is_valid
from dialogue_ser.encoders.option_checks import raise_problems, rate_problems, size_problems
from dialogue_ser.nn.frames.frame_attention import FrameAttention
from dialogue_ser.nn.frames.frame_norm import FrameBatchNorm


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvAttentionConfig:
    """Options of ConvAttention; the document gives no sizes, so every default is an own choice.

    Args:
        channels: number of channels of both convolutions, and so of the attention.
        kernel_size: number of frames that a convolution reads. It must be odd, so that frames keep their positions.
        strides: strides of the two convolutions. One step of the attention stands for their product in frames. Larger
            strides make the attention cheaper: its cost grows with the square of the number of steps.
        n_heads: number of attention heads; it must divide ``channels``.
        out_dim: size of the utterance vector, which is the output of the first dense layer.
        dropout: dropout rate on the output of each convolution.
        attention_dropout: dropout rate on the attention weights.
        max_frames: number of frames that are read from the start of an utterance; None = all. A limit bounds the cost
            of long recordings.
    """

    channels: int = 128
    kernel_size: int = 5
    strides: Sequence[int] = (1, 1)
    n_heads: int = 4
    out_dim: int = 64
    dropout: float = 0.0
    attention_dropout: float = 0.0
    max_frames: int | None = None

    def __post_init__(self) -> None:
        problems = size_problems(
            channels=self.channels,
            kernel_size=self.kernel_size,
            n_heads=self.n_heads,
            out_dim=self.out_dim,
            max_frames=self.max_frames,
        )
        if self.kernel_size % 2 == 0:
            problems.append(f"kernel_size {self.kernel_size} must be odd, e.g. {self.kernel_size + 1}")
        if len(self.strides) != 2 or min(self.strides) < 1:
            problems.append(f"strides {list(self.strides)} must be two numbers of at least 1, e.g. [1, 2]")
        if not problems and self.channels % self.n_heads:
            problems.append(f"n_heads {self.n_heads} must divide channels {self.channels}")
        problems += rate_problems(dropout=self.dropout, attention_dropout=self.attention_dropout)
        raise_problems("conv-attention", problems)


class ConvAttention(TrainedEncoder):
    """2 × (Conv1d → batch norm → ReLU) = E → C = E + A_MH → mean over frames → dense, ReLU (E3).

    The document has two dense layers. The second one is the head of the model (in ``utterance``: one linear layer to
    the classes, then softmax), so this encoder gives a vector for any model. The ReLU between the two dense layers is
    an own choice. Before each convolution, values beyond the end of a row are set to 0, so a row gives the same result
    as without padding. Batch norm uses valid frames only.

    Args:
        config: options.
        dim: D, the number of features of a frame: 384 for ``mel-delta`` (acoustic system), or the width of a layer of a
            speech recogniser (linguistic system).
    """

    name = "conv-attention"
    description = "convolutions and multi-head self-attention over frames (options frames, frames_options)"
    front_end = "frames"
    Config = ConvAttentionConfig

    def __init__(self, config: ConvAttentionConfig, dim: int) -> None:
        super().__init__()
        self.config = config
        self.out_dim = config.out_dim
        self.attention_stride = math.prod(config.strides)
        self.convolutions = nn.ModuleList(
            # There is no bias, because batch norm would remove it.
            nn.Conv1d(width, config.channels, config.kernel_size, stride, config.kernel_size // 2, bias=False)
            for width, stride in zip((dim, config.channels), config.strides, strict=True)
        )
        self.norms = nn.ModuleList(FrameBatchNorm(config.channels) for _ in config.strides)
        self.dropout = nn.Dropout(config.dropout)
        self.attention = FrameAttention(config.channels, config.n_heads, dropout=config.attention_dropout)
        self.dense = nn.Linear(config.channels, config.out_dim)

    def encode_rows(
        self,
        values_NL: Float[Tensor, "row length feature"],
        lengths_N: Int[Tensor, " row"],
        host_lengths_N: Int[Tensor, " row"],
    ) -> Float[Tensor, "row out"]:
        """One vector per row."""
        e_NLD, is_valid_NL = self._convolve(values_NL, lengths_N)
        c_NLD = e_NLD + self.attention(e_NLD, is_valid_NL)
        total_ND = c_NLD.masked_fill(~is_valid_NL[..., None], 0.0).sum(1)
        out_ND: Tensor = torch.relu(self.dense(total_ND / is_valid_NL.sum(1)[:, None]))
        return out_ND

    def attention_maps(
        self,
        values_NL: Float[Tensor, "row length feature"],
        lengths_N: Int[Tensor, " row"],
        host_lengths_N: Int[Tensor, " row"],
    ) -> list[Float[Tensor, "head frame frame"]]:
        """For each row, weights ``[head, step, step]`` with ⌈frames / stride⌉ steps; the weights of a step sum to 1."""
        e_NLD, is_valid_NL = self._convolve(values_NL, lengths_N)
        weights_NHLL = self.attention.weights(e_NLD, is_valid_NL)
        return [weights[:, :n, :n] for weights, n in zip(weights_NHLL, is_valid_NL.sum(1).tolist(), strict=True)]

    def _convolve(
        self, values_NL: Tensor, lengths_N: Tensor
    ) -> tuple[Float[Tensor, "row frame channel"], Bool[Tensor, "row frame"]]:
        """E, and a mask of its valid frames; E is 0 beyond the end of each row."""
        x_NLD = values_NL[:, : self.config.max_frames]
        x_NLD = x_NLD.masked_fill(~is_valid(lengths_N, x_NLD.shape[1])[..., None], 0.0)
        n_N = lengths_N.clamp(1, x_NLD.shape[1])  # an empty row is read as one frame of zeros
        for convolution, norm, stride in zip(self.convolutions, self.norms, self.config.strides, strict=True):
            x_NLD = convolution(x_NLD.transpose(1, 2)).transpose(1, 2)
            n_N = (n_N - 1) // stride + 1
            x_NLD = self.dropout(torch.relu(norm(x_NLD, is_valid(n_N, x_NLD.shape[1]))))
        return x_NLD, is_valid(n_N, x_NLD.shape[1])
