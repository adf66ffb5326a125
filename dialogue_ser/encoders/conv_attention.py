"""Convolutions and self-attention over frames: the encoder and decoder of E3 (docs/equations.md)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from dialogue_ser.encoders.base import TrainedEncoder, is_valid
from dialogue_ser.errors import ConfigError
from dialogue_ser.nn.frames.frame_attention import FrameAttention
from dialogue_ser.nn.frames.frame_norm import FrameBatchNorm


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvAttentionConfig:
    """Options of ConvAttention; the document gives no size, so every default is own choice.

    Args:
        channels: of both convolutions, and so of the attention.
        kernel_size: frames that a convolution sees; odd, so that frames stay where they are.
        strides: of the two convolutions. Each step of a map is their product in frames; attention costs the square.
        n_heads: h; a divisor of ``channels``.
        out_dim: the utterance vector: width of the first dense layer.
        dropout: on each convolution's output.
        attention_dropout: on the attention weights.
        max_frames: what lies behind is not read, which bounds what a long recording costs; None = all.
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
        sizes = {name: getattr(self, name) for name in ("channels", "kernel_size", "n_heads", "out_dim")}
        sizes |= {"max_frames": self.max_frames} if self.max_frames is not None else {}
        problems = [f"{name} {size} must be at least 1" for name, size in sizes.items() if size < 1]
        if self.kernel_size % 2 == 0:
            problems.append(f"kernel_size {self.kernel_size} must be odd, e.g. {self.kernel_size + 1}")
        if len(self.strides) != 2 or min(self.strides) < 1:
            problems.append(f"strides {list(self.strides)} must be two numbers of at least 1, e.g. [1, 2]")
        if not problems and self.channels % self.n_heads:
            problems.append(f"n_heads {self.n_heads} must divide channels {self.channels}")
        shares = {"dropout": self.dropout, "attention_dropout": self.attention_dropout}
        problems += [f"{name} {x} must be at least 0 and below 1" for name, x in shares.items() if not 0 <= x < 1]
        if problems:
            raise ConfigError(*(f"conv-attention: {problem}" for problem in problems))


class ConvAttention(TrainedEncoder):
    """2 × (Conv1d → batch norm → ReLU) = E → C = E + A_MH → mean over frames → dense, ReLU (E3).

    Of the document's two dense layers the second is the model's head (``utterance``: one linear layer to the classes,
    softmax), so that this part gives a vector under any model; ReLU between the two is own choice. Before each
    convolution what lies beyond a row's end is 0, as in a row that ends there; batch norm counts valid frames alone.

    Args:
        config: options.
        dim: D of the frames: 384 of ``mel-delta`` (acoustic), the width of a speech recogniser's layer (linguistic).
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
            # No bias: batch norm would take it away again.
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
        e_NLD, is_valid_NL = self._convolved(values_NL, lengths_N)
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
        """Weights ``[head, step, step]`` of each row, ⌈frames / stride⌉ steps; each step's weights sum to 1."""
        e_NLD, is_valid_NL = self._convolved(values_NL, lengths_N)
        weights_NHLL = self.attention.weights(e_NLD, is_valid_NL)
        return [weights[:, :n, :n] for weights, n in zip(weights_NHLL, is_valid_NL.sum(1).tolist(), strict=True)]

    def _convolved(
        self, values_NL: Tensor, lengths_N: Tensor
    ) -> tuple[Float[Tensor, "row frame channel"], Bool[Tensor, "row frame"]]:
        """E, 0 beyond each row's end, and which of its frames are valid."""
        x_NLD = values_NL[:, : self.config.max_frames]
        x_NLD = x_NLD.masked_fill(~is_valid(lengths_N, x_NLD.shape[1])[..., None], 0.0)
        n_N = lengths_N.clamp(1, x_NLD.shape[1])  # an empty row is read as one frame of zeros
        for convolution, norm, stride in zip(self.convolutions, self.norms, self.config.strides, strict=True):
            x_NLD = convolution(x_NLD.transpose(1, 2)).transpose(1, 2)
            n_N = (n_N - 1) // stride + 1
            x_NLD = self.dropout(torch.relu(norm(x_NLD, is_valid(n_N, x_NLD.shape[1]))))
        return x_NLD, is_valid(n_N, x_NLD.shape[1])
