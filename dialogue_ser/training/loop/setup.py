"""Build what the training loop needs from a configuration and data: system, batches, learner, evaluation on dev."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from accelerate import Accelerator

from dialogue_ser.batch.collate import collate
from dialogue_ser.corpus.schema import utterances
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.audio.augmentation import VariantPicker
from dialogue_ser.metrics.predictions import Predictions, predictions_of
from dialogue_ser.metrics.table import Metric
from dialogue_ser.models import build_model
from dialogue_ser.models.api import DialogueSystem
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.data.augmented import max_copies
from dialogue_ser.training.data.batches import Batches
from dialogue_ser.training.data.prepare import Data, dev_metrics, metric_key
from dialogue_ser.training.loop.branches import load_branch_weights
from dialogue_ser.training.loop.epochs import Training
from dialogue_ser.training.loop.gradient.adversarial import Attack
from dialogue_ser.training.loop.gradient.whole_batch import over_processes
from dialogue_ser.training.loop.interrupt import StopRequest
from dialogue_ser.training.loop.learner import Learner
from dialogue_ser.training.loop.loss import ContrastiveTerm, DialogueLoss, class_weights
from dialogue_ser.training.loop.optimize import build_optimizer
from dialogue_ser.training.loop.predict import evaluation_batches, predict


def build_system(config: RunConfig, data: Data) -> DialogueSystem:
    """Build the configured system.

    Its weights are drawn from torch's global generator; the branches in ``training.begin_from`` get their trained
    weights.

    Raises:
        ConfigError: a model or option does not exist, is out of range or too large for this machine; or a run in
            ``training.begin_from`` does not fit.
        CheckpointError: the weights of such a run cannot be read.
    """
    inputs = {modality: table.spec for modality, table in data.tables.items()}
    system = build_model(config.model.name, config.model.options, inputs, data.task.n_scores, data.task)
    load_branch_weights(system, config)
    return system


def make_batches(config: RunConfig, data: Data, accelerator: Accelerator) -> Batches:
    """Return what makes the batches of this process; for a GPU they are page-locked and made in advance."""
    is_cuda = accelerator.device.type == "cuda"
    n_copies = max_copies(config)
    return Batches(
        collate=partial(collate, tables=data.tables, task=data.task),
        batch_size=config.training.batch_size,
        accumulate=config.training.accumulate,
        rank=accelerator.process_index,
        n_ranks=accelerator.num_processes,
        workers=config.training.workers,
        sampling=config.training.sampling,
        vary=VariantPicker(n_copies) if n_copies else None,
        pin_memory=is_cuda,
        n_ahead=2 if is_cuda else 0,
    )


def build_learner(config: RunConfig, data: Data, system: DialogueSystem, accelerator: Accelerator) -> Learner:
    """Build the learner: move the system to its device, and make the optimizer, the losses and the attack on weights.

    Raises:
        ConfigError: fixed class weights, weights to attack or auxiliary losses do not fit.
    """
    system.to(accelerator.device)
    label_set = data.corpus.label_set
    weights_C = None if label_set is None else class_weights(data.train, label_set, config.loss)
    loss = DialogueLoss(config.loss, data.task, None if weights_C is None else weights_C.to(accelerator.device))
    contrastive = ContrastiveTerm(config.loss.contrastive, data.task, accelerator)
    batches, adversarial = make_batches(config, data, accelerator), config.training.adversarial
    return Learner(
        system,
        build_optimizer(system, config.optimizer),
        over_processes(loss, accelerator),
        config=config.optimizer,
        total_steps=config.training.epochs * batches.n_steps(len(data.train)),
        accelerator=accelerator,
        ema_decay=config.training.ema_decay,
        sources=[contrastive] if data.task.gives_probabilities else [],
        attack=Attack(system, adversarial, config.seed) if adversarial.epsilon and adversarial.rate else None,
    )


def build_training(config: RunConfig, data: Data, learner: Learner, stop: StopRequest) -> Training:
    """Return the data of the training loop and its evaluation on dev, and on test if the protocol asks for it.

    Raises:
        ConfigError: the protocol asks for a test split, and there is none with labels.
    """
    batches = make_batches(config, data, learner.accelerator)
    metrics = dev_metrics(config, data.task)
    parts = {"dev": (config.data.dev, data.dev)}
    if config.training.protocol == "legacy-test-peek":
        test = peek_split(config, data)
        parts["test"] = (test, data.corpus.splits[test])

    def evaluate() -> dict[str, Any] | None:
        row: dict[str, Any] = {}
        for part, (split, dialogues) in parts.items():
            with learner.evaluation_weights() as system:
                predicted = predict(
                    system, dialogues, evaluation_batches(batches), learner.loss, learner.accelerator, stop=stop
                )
            if predicted is None:
                return None
            frame = data.task.prediction_frame(dialogues, data.task.numbers(predicted.outputs_NS), split=split)
            row |= {f"{part}_loss": predicted.loss, part: values_of(predictions_of(frame, part), metrics)}
        return row

    metric = metrics[metric_key(str(config.training.select))]
    return Training(dialogues=data.train, batches=batches, evaluate=evaluate, metric=metric, seed=config.seed)


def peek_split(config: RunConfig, data: Data) -> str:
    """Return the split that ``legacy-test-peek`` scores: test, or the only other one that is neither train nor dev.

    Raises:
        ConfigError: there is none, or several, or it has no labelled turn.
    """
    used = {*config.data.train.split("+"), config.data.dev}
    others = [
        name
        for name, dialogues in data.corpus.splits.items()
        if name not in used and any(data.task.is_labelled(turn) for turn in utterances(dialogues))
    ]
    if "test" in others:
        return "test"
    if len(others) == 1:
        return others[0]
    found = ", ".join(others) or "none"
    raise ConfigError(
        "training.protocol: legacy-test-peek needs one labelled split that is neither train nor dev; found "
        f"{found}; add a split test, or set the protocol to dev"
    )


def values_of(predictions: Predictions, metrics: Mapping[str, Metric]) -> dict[str, float | None]:
    """Compute metrics of some predictions: key → value."""
    return {key: predictions.value(metric) for key, metric in metrics.items()}
