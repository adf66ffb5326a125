"""From a configuration to everything the loop needs: corpus, fitted features, system, learner."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dialogue_ser.corpus.schema import Corpus, Dialogue, utterances
from dialogue_ser.errors import ConfigError, CorpusError
from dialogue_ser.features.core.api import FeatureTable
from dialogue_ser.features.store.feature_store import FeatureStore
from dialogue_ser.inputs.pipeline import FeaturePipeline
from dialogue_ser.metrics.table import METRICS, Metric
from dialogue_ser.tasks import find_task
from dialogue_ser.tasks.base import Task
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.data.augmented import refuse_augmentation_unheard, with_variants
from dialogue_ser.training.data.balance import downsample
from dialogue_ser.training.data.corpus import corpus_of
from dialogue_ser.training.data.leakage import refuse_leaked_weights


@dataclass(frozen=True, kw_only=True)
class Data:
    """What a run learns from.

    Args:
        corpus: validated.
        task: what is said of its turns, fitted on train.
        train: dialogues of the training split(s).
        dev: dialogues that choose.
        pipelines: modality → encoder and transforms, fitted on train.
        tables: modality → model-ready features of every split, and of the training turns' augmented variants.
        balance: what downsampling left of train, see :meth:`Downsampled.to_dict`; empty without.
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
        """Turns of all splits without features, per modality."""
        ids = [turn.id for dialogues in self.corpus.splits.values() for turn in utterances(dialogues)]
        return {modality: sum(name not in table.rows for name in ids) for modality, table in self.tables.items()}

    @property
    def absent(self) -> dict[str, list[str]]:
        """Classes or dimensions that no turn of a split has, of every labelled split that is judged and lacks some."""
        learnt = {turn.id for turn in utterances(self.train)}
        found = {}
        for split, dialogues in self.corpus.splits.items():
            absent = self.task.absent(turn for turn in utterances(dialogues) if turn.id not in learnt)
            if 0 < len(absent) < self.task.n_scores:
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
    task = find_task(config.task).of_corpus(corpus, targets=data.targets, leave_out=data.leave_out)
    _check_labelled(config, task, corpus.name, train, dev)
    dev_metrics(config, task)
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
    return Data(corpus=corpus, task=task.fitted(train), train=train, dev=dev, pipelines=pipelines, tables=tables)


def _check_labelled(
    config: RunConfig, task: Task, corpus: str, train: Sequence[Dialogue], dev: Sequence[Dialogue]
) -> None:
    """Raises CorpusError before anything is written: without labels nothing can be learnt or chosen."""
    problems = []
    if not any(task.is_labelled(turn, soft=config.loss.soft_labels) for turn in utterances(train)):
        problems.append(
            f"corpus {corpus}: no turn of split {config.data.train!r} is labelled, so nothing can be learnt"
        )
    if not any(task.is_labelled(turn) for turn in utterances(dev)):
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


def requested_metrics(config: RunConfig) -> tuple[str, ...]:
    """Metrics beside the library's that a run counts: those it names, and one of the user's that chooses."""
    select = str(config.training.select)
    return config.metrics if select in METRICS else tuple(dict.fromkeys((*config.metrics, select)))


def dev_metrics(config: RunConfig, task: Task) -> dict[str, Metric]:
    """What metrics.jsonl carries of dev: the headline, micro F1 where classes are left out, and what was asked for.

    Raises:
        ConfigError: a metric that does not exist, or is of the other kind of task.
    """
    known = task.metrics(requested_metrics(config))
    asked = [*(metric_key(name) for name in requested_metrics(config)), metric_key(str(config.training.select))]
    keys = [*task.headline, *(("micro_f1",) if "micro_f1" in known else ()), *asked]
    return {key: known[key] for key in dict.fromkeys(keys)}


def metric_key(name: str) -> str:
    """Key of a metric that is named in a configuration."""
    return METRICS.find(name).key
