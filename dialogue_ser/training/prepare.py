"""From a configuration to everything the loop needs: corpus, fitted features, system, learner."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from accelerate import Accelerator

from dialogue_ser.batch.collate import collate
from dialogue_ser.corpus.schema import Corpus, Dialogue, utterances
from dialogue_ser.errors import ConfigError, CorpusError
from dialogue_ser.features.api import FeatureTable
from dialogue_ser.features.augmentation import VariantPicker
from dialogue_ser.features.store import FeatureStore
from dialogue_ser.inference.pipeline import FeaturePipeline
from dialogue_ser.metrics.averages import left_out_indices, micro_f1
from dialogue_ser.metrics.scores import METRICS, score
from dialogue_ser.models import build_model
from dialogue_ser.models.api import DialogueSystem
from dialogue_ser.training.augmented import most_copies, refuse_augmentation_unheard, with_variants
from dialogue_ser.training.balance import downsample
from dialogue_ser.training.branches import begin_from_branches
from dialogue_ser.training.config import RunConfig
from dialogue_ser.training.corpus import corpus_of
from dialogue_ser.training.interrupt import StopRequest
from dialogue_ser.training.leakage import refuse_leaked_weights
from dialogue_ser.training.learner import Learner
from dialogue_ser.training.loop import Task
from dialogue_ser.training.loss import DialogueLoss, class_weights
from dialogue_ser.training.optimize import build_optimizer
from dialogue_ser.training.plan import Batches
from dialogue_ser.training.predict import evaluation_batches, gold_labels, predict


@dataclass(frozen=True, kw_only=True)
class Data:
    """What a run learns from.

    Args:
        corpus: validated.
        train: dialogues of the training split(s).
        dev: dialogues that choose.
        pipelines: modality → encoder and transforms, fitted on train.
        tables: modality → model-ready features of every split, and of the training turns' augmented variants.
        balance: what downsampling left of train, see :meth:`Downsampled.to_dict`; empty without.
    """

    corpus: Corpus
    train: tuple[Dialogue, ...]
    dev: tuple[Dialogue, ...]
    pipelines: Mapping[str, FeaturePipeline]
    tables: Mapping[str, FeatureTable]
    balance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def masked(self) -> dict[str, int]:
        """Turns of all splits without features, per modality."""
        ids = [turn.id for dialogues in self.corpus.splits.values() for turn in utterances(dialogues)]
        return {modality: sum(name not in table.rows for name in ids) for modality, table in self.tables.items()}

    @property
    def absent(self) -> dict[str, list[str]]:
        """Classes that no turn of a split has, of every labelled split that is judged and lacks some."""
        learnt = {turn.id for turn in utterances(self.train)}
        found = {}
        for split, dialogues in self.corpus.splits.items():
            there = {turn.label for turn in utterances(dialogues) if turn.label and turn.id not in learnt}
            absent = [label for label in self.corpus.label_set or () if label not in there]
            if there and absent:
                found[split] = absent
        return found

    @property
    def feature_fingerprints(self) -> dict[str, dict[str, Any]]:
        """Modality → its encoder's fingerprint and a SHA-256 over all that was fitted (statistics, vocabulary)."""
        found = {}
        for modality, pipeline in self.pipelines.items():
            state, arrays = pipeline.state()
            digest = hashlib.sha256(json.dumps(state, sort_keys=True).encode())
            for name in sorted(arrays):
                digest.update(arrays[name].tobytes())
            found[modality] = {"encoder": state["fingerprint"], "fitted_sha256": digest.hexdigest()}
        return found


def load_data(config: RunConfig, store: FeatureStore | None = None, whole: Corpus | None = None) -> Data:
    """Reads and cuts the corpus, fits every modality's pipeline on train and makes the tables of all splits.

    Args:
        config: of the run.
        store: where frozen features are kept; None = the default one.
        whole: a corpus to take instead of reading one; the cut applies to it.

    Raises:
        ConfigError: unknown reader, fold, encoder or option; no modality; weights that have seen the test split.
        CorpusError: bad rows, unknown or empty split.
        MediaError, FeatureError: features that cannot be made.
        MissingDataError: the corpus is not on this machine.
    """
    if not config.features:
        raise ConfigError("features: no modality; give at least one, e.g. --features.text.encoder minilm")
    data = config.data
    corpus = corpus_of(data, whole)
    train = tuple(dialogue for name in data.train.split("+") for dialogue in corpus.split(name))
    dev = corpus.split(data.dev)
    _check_labelled(config, corpus.name, train, dev)
    left_out_indices(data.leave_out, corpus.label_set.labels)
    refuse_leaked_weights(config, corpus.name)
    pipelines = {
        modality: FeaturePipeline.build(
            modality, feature.encoder, feature.options, transforms=feature.transforms, on_bad=data.on_bad
        )
        for modality, feature in config.features.items()
    }
    refuse_augmentation_unheard(config, pipelines)
    store = store or FeatureStore()
    everything = [dialogue for dialogues in corpus.splits.values() for dialogue in dialogues]
    tables = {}
    for modality, pipeline in pipelines.items():
        pipeline.fit(train, store)
        tables[modality] = pipeline.table(everything, store)
    tables = with_variants(config, pipelines, tables, train, store)
    return Data(corpus=corpus, train=train, dev=dev, pipelines=pipelines, tables=tables)


def _check_labelled(config: RunConfig, corpus: str, train: Sequence[Dialogue], dev: Sequence[Dialogue]) -> None:
    """Raises CorpusError before anything is written: without labels nothing can be learnt or chosen."""
    problems = []
    if not any(turn.label or (config.loss.soft_labels and turn.votes) for turn in utterances(train)):
        problems.append(
            f"corpus {corpus}: no turn of split {config.data.train!r} is labelled, so nothing can be learnt"
        )
    if not any(turn.label for turn in utterances(dev)):
        problems.append(f"corpus {corpus}: no turn of split {config.data.dev!r} is labelled, so nothing can be chosen")
    if problems:
        hint = "label it, or name another split with --data.train or --data.dev"
        raise CorpusError(*(f"{problem}; {hint}" for problem in problems))


def balanced(config: RunConfig, data: Data) -> Data:
    """The data with what ``training.balance`` leaves of train, drawn by the run's seed.

    Transforms and vocabularies are fitted on all of train before: they ask for no labels, and members of an ensemble,
    which draw differently, share them.
    """
    if config.training.balance == "none":
        return data
    fewer = downsample(data.train, config.seed)
    return replace(data, train=fewer.dialogues, balance=fewer.to_dict())


def build_system(config: RunConfig, data: Data) -> DialogueSystem:
    """The configured system with random weights, drawn from torch's global generator, or those it is to begin with.

    Raises:
        ConfigError: a model or option that does not exist, out of range, or too large for this machine; branches to
            begin from that do not fit.
        CheckpointError: branches whose weights cannot be read.
    """
    inputs = {modality: table.spec for modality, table in data.tables.items()}
    system = build_model(config.model.name, config.model.options, inputs, len(data.corpus.label_set))
    begin_from_branches(system, config)
    return system


def make_batches(config: RunConfig, data: Data, accelerator: Accelerator) -> Batches:
    """How this process cuts and collates; for a GPU batches are page-locked and made in advance."""
    is_cuda = accelerator.device.type == "cuda"
    n_copies = most_copies(config)
    return Batches(
        collate=partial(collate, tables=data.tables, label_set=data.corpus.label_set),
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
    """System on its device, optimizer, loss (class weights from train), moving average."""
    system.to(accelerator.device)
    weights_C = class_weights(data.train, data.corpus.label_set, config.loss)
    batches = make_batches(config, data, accelerator)
    return Learner(
        system,
        build_optimizer(system, config.optimizer),
        DialogueLoss(config.loss, None if weights_C is None else weights_C.to(accelerator.device)),
        config=config.optimizer,
        total_steps=config.training.epochs * batches.n_steps(len(data.train)),
        accelerator=accelerator,
        ema_decay=config.training.ema_decay,
    )


def build_task(config: RunConfig, data: Data, learner: Learner, stop: StopRequest) -> Task:
    """Train dialogues, their batches, and the evaluation on dev."""
    batches = make_batches(config, data, learner.accelerator)
    gold = gold_labels(data.dev)
    labels, leave_out = data.corpus.label_set.labels, config.data.leave_out

    def evaluate() -> dict[str, Any] | None:
        with learner.evaluation_weights() as system:
            predicted = predict(
                system, data.dev, evaluation_batches(batches), learner.loss, learner.accelerator, stop=stop
            )
        if predicted is None:
            return None
        return {"dev_loss": predicted.loss, "dev": headline(gold, predicted.predicted_N.tolist(), labels, leave_out)}

    return Task(dialogues=data.train, batches=batches, evaluate=evaluate, seed=config.seed)


def headline(
    gold: Sequence[str | None], predicted: Sequence[int], labels: Sequence[str], leave_out: Sequence[str] = ()
) -> dict[str, float]:
    """The four scores that metrics.jsonl carries, and micro F1 where classes are left out of it.

    Raises:
        ConfigError: classes to leave out that there are not.
    """
    scores = score(gold, predicted, labels)
    found = {name: float(getattr(scores, name)) for name in METRICS}
    if leave_out:
        found["micro_f1"] = float(micro_f1(np.array(scores.confusion), left_out_indices(leave_out, labels)))
    return found
