"""Load the data of a run: corpus, task, fitted feature pipelines and feature tables."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

from dialogue_ser.corpus.schema import Corpus, Dialogue, utterances
from dialogue_ser.errors import ConfigError, CorpusError, FeatureError
from dialogue_ser.features.core.api import FeatureTable
from dialogue_ser.features.store.feature_store import FeatureStore
from dialogue_ser.inputs.pipeline import FeaturePipeline
from dialogue_ser.metrics.table import METRICS, Metric
from dialogue_ser.tasks import find_task
from dialogue_ser.tasks.base import Task
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.data.augmented import add_variants, refuse_augmentation_without_audio
from dialogue_ser.training.data.balance import downsample
from dialogue_ser.training.data.corpus import corpus_of, log_warnings
from dialogue_ser.training.data.leakage import refuse_leaked_weights

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Data:
    """The data of a run.

    Args:
        corpus: the corpus, validated and cut.
        task: the task, fitted on train.
        train: dialogues to learn from.
        dev: dialogues that choose the epoch.
        pipelines: modality → its encoder and transforms, fitted on train.
        tables: modality → features for the model, of every split and of the augmented variants of training turns.
        balance: counts of downsampling (:meth:`Downsampled.to_dict`); empty if train was not downsampled.
    """

    corpus: Corpus
    task: Task
    train: tuple[Dialogue, ...]
    dev: tuple[Dialogue, ...]
    pipelines: Mapping[str, FeaturePipeline]
    tables: Mapping[str, FeatureTable]
    balance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def masked(self) -> dict[str, int]:
        """Modality → number of turns of all splits that have no features in it."""
        ids = [turn.id for dialogues in self.corpus.splits.values() for turn in utterances(dialogues)]
        return {modality: sum(name not in table.rows for name in ids) for modality, table in self.tables.items()}

    @property
    def absent(self) -> dict[str, list[str]]:
        """Split → classes or dimensions that it lacks; without train, and without splits that lack none or all."""
        train_ids = {turn.id for turn in utterances(self.train)}
        found = {}
        for split, dialogues in self.corpus.splits.items():
            absent = self.task.absent(turn for turn in utterances(dialogues) if turn.id not in train_ids)
            if 0 < len(absent) < self.task.n_scores:
                found[split] = absent
        return found

    @property
    def feature_fingerprints(self) -> dict[str, dict[str, Any]]:
        """Modality → its encoder's fingerprint, and a SHA-256 of what was fitted on train (statistics, vocabulary)."""
        found = {}
        for modality, pipeline in self.pipelines.items():
            state, arrays = pipeline.state()
            if state["words"]:
                # The number of the rule that splits texts does not count, but the words that it finds in train do. So a
                # run of an older version goes on if the newer rule finds the same words.
                state["words"] = {name: value for name, value in state["words"].items() if name != "rule"}
            digest = hashlib.sha256(json.dumps(state, sort_keys=True).encode())
            for name in sorted(arrays):
                digest.update(arrays[name].tobytes())
            found[modality] = {"encoder": state["fingerprint"], "fitted_sha256": digest.hexdigest()}
        return found


def load_data(
    config: RunConfig, store: FeatureStore | None = None, whole: Corpus | None = None, *, with_warnings: bool = False
) -> Data:
    """Read and cut the corpus, fit the pipeline of every modality on train, and make the feature tables of all splits.

    Args:
        config: configuration of the run.
        store: feature store for the features of frozen encoders; None = the default store.
        whole: use this corpus instead of reading one; it is cut too.
        with_warnings: log what the reader found odd in the corpus, before features are made. A corpus that is given is
            not read, and its warnings are not logged.

    Raises:
        ConfigError: the reader, fold, an encoder or an option is unknown; there is no modality; or weights of an
            encoder were trained on the test split.
        CorpusError: the corpus has bad rows, or a split is unknown, empty or unlabelled.
        MediaError, FeatureError: features cannot be made.
        MissingDataError: the corpus is not on this machine.
    """
    if not config.features:
        raise ConfigError("features: there is no modality; give at least one, e.g. --features.text.encoder minilm")
    data = config.data
    corpus = corpus_of(data, whole)
    if with_warnings and whole is None:
        log_warnings(corpus)
    _check_dev(config, corpus)
    train = tuple(dialogue for name in data.train.split("+") for dialogue in corpus.split(name))
    dev = corpus.split(data.dev)
    task = find_task(config.task).of_corpus(corpus, targets=data.targets, leave_out=data.leave_out)
    _check_labelled(config, task, corpus.name, train, dev)
    dev_metrics(config, task)  # an unknown metric is an error before anything is encoded
    refuse_leaked_weights(config, corpus.name)
    pipelines = {
        modality: FeaturePipeline.build(
            modality, feature.encoder, feature.options, transforms=feature.transforms, on_bad=data.on_bad
        )
        for modality, feature in config.features.items()
    }
    refuse_augmentation_without_audio(config, pipelines)
    store = store or FeatureStore()
    everything = [dialogue for dialogues in corpus.splits.values() for dialogue in dialogues]
    tables = {}
    for modality, pipeline in pipelines.items():
        pipeline.fit(train, store)
        tables[modality] = pipeline.table(everything, store)
        for split, dialogues in corpus.splits.items():
            if note := pipeline.note_on(dialogues):
                logger.warning("features.%s, split %r: %s", modality, split, note)
    _check_covered(corpus, tables)
    tables = add_variants(config, pipelines, tables, train, store)
    return Data(corpus=corpus, task=task.fitted(train), train=train, dev=dev, pipelines=pipelines, tables=tables)


def _check_dev(config: RunConfig, corpus: Corpus) -> None:
    """Check that there is a dev split to choose the epoch on. A table of one dialogue has none.

    Raises:
        CorpusError: it does not exist. The error says how many dialogues the splits have.
    """
    dev = config.data.dev
    if dev not in corpus.splits and not get_close_matches(dev, corpus.splits, n=1):
        found = ", ".join(f"{name} ({len(dialogues)} dialogues)" for name, dialogues in corpus.splits.items())
        raise CorpusError(
            f"corpus {corpus.name}: unknown split {dev!r}; known: {found}; training chooses its epoch on the split "
            "that data.dev names: name one of these, or add dialogues (a table needs at least three to draw train, dev "
            "and test from them)"
        )


def _check_labelled(
    config: RunConfig, task: Task, corpus: str, train: Sequence[Dialogue], dev: Sequence[Dialogue]
) -> None:
    """Raise CorpusError if train or dev has no labels. This happens before anything is written."""
    problems = []
    if not any(task.is_labelled(turn, soft=config.loss.soft_labels) for turn in utterances(train)):
        problems.append(
            f"corpus {corpus}: no turn of split {config.data.train!r} is labelled, so nothing can be learnt"
        )
    if not any(task.is_labelled(turn) for turn in utterances(dev)):
        problems.append(f"corpus {corpus}: no turn of split {config.data.dev!r} is labelled, so no epoch can be chosen")
    if problems:
        hint = "label its turns, or choose another split with --data.train or --data.dev"
        raise CorpusError(*(f"{problem}; {hint}" for problem in problems))


def _check_covered(corpus: Corpus, tables: Mapping[str, FeatureTable]) -> None:
    """Refuse a split without any features: its predictions would not depend on its utterances.

    A split that lacks one modality of several is only a warning.

    Raises:
        FeatureError: a split has turns, but no turn has features in any modality.
    """
    ids_of = {split: [turn.id for turn in utterances(dialogues)] for split, dialogues in corpus.splits.items()}
    bare: list[str] = []
    for split, ids in ids_of.items():
        lacking = [modality for modality, table in tables.items() if not any(key in table.rows for key in ids)]
        if len(lacking) == len(tables):
            bare.append(split)
            continue
        for modality in lacking:
            logger.warning("split %r: none of its %d turns has features of %s", split, len(ids), modality)
    if bare:
        n_turns = sum(len(ids_of[split]) for split in bare)
        raise FeatureError(
            f"none of the {n_turns:,} turns of {' and '.join(bare)} has features ({', '.join(tables)}), e.g. "
            f"{ids_of[bare[0]][0]}; give features or files that cover them, or leave the split out of the corpus"
        )


def balanced(config: RunConfig, data: Data) -> Data:
    """Return the data with train downsampled, if ``training.balance`` says so; the run's seed decides which turns stay.

    Transforms and vocabularies were fitted on all of train before. They need no labels, and so all members of an
    ensemble can share them, although each member draws other turns.
    """
    if config.training.balance == "none":
        return data
    downsampled = downsample(data.train, config.seed)
    return replace(data, train=downsampled.dialogues, balance=downsampled.to_dict())


def requested_metrics(config: RunConfig) -> tuple[str, ...]:
    """Return the names of the additional metrics of a run: ``config.metrics``, and ``training.select`` if it is no
    metric of the library.
    """
    select = str(config.training.select)
    return config.metrics if select in METRICS else tuple(dict.fromkeys((*config.metrics, select)))


def dev_metrics(config: RunConfig, task: Task) -> dict[str, Metric]:
    """Return the metrics of dev that go into metrics.jsonl: key → metric.

    These are the headline metrics, micro F1 if it leaves out classes, and the metrics that the configuration names.

    Raises:
        ConfigError: a metric does not exist, or it belongs to another task.
    """
    known = task.metrics(requested_metrics(config))
    requested = [*(metric_key(name) for name in requested_metrics(config)), metric_key(str(config.training.select))]
    keys = [*task.headline, *(("micro_f1",) if "micro_f1" in known else ()), *requested]
    return {key: known[key] for key in dict.fromkeys(keys)}


def metric_key(name: str) -> str:
    """Return the key of a metric from its name in a configuration."""
    return METRICS.find(name).key
