"""scikit-learn's linear models as systems: learnt on utterance vectors, C chosen on dev, saved like any model.

What is learnt is one weight row and one bias per class or dimension, so it becomes the weights of the registered system
`utterance` (a linear layer): a DialogueClassifier, which saves without pickles, loads and predicts like all others.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dialogue_ser.batch.collate import collate
from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.corpus.schema import Dialogue, LabelSet
from dialogue_ser.errors import ConfigError, CorpusError
from dialogue_ser.features.core.api import FeatureTable
from dialogue_ser.features.store.feature_store import FeatureStore
from dialogue_ser.inference.classifier import DialogueClassifier
from dialogue_ser.inputs.pipeline import FeaturePipeline
from dialogue_ser.metrics.agreement import dialogue_moments
from dialogue_ser.metrics.confusion import FloatArray, confusion_matrix
from dialogue_ser.metrics.table import METRICS, Metric
from dialogue_ser.models import build_model
from dialogue_ser.models.utterance import UtteranceSystem
from dialogue_ser.tasks import as_task
from dialogue_ser.tasks.base import Task
from dialogue_ser.training.estimators.linear_fits import (
    EstimatorSettings,
    LinearWeights,
    class_fits,
    likeliest_scale,
    value_fits,
)

Pipelines = Callable[[], Mapping[str, FeaturePipeline]]

_TURNS_AT_A_TIME = 512


@dataclass(frozen=True, kw_only=True)
class FittedEstimator:
    """A linear system and how it was chosen.

    Args:
        classifier: ready to predict and to be saved.
        judged: the one that dev judged, learnt from train alone; the same unless it was refitted.
        inverse_regularisation: the C that won.
        metric: key of the metric that chose.
        dev_scores: candidate C → that metric on dev.
    """

    classifier: DialogueClassifier
    judged: DialogueClassifier
    inverse_regularisation: float
    metric: str
    dev_scores: Mapping[float, float]


def fit_estimator(
    train: Sequence[Dialogue],
    dev: Sequence[Dialogue],
    task: Task | LabelSet,
    pipelines: Pipelines,
    settings: EstimatorSettings | None = None,
    store: FeatureStore | None = None,
) -> FittedEstimator:
    """Learn from train, choose C on dev, refit as the settings say.

    An SVM's scores are no probabilities: they are scaled by one number, chosen on dev for the likelihood of its labels,
    before the softmax; which class wins is not touched by it.

    Args:
        train: dialogues that transforms and weights are learnt from.
        dev: dialogues that choose C.
        task: what is learnt; a label set stands for telling its classes apart.
        pipelines: makes new, unfitted pipelines; called once per fit.
        settings: how; None = the task's first estimator with the defaults.
        store: where frozen features are kept.

    Raises:
        ConfigError: an encoder that would have to be trained, or an estimator of the other kind of task.
        CorpusError: no labelled turn in train or dev, or a single class in train.
        MediaError, FeatureError: features that cannot be made.
    """
    task = as_task(task)
    settings = settings or EstimatorSettings(name=task.estimators[0])  # type: ignore[arg-type]
    _check_fits(settings, task)
    own = task.fitted(train)
    learnt = _Learnt(own, {modality: pipeline.fit(train, store) for modality, pipeline in pipelines().items()})
    x_ND, gold = learnt.labelled(train, "train", store)
    dev_ND, dev_gold = learnt.labelled(dev, "dev", store)
    metric, candidates = METRICS[task.fold_metric], settings.inverse_regularisation
    found: dict[float, LinearWeights] = {}
    scores: dict[float, float] = {}
    for c, weights in zip(candidates, _fits(x_ND, gold, own, settings, candidates), strict=True):
        found[c] = weights
        scores[c] = _score(metric, own, weights.scores(dev_ND), dev_gold)
    best = metric.best(scores.values())
    chosen = min(c for c, value in scores.items() if value == best)
    scale = likeliest_scale(found[chosen].scores(dev_ND), dev_gold) if settings.name == "linear-svm" else 1.0
    judged = classifier = learnt.classifier(found[chosen].scaled(scale))
    if settings.refit == "train+dev":
        both = [*train, *dev]
        again = _Learnt(own, {modality: pipeline.fit(both, store) for modality, pipeline in pipelines().items()})
        x_ND, gold = again.labelled(both, "train+dev", store)
        [weights] = _fits(x_ND, gold, own, settings, (chosen,))
        classifier = again.classifier(weights.scaled(scale))
    return FittedEstimator(
        classifier=classifier,
        judged=judged,
        inverse_regularisation=chosen,
        metric=metric.key,
        dev_scores=scores,
    )


def predict_stored(
    classifier: DialogueClassifier, dialogues: Sequence[Dialogue], store: FeatureStore | None = None
) -> FloatArray:
    """What ``classifier.predict`` is made of, ``[turns, S]``, with features from the store."""
    tables = {modality: pipeline.table(dialogues, store) for modality, pipeline in classifier.pipelines.items()}
    return classifier.numbers_of(dialogues, tables)


def _check_fits(settings: EstimatorSettings, task: Task) -> None:
    if settings.name not in task.estimators:
        raise ConfigError(
            f"crossval.estimator: {settings.name} does not learn a {task.kind}; use {' or '.join(task.estimators)}"
        )


def _fits(
    x_ND: FloatArray, gold: FloatArray, task: Task, settings: EstimatorSettings, candidates: Sequence[float]
) -> Iterator[LinearWeights]:
    """Weights for every candidate; values are learnt as scores, in which the task takes them back."""
    if settings.name == "ridge":
        return value_fits(x_ND, task.scores_of_values(gold), settings, candidates)
    return class_fits(x_ND, gold.astype(np.int64), task.n_scores, settings, candidates)


def _score(metric: Metric, task: Task, scores_NS: FloatArray, gold: FloatArray) -> float:
    """An additive metric of the turns together."""
    if task.gives_probabilities:
        statistic = confusion_matrix(gold.astype(np.int64), scores_NS.argmax(-1).astype(np.int64), task.n_scores)
    else:
        values_NS = task.outputs(torch.from_numpy(scores_NS)).numpy()
        statistic = dialogue_moments(gold, values_NS, np.zeros(len(gold), dtype=np.int64)).sum(0)
    return float(metric.of_statistic(statistic))


class _Learnt:
    """What is fitted on some dialogues beside the weights: pipelines, and the linear system the weights go into.

    Raises:
        ConfigError: an input that is no vector.
    """

    def __init__(self, task: Task, pipelines: Mapping[str, FeaturePipeline]) -> None:
        self.task = task
        self.pipelines = pipelines
        inputs = {modality: pipeline.spec for modality, pipeline in pipelines.items()}
        problems = [
            f"features.{modality}: {pipelines[modality].name} gives {spec.kind}, which an estimator cannot read; use "
            "an encoder that gives one vector per utterance, or a dialogue model (--crossval.estimator none)"
            for modality, spec in inputs.items()
            if spec.kind != "vector" or spec.encoder is not None
        ]
        if problems:
            raise ConfigError(*problems)
        with torch.random.fork_rng(devices=[]):  # its random weights are overwritten: leave the caller's generator
            system = build_model("utterance", {"dropout": 0.0}, inputs, task.n_scores, task)
        assert isinstance(system, UtteranceSystem)
        self.system = system.eval()

    def labelled(
        self, dialogues: Sequence[Dialogue], part: str, store: FeatureStore | None
    ) -> tuple[FloatArray, FloatArray]:
        """Vectors and what is right (class indices ``[N]`` or values ``[N, S]``) of the labelled turns.

        Raises:
            CorpusError: there are none.
        """
        tables = {modality: pipeline.table(dialogues, store) for modality, pipeline in self.pipelines.items()}
        x_pieces, gold_pieces = [], []
        with torch.inference_mode():
            for batch in _batches(dialogues, tables, self.task):
                target = batch.label if batch.value is None else batch.value
                x_pieces.append(self.system.turns(batch)[batch.is_real_turn].double().numpy())
                gold_pieces.append(target[batch.is_real_turn].double().numpy())
        is_labelled_N = np.array([self.task.is_labelled(turn) for dialogue in dialogues for turn in dialogue], bool)
        if not is_labelled_N.any():
            raise CorpusError(
                f"{part}: no turn is labelled, so nothing can be learnt or chosen; label it or cut otherwise"
            )
        return np.concatenate(x_pieces)[is_labelled_N], np.concatenate(gold_pieces)[is_labelled_N]

    def classifier(self, weights: LinearWeights) -> DialogueClassifier:
        """The system with the weights, and all that stands in front of it."""
        state = {
            "head.weight": torch.from_numpy(weights.weight_SD).float(),
            "head.bias": torch.from_numpy(weights.bias_S).float(),
        }
        self.system.load_state_dict(state)
        return DialogueClassifier(self.system, self.task, self.pipelines)


def _batches(dialogues: Sequence[Dialogue], tables: Mapping[str, FeatureTable], task: Task) -> Iterator[DialogueBatch]:
    """Some dialogues at a time, in order."""
    start = 0
    while start < len(dialogues):
        stop, n_turns = start, 0
        while stop < len(dialogues) and (stop == start or n_turns + len(dialogues[stop]) <= _TURNS_AT_A_TIME):
            n_turns += len(dialogues[stop])
            stop += 1
        yield collate(dialogues[start:stop], tables, task)
        start = stop
