"""A transformers text model that is trained with the dialogue model: all layers, the upper ones, or through LoRA."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from dialogue_ser.encoders.base import TrainedEncoder, is_valid
from dialogue_ser.encoders.option_checks import raise_problems, rate_problems, size_problems
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.pretrained.loading import PACKAGED, PretrainedModel, bare_model
from dialogue_ser.nn.frames.token_rows import ForwardPass, JoinedRows, group_by_length
from dialogue_ser.nn.lora import with_lora

# Names of the dropout on hidden states and of the dropout on attention weights in the configurations of models.
_HIDDEN_DROPOUTS = ("hidden_dropout_prob", "dropout", "dropout_rate", "hidden_dropout", "mlp_dropout")
_ATTENTION_DROPOUTS = ("attention_probs_dropout_prob", "attention_dropout")


@dataclass(frozen=True, kw_only=True, slots=True)
class TransformerConfig:
    """Options of the trained transformer.

    Args:
        model: name on the Hugging Face hub, folder, or ``minilm``.
        revision: branch, tag or commit of a model on the hub.
        pretrained: start with the pretrained weights; if false, start with random weights.
        architecture: configuration of the network. The tokenizer's front end and saved models set it; None = it is read
            from ``model``.
        whole_dialogue: read all turns of a dialogue as one sequence, so that each turn sees all others, at about the
            cost of reading every turn alone. The model is then not causal.
        max_dialogue_tokens: a dialogue with more tokens is cut between turns into sequences of about equal length.
        pooling: mean = mean over the turn's own tokens; cls = the first token of the sequence, or of the turn with
            ``whole_dialogue``.
        last_layers: number of upper layers whose hidden states are averaged before the pooling.
        dropout: dropout rate on the pooled vector.
        hidden_dropout: dropout rate on hidden states inside the transformer; None = as in pretraining.
        attention_dropout: dropout rate on its attention weights; None = as in pretraining.
        freeze_layers: number of lower layers that are not trained, and the embeddings with them; 0 = train all layers.
        gradient_checkpointing: compute layers again in the backward pass; this needs less memory and a third more time.
        lora_rank: rank of the LoRA matrices, which are trained instead of the model's weights (needs the package peft);
            0 = no LoRA.
        lora_alpha: the LoRA matrices are scaled by ``lora_alpha / lora_rank``.
        lora_dropout: dropout rate on the input of the LoRA matrices.
        lora_targets: ends of the names of the modules that get LoRA matrices; empty = all linear layers.
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
            problems.append(f"pooling {self.pooling!r} is not one of mean, cls")
        rates = ("dropout", "hidden_dropout", "attention_dropout", "lora_dropout")
        problems += rate_problems(**{name: getattr(self, name) for name in rates})
        problems += size_problems(max_dialogue_tokens=self.max_dialogue_tokens, last_layers=self.last_layers)
        problems += size_problems(0, freeze_layers=self.freeze_layers, lora_rank=self.lora_rank)
        raise_problems("transformer", problems)


class Transformer(TrainedEncoder):
    """Hidden states of a transformers text model, pooled over each turn's own tokens; its weights are trained.

    Rows of similar lengths share a forward pass, so that little padding is computed. The vector of a row does not
    depend on the other rows, except for rounding. Frozen layers do not change, but their dropout is still active in
    training.

    Args:
        config: options.
        dim: size of the vocabulary.

    Raises:
        ConfigError: the model does not have the layers, dropouts or LoRA targets that the options name.
        FeatureError: the model cannot be loaded.
        MissingDataError: LoRA is set, but peft is not installed.
    """

    name = "transformer"
    description = "any transformers text model, fine-tuned with the dialogue model; dialogue context, LoRA"
    front_end = "subwords"
    gives_frames = True
    Config = TransformerConfig

    def __init__(self, config: TransformerConfig, dim: int) -> None:
        super().__init__()
        self.config = config
        model = self._load_model(dim)
        self.n_layers = len(_layers(model))
        self._check_layers(model)
        self.padding_id = int(model.config.pad_token_id or 0)
        self.out_dim = int(model.config.hidden_size)
        if config.gradient_checkpointing:
            _enable_checkpointing(model)
        if config.lora_rank:
            targets, rank, alpha = config.lora_targets, config.lora_rank, config.lora_alpha
            model = with_lora(model, rank=rank, alpha=alpha, dropout=config.lora_dropout, targets=targets)
        self.model: Any = model
        self.model.train()  # from_pretrained gives models in eval mode
        if config.freeze_layers:
            self._freeze_lower_layers()
        self.dropout = nn.Dropout(config.dropout)

    def _check_layers(self, model: Any) -> None:
        """Refuse options that name more layers than the model has."""
        config, problems = self.config, []
        if config.freeze_layers > self.n_layers:
            problems.append(
                f"freeze_layers is {config.freeze_layers}, but the model has {self.n_layers} separate layers"
            )
        n_states = int(model.config.num_hidden_layers)  # ALBERT has one layer and runs it this many times
        if config.last_layers > n_states:
            problems.append(f"last_layers is {config.last_layers}, but the model has {n_states} layers")
        raise_problems("transformer", problems)

    def _freeze_lower_layers(self) -> None:
        """Switch off the gradients of the lower layers and the embeddings."""
        depths = self.depths()
        for name, parameter in self.named_parameters():
            if depths[name] >= self.n_layers - self.config.freeze_layers:
                parameter.requires_grad_(False)

    def depths(self) -> dict[str, int]:
        """For each parameter, the number of layers above it.

        It is 0 in the top layer and after it, and ``n_layers`` in the embeddings.
        """
        layers = _layers(self.model)
        depth_of = {id(p): len(layers) - 1 - i for i, layer in enumerate(layers) for p in layer.parameters()}
        depths: dict[str, int] = {}
        is_below_layers = True
        for name, parameter in self.named_parameters():
            is_below_layers = is_below_layers and id(parameter) not in depth_of
            depths[name] = depth_of.get(id(parameter), len(layers) if is_below_layers else 0)
        return depths

    def encode_rows(
        self,
        values_NL: Int[Tensor, "row length"],
        lengths_N: Int[Tensor, " row"],
        host_lengths_N: Int[Tensor, " row"],
    ) -> Float[Tensor, "row out"]:
        """One vector per row of numbers ``2 · id + is_own``."""
        order_N, passes = self._passes(values_NL, lengths_N, host_lengths_N)
        states = self._states(passes)
        pooled_ND = torch.cat([self._pool(one_pass, x_NLD) for one_pass, x_NLD in zip(passes, states, strict=True)])
        out_ND: Tensor = self.dropout(pooled_ND)
        return torch.zeros_like(out_ND).index_copy(0, order_N, out_ND)

    def encode_frames(
        self,
        values_NL: Int[Tensor, "row length"],
        lengths_N: Int[Tensor, " row"],
        host_lengths_N: Int[Tensor, " row"],
    ) -> Float[Tensor, "row length out"]:
        """The states of all tokens of each row, as ``hf-text`` without pooling; special tokens and neighbours included.

        Raises:
            ConfigError: ``whole_dialogue`` is set; a turn then has no separate row.
        """
        if self.config.whole_dialogue:
            raise ConfigError(
                "transformer: whole_dialogue gives a turn's vector and not its tokens; leave whole_dialogue out"
            )
        order_N, passes = self._passes(values_NL, lengths_N, host_lengths_N)
        longest = values_NL.shape[1]
        states = [nn.functional.pad(x_NLD, (0, 0, 0, longest - x_NLD.shape[1])) for x_NLD in self._states(passes)]
        out_NLD: Tensor = self.dropout(torch.cat(states))
        return torch.zeros_like(out_NLD).index_copy(0, order_N, out_NLD)

    def _passes(
        self, values_NL: Tensor, lengths_N: Tensor, host_lengths_N: Tensor
    ) -> tuple[Int[Tensor, " row"], list[ForwardPass]]:
        """Group rows of similar lengths into passes; also the order of the rows in them."""
        order, ends = group_by_length(host_lengths_N.tolist())
        order_N = torch.tensor(order).to(values_NL.device)
        values_NL, lengths_N = values_NL.index_select(0, order_N), lengths_N.index_select(0, order_N)
        passes = []
        for start, stop in pairwise([0, *ends]):
            longest, shortest = int(host_lengths_N[order[start]]), int(host_lengths_N[order[stop - 1]])
            is_token_NL = is_valid(lengths_N[start:stop], longest) if shortest < longest else None
            passes.append(ForwardPass.of(values_NL[start:stop, :longest], is_token_NL, self.padding_id))
        return order_N, passes

    def forward(
        self,
        values_BTL: Shaped[Tensor, "batch turn length *feature"],
        lengths_BT: Int[Tensor, "batch turn"] | None,
        is_present_BT: Bool[Tensor, "batch turn"],
    ) -> Float[Tensor, "batch turn out"]:
        """One vector per turn; with ``whole_dialogue`` the turns are joined to sequences first."""
        if not self.config.whole_dialogue or lengths_BT is None or not is_present_BT.any():
            return super().forward(values_BTL, lengths_BT, is_present_BT)
        joined = JoinedRows(lengths_BT.cpu() * is_present_BT.cpu(), self.config.max_dialogue_tokens)
        passes = joined.passes(values_BTL.flatten(0, 1), self.padding_id)
        x_VD = torch.cat([x_NLD.flatten(0, 1) for x_NLD in self._states(passes)])
        out_MD: Tensor = self.dropout(joined.pool(x_VD, passes, first_only=self.config.pooling == "cls"))
        return out_MD.view(*is_present_BT.shape, self.out_dim)

    def _states(self, passes: Sequence[ForwardPass]) -> list[Float[Tensor, "row length out"]]:
        """The states of the tokens of each pass.

        The tokens of all passes are embedded by one lookup. The gradient of a lookup is as large as the vocabulary:
        with ten lookups per training step, filling their gradients with zeros took 40 % of the step.
        """
        shapes = [one_pass.ids_NL.shape for one_pass in passes]
        x_VD = self.model.get_input_embeddings()(torch.cat([one_pass.ids_NL.flatten() for one_pass in passes]))
        split = x_VD.split([shape.numel() for shape in shapes])
        embedded = [x_VD.view(*shape, -1) for x_VD, shape in zip(split, shapes, strict=True)]
        return [self._run(one_pass, x_NLD) for one_pass, x_NLD in zip(passes, embedded, strict=True)]

    def _run(self, one_pass: ForwardPass, x_NLD: Float[Tensor, "row length dim"]) -> Float[Tensor, "row length out"]:
        n_layers = self.config.last_layers
        mask_NL = None if one_pass.is_token_NL is None else one_pass.is_token_NL.long()
        output = self.model(inputs_embeds=x_NLD, attention_mask=mask_NL, output_hidden_states=n_layers > 1)
        if n_layers > 1:
            return torch.stack(output.hidden_states[-n_layers:]).mean(0)
        out_NLD: Tensor = output.last_hidden_state
        return out_NLD

    def _pool(self, one_pass: ForwardPass, x_NLD: Float[Tensor, "row length out"]) -> Float[Tensor, "row out"]:
        if self.config.pooling == "cls":
            return x_NLD[:, 0]
        is_own_NL1 = one_pass.is_own_NL[..., None].to(x_NLD.dtype)
        return (x_NLD * is_own_NL1).sum(1) / is_own_NL1.sum(1).clamp_min(1.0)

    def _load_model(self, dim: int) -> Any:
        """Load the model, without its pooler, which is not used."""
        config = self.config
        pretrained_model = PretrainedModel(config.model, config.revision, encoder="transformer")
        architecture = config.architecture or pretrained_model.architecture()
        settings = _dropout_settings(config, architecture)
        model = pretrained_model.load(**settings) if config.pretrained else bare_model(architecture, **settings)
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
    """The layers of the transformer, the lowest first; empty if the layers share their weights."""
    n_layers = getattr(model.config, "num_hidden_layers", 0)
    stacks = (module for module in model.modules() if isinstance(module, nn.ModuleList) and len(module) == n_layers)
    return list(next(stacks, ()))


def _dropout_settings(config: TransformerConfig, architecture: Mapping[str, Any]) -> dict[str, float]:
    """The fields of the architecture that the options hidden_dropout and attention_dropout replace."""
    settings: dict[str, float] = {}
    names_of = {"hidden_dropout": _HIDDEN_DROPOUTS, "attention_dropout": _ATTENTION_DROPOUTS}
    for option, names in names_of.items():
        value = getattr(config, option)
        if value is None:
            continue
        found = [name for name in names if name in architecture]
        if not found:
            raise ConfigError(f"transformer: {architecture.get('model_type')} has no {option}; leave {option} out")
        settings |= dict.fromkeys(found, float(value))
    return settings


def _enable_checkpointing(model: Any) -> None:
    """Let the layers keep only their inputs for the backward pass.

    Raises:
        ConfigError: the model does not support this.
    """
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    try:
        enable({"use_reentrant": False})
    except ValueError as error:
        raise ConfigError(f"transformer: {error}; leave gradient_checkpointing out") from error
    # Transformers also makes the output of the embeddings require gradients. Frozen layers would compute them for
    # nothing, so this is switched off.
    if hasattr(model, "_require_grads_hook"):
        model.disable_input_require_grads()
