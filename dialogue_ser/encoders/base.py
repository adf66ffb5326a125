"""What an utterance encoder trained inside the model is: ids or frames of a turn in, one vector out."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from dialogue_ser.errors import ConfigError, FeatureError
from dialogue_ser.nn.transfer import send

FrontEnd = Literal["words", "subwords", "frames"]


class TrainedEncoder(nn.Module):
    """Base of every trained encoder; only turns that are present are computed.

    A subclass sets ``name``, ``description``, ``front_end``, ``Config`` (frozen dataclass of its options), is built
    as ``Encoder(config, dim)`` with ``dim`` = D of the frames or the size of the vocabulary, sets ``out_dim`` and
    defines ``encode_rows``, whose result for a row must depend on that row's first ``length`` values alone.

    Attributes:
        name: registry name.
        description: one line for ``dialogue-ser encoders``.
        front_end: what it reads: ``words`` (word ids by a vocabulary from train), ``subwords`` (ids by a pretrained
            tokenizer) or ``frames`` of a frozen encoder.
        takes_vectors: whether one of ``frames`` also reads a frozen encoder's vectors, as one frame each.
        gives_frames: whether it also gives a state per value (``encode_frames``), for models that read frames.
        Config: its options.
        out_dim: D of its output.
        attention_stride: frames or tokens for which one step of ``attention_maps`` stands.
        attention_names: what its heads are called, in their order; empty = ``head 1``, ``head 2``, …
    """

    name: ClassVar[str]
    description: ClassVar[str]
    front_end: ClassVar[FrontEnd]
    takes_vectors: ClassVar[bool] = False
    gives_frames: ClassVar[bool] = False
    Config: ClassVar[type[Any]]
    out_dim: int
    attention_stride: int = 1
    attention_names: tuple[str, ...] = ()

    @classmethod
    def option_names(cls) -> tuple[str, ...]:
        """Names of the module's own options."""
        return tuple(field.name for field in fields(cls.Config))

    def depths(self) -> Mapping[str, int]:
        """Parameter → layers above it, for parameters that begin pretrained: their learning rate is one apart."""
        return {}

    def encode_rows(
        self,
        values_NL: Shaped[Tensor, "row length *feature"],
        lengths_N: Int[Tensor, " row"],
        host_lengths_N: Int[Tensor, " row"],
    ) -> Float[Tensor, "row out"]:
        """One vector per row; values beyond a row's length are anything.

        Args:
            values_NL: at least one row.
            lengths_N: valid values per row.
            host_lengths_N: the same on the CPU: sizes that depend on lengths are asked here, because asking a GPU would
                wait for everything it has yet to do.
        """
        raise NotImplementedError

    def encode_frames(
        self,
        values_NL: Shaped[Tensor, "row length *feature"],
        lengths_N: Int[Tensor, " row"],
        host_lengths_N: Int[Tensor, " row"],
    ) -> Float[Tensor, "row length out"]:
        """One state per value where ``gives_frames``; arguments as of ``encode_rows``, junk beyond a row's length."""
        raise NotImplementedError

    def attention_maps(
        self,
        values_NL: Shaped[Tensor, "row length *feature"],
        lengths_N: Int[Tensor, " row"],
        host_lengths_N: Int[Tensor, " row"],
    ) -> list[Float[Tensor, "head step seen"]]:
        """For people to look at: of each row, how much each of its frames or tokens looks at each other, per head.

        Args:
            values_NL: as in ``encode_rows``, as the others.
            lengths_N: valid values per row.
            host_lengths_N: the same on the CPU.

        Raises:
            ConfigError: the encoder has no such attention; one that has overrides this.
        """
        raise ConfigError(f"encoder {self.name}: has no attention over frames to show; conv-attention has")

    def forward(
        self,
        values_BTL: Shaped[Tensor, "batch turn length *feature"],
        lengths_BT: Int[Tensor, "batch turn"] | None,
        is_present_BT: Bool[Tensor, "batch turn"],
    ) -> Float[Tensor, "batch turn out"]:
        """One vector per turn, zero where the turn is padding or lacks the modality.

        Args:
            values_BTL: on the model's device.
            lengths_BT: valid values per turn, best on the CPU (``DialogueBatch.on_host``): which rows are computed is
                planned there, and on a GPU they would have to be waited for. None = vectors, one frame each.
            is_present_BT: as the lengths.

        Raises:
            FeatureError: ``encode_rows`` did not give one vector of ``out_dim`` for every row.
        """
        if lengths_BT is None:
            values_BTL, lengths_BT = values_BTL[:, :, None], is_present_BT.long()
        rows = _PresentRows.of(values_BTL, lengths_BT, is_present_BT)
        if rows is None:
            return self._nothing(values_BTL, *is_present_BT.shape)
        rows_ND = self.encode_rows(rows.values_NL, rows.lengths_N, rows.host_lengths_N)
        if rows_ND.shape != (len(rows.row_N), self.out_dim):
            raise FeatureError(
                f"trained encoder {type(self).__qualname__}: was given {len(rows.row_N)} rows and gave an array of "
                f"shape {tuple(rows_ND.shape)}; encode_rows must give one vector of out_dim for every row: "
                f"({len(rows.row_N)}, {self.out_dim})"
            )
        out_MD = rows_ND.new_zeros(is_present_BT.numel(), self.out_dim).index_copy(0, rows.row_N, rows_ND)
        return out_MD.view(*is_present_BT.shape, self.out_dim)

    def frames(
        self,
        values_BTL: Shaped[Tensor, "batch turn length *feature"],
        lengths_BT: Int[Tensor, "batch turn"],
        is_present_BT: Bool[Tensor, "batch turn"],
    ) -> Float[Tensor, "batch turn state out"]:
        """One state per value of every turn, as many places as the longest turn has; arguments as of ``forward``."""
        rows = _PresentRows.of(values_BTL, lengths_BT, is_present_BT)
        if rows is None:
            return self._nothing(values_BTL, *is_present_BT.shape, 1)
        x_NLD = self.encode_frames(rows.values_NL, rows.lengths_N, rows.host_lengths_N)
        out_MLD = x_NLD.new_zeros(is_present_BT.numel(), *x_NLD.shape[1:]).index_copy(0, rows.row_N, x_NLD)
        return out_MLD.view(*is_present_BT.shape, *x_NLD.shape[1:])

    def _nothing(self, values: Tensor, *shape: int) -> Tensor:
        like = values if values.is_floating_point() else next(self.parameters())
        return like.new_zeros(*shape, self.out_dim)


class _PresentRows(NamedTuple):
    """The turns that are computed, as ``encode_rows`` takes them, and where they stand in the flattened ``[B·T]``."""

    row_N: Tensor
    values_NL: Tensor
    lengths_N: Tensor
    host_lengths_N: Tensor

    @classmethod
    def of(cls, values_BTL: Tensor, lengths_BT: Tensor, is_present_BT: Tensor) -> "_PresentRows | None":
        """None where no turn is present."""
        is_present_M = is_present_BT.cpu().flatten()
        host_lengths_N = lengths_BT.cpu().flatten()[is_present_M]
        if len(host_lengths_N) == 0:
            return None
        rows = is_present_M.nonzero()[:, 0]
        row_N, lengths_N = send([rows.numpy(), host_lengths_N.numpy()], values_BTL.device)
        values_NL = values_BTL.flatten(0, 1).index_select(0, row_N)[:, : int(host_lengths_N.max())]
        return cls(row_N, values_NL, lengths_N, host_lengths_N)


def is_valid(lengths_N: Int[Tensor, " row"], longest: int) -> Bool[Tensor, "row length"]:
    """True on the first ``length`` places of each row."""
    return torch.arange(longest, device=lengths_N.device) < lengths_N[:, None]
