"""A VGG-like CNN over log-mel images, trained with the model: the acoustic branch of E2 (docs/equations.md)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from dialogue_ser.encoders.base import TrainedEncoder, is_valid
from dialogue_ser.errors import ConfigError
from dialogue_ser.nn.frames.frame_norm import FrameBatchNorm
from dialogue_ser.nn.frames.token_rows import forward_passes


@dataclass(frozen=True, kw_only=True, slots=True)
class VGGConfig:
    """Options of VGG. The document gives the dropout and the number of layers; the other defaults are own choice.

    Args:
        channels: of the image: 1 of ``logmel``, 3 of ``logmel3`` and ``mel-delta``.
        widths: channels behind each convolution; each is followed by a max-pool, which halves time and bands.
        linear_dims: sizes of the linear layers, the last of which is the utterance vector.
        dropout: behind each linear layer.
        negative_slope: of LeakyReLU (torch's).
        batch_norm: behind each pooling; not in the document.
    """

    channels: int = 1
    widths: Sequence[int] = (16, 32, 64, 128, 128)
    linear_dims: Sequence[int] = (256, 128)
    dropout: float = 0.6
    negative_slope: float = 0.01
    batch_norm: bool = False

    def __post_init__(self) -> None:
        sizes = {"channels": [self.channels], "widths": self.widths, "linear_dims": self.linear_dims}
        problems = [
            f"{name} {list(values)} must be one or more sizes of at least 1"
            for name, values in sizes.items()
            if not values or min(values) < 1
        ]
        shares = {"dropout": self.dropout, "negative_slope": self.negative_slope}
        problems += [f"{name} {x} must be at least 0 and below 1" for name, x in shares.items() if not 0 <= x < 1]
        if problems:
            raise ConfigError(*(f"vgg: {problem}" for problem in problems))


class VGG(TrainedEncoder):
    """5 × (Conv 3×3 → max-pool 2 → LeakyReLU) → mean over time → 2 × (linear → LeakyReLU → dropout) (E2).

    The layer to the classes and the softmax are the model's; the preset counts it as the second of the document's two
    linear layers and has one here (``linear_dims: [256]``). Own choices: the sizes; 3×3 filters as VGG has them
    (He et al.'s initial weights, because nothing normalises in between); the mean over time, which takes images of any
    length and keeps the bands apart; a pooling window that overhangs the image takes what there is. LeakyReLU rises, so
    it gives the same behind the pooling, for a quarter of the work.

    Each image gives what it would alone: beyond its end lie zeros for a convolution and nothing for a pooling. Images
    of like length share a pass, so that little padding is computed.

    Args:
        config: options.
        dim: D of the frames: channel behind channel, each with its bands.

    Raises:
        ConfigError: ``dim`` is no multiple of the channels.
    """

    name = "vgg"
    description = "VGG-like CNN over log-mel images of any length (options frames, frames_options)"
    front_end = "frames"
    Config = VGGConfig

    def __init__(self, config: VGGConfig, dim: int) -> None:
        super().__init__()
        if dim % config.channels:
            raise ConfigError(f"vgg: {dim} features are not {config.channels} channels of equally many; set channels")
        self.config = config
        widths = [config.channels, *config.widths]
        convolutions = [nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths)]
        self.convolutions = nn.ModuleList(convolutions)
        self.norms = nn.ModuleList(FrameBatchNorm(width) for width in config.widths if config.batch_norm)
        n_bands = dim // config.channels
        for convolution in convolutions:
            n_bands = -(-n_bands // 2)
            nn.init.kaiming_normal_(convolution.weight, a=config.negative_slope)
        dims = [widths[-1] * n_bands, *config.linear_dims]
        self.linear = nn.Sequential(
            *(
                nn.Sequential(nn.Linear(a, b), nn.LeakyReLU(config.negative_slope), nn.Dropout(config.dropout))
                for a, b in pairwise(dims)
            )
        )
        self.out_dim = dims[-1]

    def encode_rows(
        self,
        values_NL: Float[Tensor, "row length feature"],
        lengths_N: Int[Tensor, " row"],
        host_lengths_N: Int[Tensor, " row"],
    ) -> Float[Tensor, "row out"]:
        """One vector per image."""
        order, ends = forward_passes(host_lengths_N.tolist())
        order_N = torch.tensor(order).to(values_NL.device)
        values_NL, lengths_N = values_NL.index_select(0, order_N), lengths_N.index_select(0, order_N)
        passes = []
        for start, stop in pairwise([0, *ends]):
            host_lengths = host_lengths_N[order[start:stop]].clamp_min(1).tolist()
            x_NLF = values_NL[start:stop, : host_lengths[0]]
            passes.append(_Images.of(x_NLF, lengths_N[start:stop], host_lengths, self.config.channels))
        for i, convolution in enumerate(self.convolutions):
            passes = [images.with_map(convolution(images.x_NKLF)).halved() for images in passes]
            if self.norms:
                passes = _normalised(passes, self.norms[i])
            passes = [images.rectified(self.config.negative_slope) for images in passes]
        out_ND: Tensor = self.linear(torch.cat([images.mean() for images in passes]))
        return torch.zeros_like(out_ND).index_copy(0, order_N, out_ND)


@dataclass(frozen=True)
class _Images:
    """Images or maps that share a pass, from long to short.

    Args:
        x_NKLF: row, channel, frame, band.
        lengths_N: frames per row, at least 1.
        host_lengths: the same on the CPU.
    """

    x_NKLF: Float[Tensor, "row channel length band"]
    lengths_N: Int[Tensor, " row"]
    host_lengths: list[int]

    @classmethod
    def of(
        cls, x_NLF: Float[Tensor, "row length feature"], lengths_N: Tensor, host_lengths: list[int], channels: int
    ) -> "_Images":
        """From frames of channel behind channel; 0 beyond each row's end."""
        x_NLF = x_NLF.masked_fill(~is_valid(lengths_N, x_NLF.shape[1])[..., None], 0.0)
        x_NKLF = x_NLF.view(*x_NLF.shape[:2], channels, -1).transpose(1, 2)
        # The channels of a place side by side: half the time on a CPU.
        return cls(x_NKLF.to(memory_format=torch.channels_last), lengths_N.clamp_min(1), host_lengths)

    @property
    def is_frame_NL(self) -> Bool[Tensor, "row length"]:
        """False beyond each row's end."""
        return is_valid(self.lengths_N, self.x_NKLF.shape[2])

    def with_map(self, x_NKLF: Tensor) -> "_Images":
        """Another map of the same frames."""
        return replace(self, x_NKLF=x_NKLF)

    def halved(self) -> "_Images":
        """Max-pooled by 2; a window that overhangs a row's end takes what there is."""
        x_NKLF, n_rows = self.x_NKLF, len(self.host_lengths)
        n_whole = self.host_lengths.count(x_NKLF.shape[2])
        rows_N = torch.arange(n_whole, n_rows, device=x_NKLF.device)
        x_NKLF[rows_N, :, self.lengths_N[n_whole:]] = -torch.inf  # windows that hold a valid frame reach no further
        x_NKLF = nn.functional.max_pool2d(x_NKLF, 2, ceil_mode=True)
        return _Images(x_NKLF, (self.lengths_N + 1) // 2, [(length + 1) // 2 for length in self.host_lengths])

    def rectified(self, slope: float) -> "_Images":
        """LeakyReLU, and 0 beyond each row's end."""
        x_NKLF = nn.functional.leaky_relu(self.x_NKLF, slope)
        return self.with_map(x_NKLF.masked_fill(~self.is_frame_NL[:, None, :, None], 0.0))

    def mean(self) -> Float[Tensor, "row pooled"]:
        """Mean over time; what lies beyond the rows' ends is 0."""
        return (self.x_NKLF.sum(2) / self.lengths_N[:, None, None]).flatten(1)


def _normalised(passes: list[_Images], norm: nn.Module) -> list[_Images]:
    """Batch norm per channel over the valid places of all passes."""
    maps = [images.x_NKLF.permute(0, 2, 3, 1) for images in passes]
    is_valid_1V = torch.cat(
        [images.is_frame_NL.repeat_interleave(x.shape[2]) for images, x in zip(passes, maps, strict=True)]
    )[None]
    normal_1VK: Tensor = norm(torch.cat([x.flatten(0, 2) for x in maps])[None], is_valid_1V)
    pieces = torch.split(normal_1VK[0], [x[..., 0].numel() for x in maps])
    return [
        images.with_map(piece.view(x.shape).permute(0, 3, 1, 2))
        for images, piece, x in zip(passes, pieces, maps, strict=True)
    ]
