"""Compute what a run costs at full size: parameters, multiply-adds per utterance, memory of a training step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from dialogue_ser.batch.collate import collate
from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.corpus.schema import Dialogue, utterances
from dialogue_ser.features.core.api import FeatureTable, InputSpec
from dialogue_ser.features.pretrained.loading import PretrainedModel
from dialogue_ser.models import build_model
from dialogue_ser.training.config.run_config import OptimizerConfig, RunConfig
from dialogue_ser.training.data.prepare import Data
from dialogue_ser.training.dry_run.smoke import SMALL_OPTIONS, TINY_DIM, View

#: Hub models that presets use, so that their size is known without the hub: name → (type of the architecture, settings
#: that are different from the type's defaults in transformers).
KNOWN_ARCHITECTURES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "bert-base-uncased": ("bert", {}),
    "bert-base-cased": ("bert", {"vocab_size": 28996}),
    "roberta-base": ("roberta", {"vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1}),
    "facebook/wav2vec2-base": ("wav2vec2", {}),
    "facebook/wav2vec2-base-960h": ("wav2vec2", {}),
    "facebook/hubert-base-ls960": ("hubert", {}),
    "roberta-large": (
        "roberta",
        {
            "vocab_size": 50265,
            "hidden_size": 1024,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "intermediate_size": 4096,
            "max_position_embeddings": 514,
            "type_vocab_size": 1,
        },
    ),
}
# Number of dialogues of a batch that are measured. The result is then scaled: a whole batch of images would take
# gigabytes.
_MAX_MEASURED_DIALOGUES = {"dialogues": 4, "utterances": 8}
# Functions that fill a tensor with random numbers: those of tensors and those of torch.nn.init.
_DRAWS = frozenset(
    f"{name}_"
    for name in (
        *("normal", "uniform", "trunc_normal"),
        *(f"{kind}_{name}" for kind in ("kaiming", "xavier") for name in ("normal", "uniform")),
    )
)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The cost of the trained part of a run. Frozen encoders run only once and are not counted.

    Args:
        n_parameters: number of parameters of the model.
        multiply_adds: multiply-adds of the forward pass per utterance of the sample; training needs about three times
            as many.
        training_bytes: memory of a training step in float32: weights, gradients, the optimizer's state, and what the
            forward pass of a batch keeps for the backward pass.
        batch: number of dialogues and number of utterances of this batch.
    """

    n_parameters: int
    multiply_adds: float
    training_bytes: int
    batch: tuple[int, int]

    def __str__(self) -> str:
        return (
            f"{self.n_parameters / 1e6:.2f} M parameters, {self.multiply_adds / 1e6:.1f} M multiply-adds an utterance, "
            f"{self.training_bytes / 2**20:.0f} MiB to train on batches of {self.batch[0]} dialogues "
            f"({self.batch[1]} utterances)"
        )


def cost_of(config: RunConfig, small: Data, view: View = "dialogues") -> Cost:
    """Compute the cost of a run: build the model at full size and run one batch of a small corpus through it.

    Args:
        config: configuration of the run at full size.
        small: data of the run at reduced size (:func:`~dialogue_ser.training.dry_run.smoke.smoke_config`). Only their
            shapes matter.
        view: whether a batch holds dialogues or single utterances.

    Raises:
        ConfigError: a model or option does not exist.
    """
    tables = {modality: _at_full_size(table, config, modality) for modality, table in small.tables.items()}
    inputs = {modality: table.spec for modality, table in tables.items()}
    train = small.train if view == "dialogues" else [Dialogue(turn.id, (turn,)) for turn in utterances(small.train)]
    n_measured = min(config.training.batch_size, _MAX_MEASURED_DIALOGUES[view])
    batch = collate(train[:n_measured], tables, small.task)
    with torch.random.fork_rng():
        with _ZerosForDraws():
            system = build_model(config.model.name, config.model.options, inputs, small.task.n_scores, small.task)
        system.train()
        multiply_adds, kept_bytes = _forward(system, batch)
    n_parameters = sum(parameter.numel() for parameter in system.parameters())
    n_trained = sum(parameter.numel() for parameter in system.parameters() if parameter.requires_grad)
    n_utterances, scale = int(batch.n_turns.sum()), config.training.batch_size / batch.n_dialogues
    weights_bytes = 4 * (n_parameters + n_trained * (1 + _state_size(config.optimizer)))
    return Cost(
        n_parameters=n_parameters,
        multiply_adds=multiply_adds / n_utterances,
        training_bytes=weights_bytes + round(kept_bytes * scale),
        batch=(config.training.batch_size, round(n_utterances * scale)),
    )


class _ZerosForDraws(TorchFunctionMode):
    """Fills tensors with zeros in place of random numbers. The values do not matter, and zeros are faster."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") not in _DRAWS:
            return func(*args, **kwargs)
        with torch.no_grad():
            return (args[0] if args else kwargs["tensor"]).zero_()


def _forward(system: torch.nn.Module, batch: DialogueBatch) -> tuple[float, int]:
    """Run the forward pass; return its multiply-adds and the bytes that it keeps for the backward pass.

    The bytes do not include the parameters.
    """
    parameter_storages = {parameter.untyped_storage().data_ptr() for parameter in system.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameter_storages:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with FlopCounterMode(display=False) as counter, torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        output = system(batch)
    del output
    return counter.get_total_flops() / 2, sum(kept.values())


def _state_size(optimizer: OptimizerConfig) -> int:
    """Return how many numbers the optimizer keeps for each weight."""
    return 2 if optimizer.name != "sgd" else int(optimizer.momentum > 0)


def _at_full_size(table: FeatureTable, config: RunConfig, modality: str) -> FeatureTable:
    """Return the table of one modality as it would be at full size.

    A dry run uses smaller networks. Here the number of features becomes that of the configured network; the values do
    not matter.
    """
    feature = config.features[modality]
    options = dict(feature.options)
    name = options.get("frames", feature.encoder)
    network_options = options.get("frames_options", options) if "frames" in options else options
    small_options = SMALL_OPTIONS.get(feature.encoder, {})
    if small_options:
        kept = {key: value for key, value in table.spec.options.items() if key not in small_options}
        kept |= {key: options[key] for key in small_options if key in options}
        table = FeatureTable(replace(table.spec, options=kept), table.rows)
    if name not in ("hf-text", "hf-audio", "transformer"):
        return table
    architecture = _architecture(str(network_options.get("model", "minilm")))
    if name == "transformer":
        spec = replace(
            table.spec,
            dim=architecture["vocab_size"],
            options={**table.spec.options, "architecture": architecture, "pretrained": False},
        )
        return FeatureTable(spec, table.rows)
    dim = table.spec.dim // TINY_DIM * int(architecture["hidden_size"])
    rows = {key: row.repeat(dim // table.spec.dim, axis=-1) for key, row in table.rows.items()}
    return FeatureTable(
        InputSpec(kind=table.spec.kind, dim=dim, encoder=table.spec.encoder, options=table.spec.options), rows
    )


def _architecture(model: str) -> dict[str, Any]:
    """Return the architecture of a pretrained model, as transformers describes it.

    It comes from the model's folder, from this package or from ``KNOWN_ARCHITECTURES``. The hub is used only for other
    names, because it may be slow or not reachable.

    Raises:
        FeatureError: the architecture cannot be loaded.
    """
    from transformers import AutoConfig

    pretrained = PretrainedModel(model, encoder="cost")
    if model not in KNOWN_ARCHITECTURES or Path(pretrained.location).is_dir():
        return pretrained.architecture()
    kind, settings = KNOWN_ARCHITECTURES[model]
    return dict(AutoConfig.for_model(kind, **settings).to_dict())
