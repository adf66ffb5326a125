"""A transformers text encoder trained end to end with the dialogue model: fully, its upper layers, or through LoRA."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from dialogue_ser.encoders.base import TrainedEncoder, is_valid
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.pretrained.loading import PACKAGED, PretrainedModel, bare_model
from dialogue_ser.nn.frames.token_rows import JoinedRows, Piece, forward_passes
from dialogue_ser.nn.lora import with_lora

# What configurations call dropout on hidden states and on attention weights.
_HIDDEN_DROPOUTS = ("hidden_dropout_prob", "dropout", "dropout_rate", "hidden_dropout", "mlp_dropout")
_ATTENTION_DROPOUTS = ("attention_probs_dropout_prob", "attention_dropout")


@dataclass(frozen=True, kw_only=True, slots=True)
class TransformerConfig:
    """Options of the trained transformer.

    Args:
        model: hub name, folder, or ``minilm``.
        revision: branch, tag or commit of a hub model.
        pretrained: begin with the model's weights, else with random ones of its architecture.
        architecture: given by the tokenizer's front end and by saved models; None = read from ``model``.
        whole_dialogue: read the turns of a dialogue one after another in one sequence, so that each sees all others,
            at the cost of reading each alone. Not causal.
        max_dialogue_tokens: a longer dialogue is cut between turns into sequences of about equal length.
        pooling: ``mean`` over the turn's own tokens, or ``cls``: the sequence's (in a whole dialogue the turn's) first.
        last_layers: hidden states whose mean is pooled, from the top.
        dropout: on the pooled vector.
        hidden_dropout: inside the transformer; None = as it was pretrained.
        attention_dropout: on its attention weights; None = as it was pretrained.
        freeze_layers: lowest layers that stay as they are, the embeddings with them; 0 = everything is trained.
        gradient_checkpointing: compute layers again in the backward pass: less memory, a third more time.
        lora_rank: rank of LoRA's matrices on frozen weights (needs peft); 0 = no LoRA.
        lora_alpha: their scale is ``lora_alpha / lora_rank``.
        lora_dropout: in front of them.
        lora_targets: modules that get them, by the end of their names; empty = all linear ones.
    """

    model: str = PACKAGED
    revision: str | None = None
    pretrained: bool = True
    architecture: Mapping[str, Any] | None = None
    whole_dialogue: bool = False
    max_dialogue_tokens: int = 512
    pooling: str = "mean"
    last_layers: int = 1
    dropout: float = 0.1
    hidden_dropout: float | None = None
    attention_dropout: float | None = None
    freeze_layers: int = 0
    gradient_checkpointing: bool = False
    lora_rank: int = 0
    lora_alpha: int = 16
    lora_dropout: float = 0.0
    lora_targets: Sequence[str] = ()

    def __post_init__(self) -> None:
        problems = []
        if self.pooling not in ("mean", "cls"):
            problems.append(f"transformer: pooling {self.pooling!r} is none of mean, cls")
        shares = ("dropout", "hidden_dropout", "attention_dropout", "lora_dropout")
        found = {name: getattr(self, name) for name in shares if getattr(self, name) is not None}
        problems += [f"transformer: {n} {v} must be at least 0 and below 1" for n, v in found.items() if not 0 <= v < 1]
        least = {"max_dialogue_tokens": 1, "last_layers": 1, "freeze_layers": 0, "lora_rank": 0}
        problems += [
            f"transformer: {name} {getattr(self, name)} must be at least {low}"
            for name, low in least.items()
            if getattr(self, name) < low
        ]
        if problems:
            raise ConfigError(*problems)


class Transformer(TrainedEncoder):
    """Hidden states of a transformers text model, pooled over each turn's own tokens; its weights are trained.

    Rows of like length share a forward pass, so that little padding is computed, and a row's vector does not depend on
    the rows beside it (beyond rounding). Frozen layers keep their dropout: they are not evaluated, only not changed.

    Args:
        config: options.
        dim: size of the vocabulary.

    Raises:
        ConfigError: layers, dropouts or LoRA targets that the model does not have.
        FeatureError: the model cannot be loaded.
        MissingDataError: LoRA without peft.
    """

    name = "transformer"
    description = "any transformers text model, fine-tuned with the dialogue model; dialogue context, LoRA"
    front_end = "subwords"
    gives_frames = True
    Config = TransformerConfig

    def __init__(self, config: TransformerConfig, dim: int) -> None:
        super().__init__()
        self.config = config
        model = self._begin(dim)
        self.n_layers = len(_layers(model))
        problems = []
        if self.config.freeze_layers > self.n_layers:
            problems.append(
                f"transformer: freeze_layers {config.freeze_layers}, but it has {self.n_layers} layers of its own"
            )
        n_states = int(model.config.num_hidden_layers)  # ALBERT runs its one layer this often
        if self.config.last_layers > n_states:
            problems.append(f"transformer: last_layers {config.last_layers}, but it has {n_states} layers")
        if problems:
            raise ConfigError(*problems)
        self.padding_id = int(model.config.pad_token_id or 0)
        self.out_dim = int(model.config.hidden_size)
        if config.gradient_checkpointing:
            _compute_again(model)
        if config.lora_rank:
            targets, rank, alpha = config.lora_targets, config.lora_rank, config.lora_alpha
            model = with_lora(model, rank=rank, alpha=alpha, dropout=config.lora_dropout, targets=targets)
        self.model: Any = model
        self.model.train()  # from_pretrained gives models in eval mode
        if config.freeze_layers:
            depths = self.depths()
            for name, parameter in self.named_parameters():
                if depths[name] >= self.n_layers - config.freeze_layers:
                    parameter.requires_grad_(False)
        self.dropout = nn.Dropout(config.dropout)

    def depths(self) -> dict[str, int]:
        """Parameter → layers above it: 0 in the top layer (and behind it), ``n_layers`` in the embeddings."""
        layers = _layers(self.model)
        depth_of = {id(p): len(layers) - 1 - i for i, layer in enumerate(layers) for p in layer.parameters()}
        depths: dict[str, int] = {}
        is_before = True
        for name, parameter in self.named_parameters():
            is_before = is_before and id(parameter) not in depth_of
            depths[name] = depth_of.get(id(parameter), len(layers) if is_before else 0)
        return depths

    def encode_rows(
        self,
        values_NL: Int[Tensor, "row length"],
        lengths_N: Int[Tensor, " row"],
        host_lengths_N: Int[Tensor, " row"],
    ) -> Float[Tensor, "row out"]:
        """One vector per row of ``2 · id + is_own``."""
        order_N, pieces = self._pieces(values_NL, lengths_N, host_lengths_N)
        states = self._states(pieces)
        pooled_ND = torch.cat([self._pooled(piece, x_NLD) for piece, x_NLD in zip(pieces, states, strict=True)])
        out_ND: Tensor = self.dropout(pooled_ND)
        return torch.zeros_like(out_ND).index_copy(0, order_N, out_ND)

    def encode_frames(
        self,
        values_NL: Int[Tensor, "row length"],
        lengths_N: Int[Tensor, " row"],
        host_lengths_N: Int[Tensor, " row"],
    ) -> Float[Tensor, "row length out"]:
        """States of all tokens a row was read with: special ones and neighbours too, as ``hf-text`` without pooling.

        Raises:
            ConfigError: whole dialogues are read, in which a turn has no row of its own.
        """
        if self.config.whole_dialogue:
            raise ConfigError("transformer: whole_dialogue gives a turn's vector, not its tokens; leave it away")
        order_N, pieces = self._pieces(values_NL, lengths_N, host_lengths_N)
        longest = values_NL.shape[1]
        states = [nn.functional.pad(x_NLD, (0, 0, 0, longest - x_NLD.shape[1])) for x_NLD in self._states(pieces)]
        out_NLD: Tensor = self.dropout(torch.cat(states))
        return torch.zeros_like(out_NLD).index_copy(0, order_N, out_NLD)

    def _pieces(
        self, values_NL: Tensor, lengths_N: Tensor, host_lengths_N: Tensor
    ) -> tuple[Int[Tensor, " row"], list[Piece]]:
        """Rows of like length share a piece; and which row each of theirs is."""
        order, ends = forward_passes(host_lengths_N.tolist())
        order_N = torch.tensor(order).to(values_NL.device)
        values_NL, lengths_N = values_NL.index_select(0, order_N), lengths_N.index_select(0, order_N)
        pieces = []
        for start, stop in pairwise([0, *ends]):
            longest, shortest = int(host_lengths_N[order[start]]), int(host_lengths_N[order[stop - 1]])
            is_token_NL = is_valid(lengths_N[start:stop], longest) if shortest < longest else None
            pieces.append(Piece.of(values_NL[start:stop, :longest], is_token_NL, self.padding_id))
        return order_N, pieces

    def forward(
        self,
        values_BTL: Shaped[Tensor, "batch turn length *feature"],
        lengths_BT: Int[Tensor, "batch turn"] | None,
        is_present_BT: Bool[Tensor, "batch turn"],
    ) -> Float[Tensor, "batch turn out"]:
        """One vector per turn; of whole dialogues, the turns are joined first."""
        if not self.config.whole_dialogue or lengths_BT is None or not is_present_BT.any():
            return super().forward(values_BTL, lengths_BT, is_present_BT)
        joined = JoinedRows(lengths_BT.cpu() * is_present_BT.cpu(), self.config.max_dialogue_tokens)
        pieces = joined.pieces(values_BTL.flatten(0, 1), self.padding_id)
        x_VD = torch.cat([x_NLD.flatten(0, 1) for x_NLD in self._states(pieces)])
        out_MD: Tensor = self.dropout(joined.pool(x_VD, pieces, first_only=self.config.pooling == "cls"))
        return out_MD.view(*is_present_BT.shape, self.out_dim)

    def _states(self, pieces: Sequence[Piece]) -> list[Float[Tensor, "row length out"]]:
        """Token states, one forward pass for each piece.

        All tokens are embedded by one lookup, because the gradient of each is as large as the vocabulary: with ten
        passes a step, filling those with zeros took 40 % of it.
        """
        shapes = [piece.ids_NL.shape for piece in pieces]
        x_VD = self.model.get_input_embeddings()(torch.cat([piece.ids_NL.flatten() for piece in pieces]))
        split = x_VD.split([shape.numel() for shape in shapes])
        embedded = [x_VD.view(*shape, -1) for x_VD, shape in zip(split, shapes, strict=True)]
        return [self._pass(piece, x_NLD) for piece, x_NLD in zip(pieces, embedded, strict=True)]

    def _pass(self, piece: Piece, x_NLD: Float[Tensor, "row length dim"]) -> Float[Tensor, "row length out"]:
        n_layers = self.config.last_layers
        mask_NL = None if piece.is_token_NL is None else piece.is_token_NL.long()
        output = self.model(inputs_embeds=x_NLD, attention_mask=mask_NL, output_hidden_states=n_layers > 1)
        if n_layers > 1:
            return torch.stack(output.hidden_states[-n_layers:]).mean(0)
        out_NLD: Tensor = output.last_hidden_state
        return out_NLD

    def _pooled(self, piece: Piece, x_NLD: Float[Tensor, "row length out"]) -> Float[Tensor, "row out"]:
        if self.config.pooling == "cls":
            return x_NLD[:, 0]
        is_own_NL1 = piece.is_own_NL[..., None].to(x_NLD.dtype)
        return (x_NLD * is_own_NL1).sum(1) / is_own_NL1.sum(1).clamp_min(1.0)

    def _begin(self, dim: int) -> Any:
        """The model it begins with, without its pooler, which nobody reads."""
        config = self.config
        source = PretrainedModel(config.model, config.revision, who="transformer")
        architecture = config.architecture or source.architecture()
        settings = _dropouts(config, architecture)
        model = source.load(**settings) if config.pretrained else bare_model(architecture, **settings)
        if getattr(model, "pooler", None) is not None:
            model.pooler = None
        n_ids = model.get_input_embeddings().num_embeddings
        if n_ids != dim:
            raise ConfigError(
                f"transformer: {config.model!r} embeds {n_ids} tokens, but the tokenizer's front end was fitted to "
                f"{dim}; use one model for both"
            )
        return model


def _layers(model: Any) -> list[nn.Module]:
    """The transformer's layers from the bottom; empty where they cannot be told (shared weights)."""
    n_layers = getattr(model.config, "num_hidden_layers", 0)
    stacks = (module for module in model.modules() if isinstance(module, nn.ModuleList) and len(module) == n_layers)
    return list(next(stacks, ()))


def _dropouts(config: TransformerConfig, architecture: Mapping[str, Any]) -> dict[str, float]:
    """Fields of the architecture that the two dropouts replace."""
    settings: dict[str, float] = {}
    wanted = {"hidden_dropout": _HIDDEN_DROPOUTS, "attention_dropout": _ATTENTION_DROPOUTS}
    for option, names in wanted.items():
        value = getattr(config, option)
        if value is None:
            continue
        found = [name for name in names if name in architecture]
        if not found:
            raise ConfigError(f"transformer: {architecture.get('model_type')} has no {option}; leave it away")
        settings |= dict.fromkeys(found, float(value))
    return settings


def _compute_again(model: Any) -> None:
    """Layers keep their inputs only.

    Raises:
        ConfigError: the model cannot.
    """
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    try:
        enable({"use_reentrant": False})
    except ValueError as error:
        raise ConfigError(f"transformer: {error}; leave gradient_checkpointing away") from error
    # It also has the embeddings' output ask for gradients, which layers that are frozen would pass on for nothing.
    if hasattr(model, "_require_grads_hook"):
        model.disable_input_require_grads()
