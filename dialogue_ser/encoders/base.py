"""The base class of trained encoders, which turn the token ids or frames of a turn into one vector."""

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
    """The base class of every trained encoder. It computes only the turns that are present.

    A subclass sets ``name``, ``description``, ``front_end`` and ``Config``, the frozen dataclass of its options. It is
    built as ``Encoder(config, dim)``, where ``dim`` is the number of features of a frame or the size of the vocabulary.
    It sets ``out_dim`` and defines ``encode_rows``. The result of ``encode_rows`` for a row must depend on the first
    ``length`` values of this row alone.

    Attributes:
        name: registry name.
        description: one line for ``dialogue-ser encoders``.
        front_end: kind of input: ``words`` (word ids of a vocabulary from train), ``subwords`` (ids of a pretrained
            tokenizer) or ``frames`` (of a frozen encoder).
        takes_vectors: an encoder of ``frames`` also accepts vectors of a frozen encoder, as one frame each.
        gives_frames: the encoder also gives one state per value (``encode_frames``), for models that read frames.
        Config: the dataclass of its options.
        out_dim: number of features of its output vectors.
        attention_stride: number of frames or tokens that one step of ``attention_maps`` stands for.
        attention_names: names of the heads, in their order; empty = ``head 1``, ``head 2``, …
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
        """Names of the encoder's options."""
        return tuple(field.name for field in fields(cls.Config))

    def depths(self) -> Mapping[str, int]:
        """For each pretrained parameter, the number of layers above it.

        The learning rate of pretrained parameters can be set separately, and it can be smaller in lower layers.
        """
        return {}

    def encode_rows(
        self,
        values_NL: Shaped[Tensor, "row length *feature"],
        lengths_N: Int[Tensor, " row"],
        host_lengths_N: Int[Tensor, " row"],
    ) -> Float[Tensor, "row out"]:
        """One vector per row; values beyond the length of a row must not be used, they can be anything.

        Args:
            values_NL: frames or token ids of at least one row.
            lengths_N: number of valid values per row.
            host_lengths_N: the same numbers on the CPU. Compute sizes from these numbers: reading a number from a GPU
                waits until the GPU has finished all its work.
        """
        raise NotImplementedError

    def encode_frames(
        self,
        values_NL: Shaped[Tensor, "row length *feature"],
        lengths_N: Int[Tensor, " row"],
        host_lengths_N: Int[Tensor, " row"],
    ) -> Float[Tensor, "row length out"]:
        """One state per value, if ``gives_frames``; states beyond the length of a row have no meaning.

        The arguments are those of ``encode_rows``.
        """
        raise NotImplementedError

    def attention_maps(
        self,
        values_NL: Shaped[Tensor, "row length *feature"],
        lengths_N: Int[Tensor, " row"],
        host_lengths_N: Int[Tensor, " row"],
    ) -> list[Float[Tensor, "head step seen"]]:
        """For each row, the attention weights of every frame or token over the others, per head.

        An encoder that has such an attention overrides this method. The arguments are those of ``encode_rows``.

        Raises:
            ConfigError: the encoder has no such attention.
        """
        raise ConfigError(
            f"encoder {self.name}: it has no attention over frames to show; choose an encoder that has one, e.g. "
            "conv-attention"
        )

    def forward(
        self,
        values_BTL: Shaped[Tensor, "batch turn length *feature"],
        lengths_BT: Int[Tensor, "batch turn"] | None,
        is_present_BT: Bool[Tensor, "batch turn"],
    ) -> Float[Tensor, "batch turn out"]:
        """One vector per turn; zero on padding and where the turn lacks the modality.

        Args:
            values_BTL: frames, token ids or vectors, on the model's device.
            lengths_BT: number of valid values per turn; None = the values are vectors, which are read as one frame
                each. The tensor should be on the CPU (``DialogueBatch.on_host``), because the CPU chooses the rows to
                compute and would have to wait for a GPU.
            is_present_BT: True where the turn has the modality; on the CPU too.

        Raises:
            FeatureError: ``encode_rows`` did not return one vector of size ``out_dim`` for every row.
        """
        if lengths_BT is None:
            values_BTL, lengths_BT = values_BTL[:, :, None], is_present_BT.long()
        rows = _PresentRows.of(values_BTL, lengths_BT, is_present_BT)
        if rows is None:
            return self._zeros(values_BTL, *is_present_BT.shape)
        rows_ND = self.encode_rows(rows.values_NL, rows.lengths_N, rows.host_lengths_N)
        if rows_ND.shape != (len(rows.row_N), self.out_dim):
            raise FeatureError(
                f"trained encoder {type(self).__qualname__}: encode_rows was given {len(rows.row_N)} rows and gave "
                f"an array of shape {tuple(rows_ND.shape)}; it must give one vector of size out_dim for every row: "
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
        """One state per value of every turn, padded to the longest turn; the arguments are those of ``forward``."""
        rows = _PresentRows.of(values_BTL, lengths_BT, is_present_BT)
        if rows is None:
            return self._zeros(values_BTL, *is_present_BT.shape, 1)
        x_NLD = self.encode_frames(rows.values_NL, rows.lengths_N, rows.host_lengths_N)
        out_MLD = x_NLD.new_zeros(is_present_BT.numel(), *x_NLD.shape[1:]).index_copy(0, rows.row_N, x_NLD)
        return out_MLD.view(*is_present_BT.shape, *x_NLD.shape[1:])

    def _zeros(self, values: Tensor, *shape: int) -> Tensor:
        """Vectors of zeros, as the result for a batch in which no turn has the modality."""
        like = values if values.is_floating_point() else next(self.parameters())
        return like.new_zeros(*shape, self.out_dim)


class _PresentRows(NamedTuple):
    """The arguments of ``encode_rows`` for the present turns, and the positions of these turns in ``[B·T]``."""

    row_N: Tensor
    values_NL: Tensor
    lengths_N: Tensor
    host_lengths_N: Tensor

    @classmethod
    def of(cls, values_BTL: Tensor, lengths_BT: Tensor, is_present_BT: Tensor) -> "_PresentRows | None":
        """Select the present turns; None if no turn is present."""
        is_present_M = is_present_BT.cpu().flatten()
        host_lengths_N = lengths_BT.cpu().flatten()[is_present_M]
        if len(host_lengths_N) == 0:
            return None
        rows = is_present_M.nonzero()[:, 0]
        row_N, lengths_N = send([rows.numpy(), host_lengths_N.numpy()], values_BTL.device)
        values_NL = values_BTL.flatten(0, 1).index_select(0, row_N)[:, : int(host_lengths_N.max())]
        return cls(row_N, values_NL, lengths_N, host_lengths_N)


def is_valid(lengths_N: Int[Tensor, " row"], longest: int) -> Bool[Tensor, "row length"]:
    """True on the first ``length`` positions of each row."""
    return torch.arange(longest, device=lengths_N.device) < lengths_N[:, None]
