"""Multi-level multi-head fusion attention over two modalities' frames (docs/equations.md, E1)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.encoders import build_input
from dialogue_ser.encoders.base import TrainedEncoder
from dialogue_ser.errors import ConfigError, unknown_name
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.api import DialogueSystem, Output, TurnStream, stream_of_single_turns
from dialogue_ser.nn.frames.attentive_gru import AttentiveGRU, Frames
from dialogue_ser.nn.frames.frame_norm import FrameBatchNorm
from dialogue_ser.nn.fusion_attention import FusionAttention
from dialogue_ser.nn.transfer import send
from dialogue_ser.options import check_fields


@dataclass(frozen=True, kw_only=True, slots=True)
class FusionAttentionConfig:
    """Options of the fusion-attention system; values that the document gives are marked with "document".

    Args:
        units: modality → number of units of its GRU, per direction (document: audio 78, text 192).
        branch_dim: number of units of the GRU of every modality that ``units`` does not name.
        n_heads: number of heads of the fusion (document: 2); it must divide the size of every branch.
        query: modality whose frames are the queries and keys of the fusion; all other modalities are the values
            (document: audio). None = audio if there is audio, else the first modality.
        fusion_dim: size of the fused vector.
        hidden_dim: number of units of each of the two dense layers (document: 80).
        dropout: dropout rate in the two dense layers (document: 0.3).
        recurrent_dropout: dropout rate on the path from state to state in the GRUs (document: 0.3).
        bidirectional: add a second GRU to each branch, which reads the frames from the end.
    """

    units: dict[str, int] = field(default_factory=lambda: {"audio": 78, "text": 192})
    branch_dim: int = 128
    n_heads: int = 2
    query: str | None = None
    fusion_dim: int = 192
    hidden_dim: int = 80
    dropout: float = 0.3
    recurrent_dropout: float = 0.3
    bidirectional: bool = False

    def __post_init__(self) -> None:
        check_fields("model fusion-attention: model.options", self)


class FusionAttentionSystem(DialogueSystem):
    """Each turn alone: a GRU with self-attention over the frames of each modality, then attention between them (E1).

    Per modality: batch norm → GRU → self-attention. Then: fusion → mean over frames → two dense layers.

    A dense layer is linear → batch norm → dropout → fastGELU. Its linear map has no bias, because batch norm would
    remove a bias. With one modality there is nothing to fuse: the mean over its branch's frames goes directly to the
    dense layers (these are the audio system and the text system of the document). The frames come from a frozen encoder
    (``mfcc39``, or ``hf-text`` with ``pooling: none``) or are the token states of a trained ``transformer``. A vector
    is read as one frame.

    :class:`~dialogue_ser.nn.fusion_attention.FusionAttention` describes how a turn without one of the modalities is
    treated. Own choices: ``fusion_dim``, ``branch_dim``, and the ones that are marked there and in
    :class:`~dialogue_ser.nn.frames.attentive_gru.AttentiveGRU`.

    Args:
        config: options.
        inputs: modality → shape of its features.
        n_scores: S.

    Raises:
        ConfigError: ``query`` is not one of the modalities, or ``n_heads`` does not divide the size of a branch.
    """

    name = "fusion-attention"
    Config = FusionAttentionConfig
    speaker_aware = False
    speaker_equivariant = True
    causal = True
    bidirectional_recurrence = False

    def __init__(self, config: FusionAttentionConfig, inputs: Mapping[str, InputSpec], n_scores: int) -> None:
        super().__init__(inputs, n_scores)
        self.config = config
        self.query, self.values = _choose_roles(config.query, inputs)
        encoders: dict[str, Any] = {
            name: build_input(spec) for name, spec in inputs.items() if not _goes_to_branch_directly(spec)
        }
        self.encoders = nn.ModuleDict(encoders)
        branches = {
            name: self._branch(name, encoders[name].out_dim if name in encoders else spec.dim)
            for name, spec in inputs.items()
        }
        self.branches = nn.ModuleDict(branches)
        sizes = {name: branches[name].out_dim for name in (self.query, *self.values)}
        self.fusion: FusionAttention | None = None
        width = sizes[self.query]
        if self.values:
            _check_divisible(sizes, config.n_heads)
            self.fusion = FusionAttention(
                width, [sizes[name] for name in self.values], n_heads=config.n_heads, out_dim=config.fusion_dim
            )
            width = config.fusion_dim
        self.dense = nn.ModuleList(
            Dense(size, config.hidden_dim, config.dropout) for size in (width, config.hidden_dim)
        )
        self.head = nn.Linear(config.hidden_dim, n_scores)

    def forward(self, batch: DialogueBatch, *, return_attention: bool = False) -> Output:
        """Scores of every turn. The attention is inside the utterances, so ``attending_encoders`` shows it."""
        is_real_M = batch.on_host(batch.is_real_turn).flatten()
        rows = is_real_M.nonzero()[:, 0]
        device = batch.features[self.query].device
        [row_N] = send([rows.numpy()], device)
        query = self._frames(self.query, batch, row_N, rows)
        if self.fusion is None:
            x_ND = query.mean()
        else:
            x_ND = self.fusion(query, [self._frames(name, batch, row_N, rows) for name in self.values])
        for layer in self.dense:
            x_ND = layer(x_ND)
        scores_NS = self.head(x_ND)
        scores_MS = scores_NS.new_zeros(len(is_real_M), self.n_scores).index_copy(0, row_N, scores_NS)
        return Output(scores_MS.view(*batch.is_real_turn.shape, -1), {})

    def stream(self) -> TurnStream:
        """A stream over one dialogue; it keeps nothing of the earlier turns."""
        return stream_of_single_turns(self)

    def attending_encoders(self) -> dict[str, "FusionMaps"]:
        """For every modality with frames: its self-attention; for the query modality also the heads of the fusion."""
        found = {}
        branches: dict[str, Any] = dict(self.branches.items())
        encoders: dict[str, Any] = dict(self.encoders.items())
        for name, branch in branches.items():
            encoder = encoders.get(name)
            if encoder is None or getattr(encoder, "gives_frames", False):
                found[name] = FusionMaps(branch, encoder, self.fusion if name == self.query else None)
        return found

    def _branch(self, name: str, dim: int) -> AttentiveGRU:
        config = self.config
        return AttentiveGRU(
            dim,
            config.units.get(name, config.branch_dim),
            recurrent_dropout=config.recurrent_dropout,
            bidirectional=config.bidirectional,
        )

    def _frames(self, name: str, batch: DialogueBatch, row_N: Tensor, rows: Tensor) -> Frames:
        """The output of a modality's branch for the real turns; a turn without the modality has no frames."""
        values, is_present = batch.features[name], batch.on_host(batch.is_present[name])
        lengths = batch.on_host(batch.lengths[name]) if name in batch.lengths else None
        encoder = dict(self.encoders.items()).get(name)
        if lengths is not None and isinstance(encoder, TrainedEncoder) and encoder.gives_frames:
            values = encoder.frames(values, lengths, is_present)
        elif encoder is not None:
            present = is_present if isinstance(encoder, TrainedEncoder) else batch.is_present[name]
            values, lengths = encoder(values, lengths, present)[:, :, None], is_present.long()
        assert lengths is not None, f"{name}: frames without lengths"
        host_lengths_N = (lengths * is_present).flatten()[rows]
        longest = max(1, int(host_lengths_N.max()))
        [lengths_N] = send([host_lengths_N.numpy()], values.device)
        frames: Frames = self.branches[name](
            values.flatten(0, 1).index_select(0, row_N)[:, :longest], lengths_N, host_lengths_N
        )
        return frames


@dataclass(frozen=True)
class FusionMaps:
    """The attention over the frames of one modality; see :class:`~dialogue_ser.models.api.AttendingEncoder`.

    Args:
        branch: the modality's branch, which has a self-attention.
        encoder: trained encoder that gives the frames; None = the branch reads the frames directly.
        fusion: the fusion, whose heads are shown too if this is the query modality; else None.
    """

    branch: AttentiveGRU
    encoder: TrainedEncoder | None
    fusion: FusionAttention | None
    attention_stride = 1

    @property
    def attention_names(self) -> tuple[str, ...]:
        """Names of the heads: the self-attention of the branch comes first."""
        n_heads = 0 if self.fusion is None else self.fusion.n_heads
        return ("self-attention", *(f"fusion {head}" for head in range(1, n_heads + 1)))

    def attention_maps(
        self,
        values_NL: Shaped[Tensor, "row length *feature"],
        lengths_N: Int[Tensor, " row"],
        host_lengths_N: Int[Tensor, " row"],
    ) -> list[Float[Tensor, "head frame frame"]]:
        """For each row, weights ``[head, frame, frame]``; the weights of each frame sum to 1."""
        if self.encoder is not None:
            values_NL = self.encoder.encode_frames(values_NL, lengths_N, host_lengths_N)
        weights_NHLL = self.branch.weights(values_NL, lengths_N, host_lengths_N)[:, None]
        if self.fusion is not None:
            fused_NHLL = self.fusion.weights(self.branch(values_NL, lengths_N, host_lengths_N))
            weights_NHLL = torch.cat([weights_NHLL, fused_NHLL], dim=1)
        return [weights[:, :n, :n] for weights, n in zip(weights_NHLL, host_lengths_N.tolist(), strict=True)]


class Dense(nn.Module):
    """Linear → batch norm → dropout → fastGELU, over rows that are all valid.

    Args:
        dim: size of the input.
        out_dim: size of the output.
        dropout: dropout rate in training.
    """

    def __init__(self, dim: int, out_dim: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, out_dim, bias=False)
        self.norm = FrameBatchNorm(out_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_ND: Float[Tensor, "row feature"]) -> Float[Tensor, "row out"]:
        """One output row for each input row."""
        x_1ND = self.linear(x_ND)[None]
        is_valid_1N = torch.ones(x_1ND.shape[:2], dtype=torch.bool, device=x_1ND.device)
        return fast_gelu(self.dropout(self.norm(x_1ND, is_valid_1N)[0]))


def fast_gelu(x: Float[Tensor, "*place"]) -> Float[Tensor, "*place"]:
    """Fast Gaussian error linear unit x · max(0, min(1, (1.702 x + 1) / 2)), as E1 defines it.

    >>> fast_gelu(torch.tensor([-1.0, 0.0, 0.5, 1.0])).tolist()
    [-0.0, 0.0, 0.46275001764297485, 1.0]
    """
    return x * ((1.702 * x + 1) / 2).clamp(0.0, 1.0)


def _goes_to_branch_directly(spec: InputSpec) -> bool:
    """Whether the branch reads the frames without an encoder; meanpool is the default, so it counts as no encoder."""
    return spec.kind == "frames" and spec.encoder in (None, "meanpool") and not spec.options


def _choose_roles(query: str | None, inputs: Mapping[str, InputSpec]) -> tuple[str, tuple[str, ...]]:
    """The query modality and the value modalities."""
    if query is None:
        query = "audio" if "audio" in inputs else next(iter(inputs))
    if query not in inputs:
        raise ConfigError(f"model fusion-attention: model.options.query: {unknown_name('modality', query, inputs)}")
    return query, tuple(name for name in inputs if name != query)


def _check_divisible(sizes: Mapping[str, int], n_heads: int) -> None:
    """Refuse branches whose size is not a multiple of the number of heads."""
    problems = [
        f"model fusion-attention: the {name} branch has {size} units, which is not a multiple of n_heads {n_heads}; "
        f"change model.options.units.{name} or n_heads"
        for name, size in sizes.items()
        if size % n_heads
    ]
    if problems:
        raise ConfigError(*problems)
