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
from dialogue_ser.models.api import DialogueSystem, Output, TurnReader
from dialogue_ser.nn.frames.attentive_gru import AttentiveGRU, Frames
from dialogue_ser.nn.frames.frame_norm import FrameBatchNorm
from dialogue_ser.nn.fusion_attention import FusionAttention
from dialogue_ser.nn.transfer import send
from dialogue_ser.options import check_fields


@dataclass(frozen=True, kw_only=True, slots=True)
class FusionAttentionConfig:
    """Options of the fusion-attention system; the defaults that the document gives are marked.

    Args:
        units: modality → units of its GRU, per direction (document: audio 78, text 192).
        branch_dim: units of modalities that ``units`` does not name.
        n_heads: of the fusion (document: 2); divides the sizes of all branches.
        query: the modality that asks, so that the others answer at its length (document: audio); None = audio where
            there is one, else the first.
        fusion_dim: size of the fused vector.
        hidden_dim: of both fully connected layers (document: 80).
        dropout: in both (document: 0.3).
        recurrent_dropout: in the GRUs (document: 0.3).
        bidirectional: a second GRU in each branch reads from the end.
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
    """Per modality batch norm → GRU → self-attention; fusion; mean over frames; 2 × dense; turn by turn.

    A dense layer is linear → batch norm → dropout → fastGELU; its linear map has no bias, which batch norm would take
    away. With one modality there is nothing to fuse: its branch's mean goes straight to the dense layers (the
    document's audio and text systems). Frames come from a frozen encoder (``mfcc39``, ``hf-text`` with ``pooling:
    none``) or from a trained ``transformer``'s token states; what gives vectors is read as one frame each.

    A turn that lacks a modality is told in :class:`~dialogue_ser.nn.fusion_attention.FusionAttention`. Own choices:
    ``fusion_dim``, ``branch_dim``, and what stands there and in
    :class:`~dialogue_ser.nn.frames.attentive_gru.AttentiveGRU`.

    Args:
        config: options.
        inputs: modality → shape of its features.
        n_scores: S.

    Raises:
        ConfigError: a query that is not among the modalities, or branches that the heads do not divide.
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
        self.query, self.values = _roles(config.query, inputs)
        readers: dict[str, Any] = {name: build_input(spec) for name, spec in inputs.items() if not _is_raw(spec)}
        self.encoders = nn.ModuleDict(readers)
        branches = {
            name: self._branch(name, readers[name].out_dim if name in readers else spec.dim)
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
        """Scores of every turn; its attention looks at frames, which ``attention_readers`` shows."""
        is_real_M = batch.on_host(batch.is_real_turn).flatten()
        rows = is_real_M.nonzero()[:, 0]
        device = batch.features[self.query].device
        [row_N] = send([rows.numpy()], device)
        asked = self._frames(self.query, batch, row_N, rows)
        if self.fusion is None:
            x_ND = asked.mean()
        else:
            x_ND = self.fusion(asked, [self._frames(name, batch, row_N, rows) for name in self.values])
        for layer in self.dense:
            x_ND = layer(x_ND)
        scores_NS = self.head(x_ND)
        scores_MS = scores_NS.new_zeros(len(is_real_M), self.n_scores).index_copy(0, row_N, scores_NS)
        return Output(scores_MS.view(*batch.is_real_turn.shape, -1), {})

    def stream(self) -> TurnReader:
        """A reader of one dialogue, turn by turn; it keeps nothing of the earlier ones."""

        def read(batch: DialogueBatch) -> Tensor:
            return self(batch).scores_BTS[0, 0]  # type: ignore[no-any-return]

        return read

    def attention_readers(self) -> dict[str, "FusionMaps"]:
        """Of every modality that comes as frames: its self-attention and, of the one that asks, the fusion's heads."""
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
        """What a modality's branch gives for the real turns; no frames where the turn lacks it."""
        values, is_present = batch.features[name], batch.on_host(batch.is_present[name])
        lengths = batch.on_host(batch.lengths[name]) if name in batch.lengths else None
        encoder = dict(self.encoders.items()).get(name)
        if lengths is not None and isinstance(encoder, TrainedEncoder) and encoder.gives_frames:
            values = encoder.frames(values, lengths, is_present)
        elif encoder is not None:
            seen = is_present if isinstance(encoder, TrainedEncoder) else batch.is_present[name]
            values, lengths = encoder(values, lengths, seen)[:, :, None], is_present.long()
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
    """What frames of one modality look at, see :class:`~dialogue_ser.models.api.AttentionReader`.

    Args:
        branch: its self-attention.
        encoder: gives the frames; None = they come as they are.
        fusion: of the modality that asks, whose heads look at that modality too.
    """

    branch: AttentiveGRU
    encoder: TrainedEncoder | None
    fusion: FusionAttention | None
    attention_stride = 1

    @property
    def attention_names(self) -> tuple[str, ...]:
        """The branch's own attention first."""
        n_heads = 0 if self.fusion is None else self.fusion.n_heads
        return ("self-attention", *(f"fusion {head}" for head in range(1, n_heads + 1)))

    def attention_maps(
        self,
        values_NL: Shaped[Tensor, "row length *feature"],
        lengths_N: Int[Tensor, " row"],
        host_lengths_N: Int[Tensor, " row"],
    ) -> list[Float[Tensor, "head frame frame"]]:
        """Weights ``[head, frame, frame]`` of each row; each frame's weights sum to 1."""
        if self.encoder is not None:
            values_NL = self.encoder.encode_frames(values_NL, lengths_N, host_lengths_N)
        weights_NHLL = self.branch.weights(values_NL, lengths_N, host_lengths_N)[:, None]
        if self.fusion is not None:
            fused_NHLL = self.fusion.weights(self.branch(values_NL, lengths_N, host_lengths_N))
            weights_NHLL = torch.cat([weights_NHLL, fused_NHLL], dim=1)
        return [own[:, :n, :n] for own, n in zip(weights_NHLL, host_lengths_N.tolist(), strict=True)]


class Dense(nn.Module):
    """Linear → batch norm → dropout → fastGELU over rows that all count.

    Args:
        dim: size of the input.
        out_dim: size of the output.
        dropout: while training.
    """

    def __init__(self, dim: int, out_dim: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, out_dim, bias=False)
        self.norm = FrameBatchNorm(out_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_ND: Float[Tensor, "row feature"]) -> Float[Tensor, "row out"]:
        """One row each."""
        x_1ND = self.linear(x_ND)[None]
        counts = torch.ones(x_1ND.shape[:2], dtype=torch.bool, device=x_1ND.device)
        return fast_gelu(self.dropout(self.norm(x_1ND, counts)[0]))


def fast_gelu(x: Float[Tensor, "*place"]) -> Float[Tensor, "*place"]:
    """Fast Gaussian error linear unit x · max(0, min(1, (1.702 x + 1) / 2)), as the document of E1 has it.

    >>> fast_gelu(torch.tensor([-1.0, 0.0, 0.5, 1.0])).tolist()
    [-0.0, 0.0, 0.46275001764297485, 1.0]
    """
    return x * ((1.702 * x + 1) / 2).clamp(0.0, 1.0)


def _is_raw(spec: InputSpec) -> bool:
    """Frames that nothing but the branch is to read; meanpool stands there where nobody chose another reader."""
    return spec.kind == "frames" and spec.encoder in (None, "meanpool") and not spec.options


def _roles(query: str | None, inputs: Mapping[str, InputSpec]) -> tuple[str, tuple[str, ...]]:
    """Who asks and who answers."""
    if query is None:
        query = "audio" if "audio" in inputs else next(iter(inputs))
    if query not in inputs:
        raise ConfigError(f"model fusion-attention: model.options.query: {unknown_name('modality', query, inputs)}")
    return query, tuple(name for name in inputs if name != query)


def _check_divisible(sizes: Mapping[str, int], n_heads: int) -> None:
    problems = [
        f"model fusion-attention: the {name} branch has {size} units, which {n_heads} heads do not divide; change "
        f"model.options.units.{name} or n_heads"
        for name, size in sizes.items()
        if size % n_heads
    ]
    if problems:
        raise ConfigError(*problems)
