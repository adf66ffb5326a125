"""What an utterance encoder trained inside the model is: ids or frames of a turn in, one vector out."""

from dataclasses import fields
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

FrontEnd = Literal["words", "frames"]


class TrainedEncoder(nn.Module):
    """Base of every trained encoder; only turns that are present are computed.

    A subclass sets ``name``, ``description``, ``front_end``, ``Config`` (frozen dataclass of its options), is built
    as ``Encoder(config, dim)`` with ``dim`` = D of the frames or the size of the vocabulary, sets ``out_dim`` and
    defines ``encode_rows``, whose result for a row must depend on that row's first ``length`` values alone.

    Attributes:
        name: registry name.
        description: one line for ``dialogue-ser encoders``.
        front_end: what it reads: ``words`` (word ids by a vocabulary from train) or ``frames`` of a frozen encoder.
        Config: its options.
        out_dim: D of its output.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    front_end: ClassVar[FrontEnd]
    Config: ClassVar[type[Any]]
    out_dim: int

    @classmethod
    def option_names(cls) -> tuple[str, ...]:
        """Names of the module's own options."""
        return tuple(field.name for field in fields(cls.Config))

    def encode_rows(
        self, values_NL: Shaped[Tensor, "row length *feature"], lengths_N: Int[Tensor, " row"]
    ) -> Float[Tensor, "row out"]:
        """One vector per row; values beyond a row's length are anything."""
        raise NotImplementedError

    def forward(
        self,
        values_BTL: Shaped[Tensor, "batch turn length *feature"],
        lengths_BT: Int[Tensor, "batch turn"],
        is_present_BT: Bool[Tensor, "batch turn"],
    ) -> Float[Tensor, "batch turn out"]:
        """One vector per turn, zero where the turn is padding or lacks the modality."""
        lengths_N = lengths_BT[is_present_BT]
        if len(lengths_N) == 0:
            out_like = values_BTL if values_BTL.is_floating_point() else next(self.parameters())
            return out_like.new_zeros(*is_present_BT.shape, self.out_dim)
        longest = int(lengths_N.max())
        rows_ND = self.encode_rows(values_BTL[is_present_BT][:, :longest], lengths_N)
        out_BTD = rows_ND.new_zeros(*is_present_BT.shape, self.out_dim)
        out_BTD[is_present_BT] = rows_ND
        return out_BTD


def is_valid(lengths_N: Int[Tensor, " row"], longest: int) -> Bool[Tensor, "row length"]:
    """True on the first ``length`` places of each row."""
    return torch.arange(longest, device=lengths_N.device) < lengths_N[:, None]
