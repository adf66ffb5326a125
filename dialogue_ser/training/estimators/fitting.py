"""Fit linear models of scikit-learn on utterance vectors, choose C on dev, and give them as systems of this package.

Such a model has one row of weights and one bias for each class or dimension. They become the weights of the registered
model `utterance` (a linear layer). So the result is a DialogueClassifier, which is saved, loaded and used like others.
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
from dialogue_ser.models.fusion.utterance import UtteranceSystem
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
"""Makes new pipelines that are not fitted yet: modality → pipeline."""

_MAX_TURNS_PER_BATCH = 512


@dataclass(frozen=True, kw_only=True)
class FittedEstimator:
    """A fitted linear model and how its C was chosen.

    Args:
        classifier: the final model, ready to predict and to be saved.
        fitted_on_train: the model that was fitted on train alone and evaluated on dev. It is the same object as
            ``classifier`` unless the model was fitted again.
        inverse_regularisation: the chosen C.
        metric: key of the metric that chose it.
        dev_scores: each C that was tried → value of this metric on dev.
    """

    classifier: DialogueClassifier
    fitted_on_train: DialogueClassifier
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
    """Fit a linear model on train for each candidate C, choose C on dev, and fit again if the settings say so.

    The scores of an SVM are no probabilities. Before the softmax they are multiplied by one factor, which makes the
    labels of dev as likely as possible. This does not change which class has the highest score.

    Args:
        train: dialogues to fit transforms and weights on.
        dev: dialogues that choose C.
        task: what to learn; a label set means the classification into its classes.
        pipelines: makes new, unfitted pipelines; it is called once per fit.
        settings: which estimator and how to fit it; None = the task's first estimator with default settings.
        store: feature store for the features of frozen encoders.

    Raises:
        ConfigError: an encoder needs training, or the estimator belongs to another task.
        CorpusError: train or dev has no labelled turn, or train has one class only.
        MediaError, FeatureError: features cannot be made.
    """
    task = as_task(task)
    settings = settings or EstimatorSettings(name=task.estimators[0])  # type: ignore[arg-type]
    _check_task(settings, task)
    fitted_task, metric = task.fitted(train), METRICS[task.fold_metric]
    system = _fit_inputs(fitted_task, pipelines, train, store)
    x_ND, gold = system.labelled(train, "train", store)
    dev_ND, dev_gold = system.labelled(dev, "dev", store)
    weights = _fit_candidates(x_ND, gold, fitted_task, settings, settings.inverse_regularisation)
    dev_scores = {c: _score(metric, fitted_task, one.scores(dev_ND), dev_gold) for c, one in weights.items()}
    chosen = _best_candidate(dev_scores, metric)
    scale = likeliest_scale(weights[chosen].scores(dev_ND), dev_gold) if settings.name == "linear-svm" else 1.0
    classifier = fitted_on_train = system.classifier(weights[chosen].scaled(scale))
    if settings.refit == "train+dev":
        system = _fit_inputs(fitted_task, pipelines, [*train, *dev], store)
        x_ND, gold = system.labelled([*train, *dev], "train+dev", store)
        weights = _fit_candidates(x_ND, gold, fitted_task, settings, [chosen])
        classifier = system.classifier(weights[chosen].scaled(scale))
    return FittedEstimator(
        classifier=classifier,
        fitted_on_train=fitted_on_train,
        inverse_regularisation=chosen,
        metric=metric.key,
        dev_scores=dev_scores,
    )


def predict_stored(
    classifier: DialogueClassifier, dialogues: Sequence[Dialogue], store: FeatureStore | None = None
) -> FloatArray:
    """Return the numbers of ``classifier.predict`` as ``[turns, S]``, with features from the store."""
    tables = {modality: pipeline.table(dialogues, store) for modality, pipeline in classifier.pipelines.items()}
    return classifier.numbers_of(dialogues, tables)


def _check_task(settings: EstimatorSettings, task: Task) -> None:
    """Raise ConfigError if the estimator cannot learn the task."""
    if settings.name not in task.estimators:
        raise ConfigError(
            f"crossval.estimator: {settings.name} does not learn a {task.kind}; use {' or '.join(task.estimators)}"
        )


def _fit_inputs(
    task: Task, pipelines: Pipelines, dialogues: Sequence[Dialogue], store: FeatureStore | None
) -> "_LinearSystem":
    """Fit new pipelines on some dialogues; return a linear system with them, whose weights are not fitted yet."""
    return _LinearSystem(task, {modality: one.fit(dialogues, store) for modality, one in pipelines().items()})


def _fit_candidates(
    x_ND: FloatArray, gold: FloatArray, task: Task, settings: EstimatorSettings, candidates: Sequence[float]
) -> dict[float, LinearWeights]:
    """Fit the estimator once for each candidate C: C → weights."""
    if settings.name == "ridge":
        # Values are fitted in the units of scores; the task turns scores back into values.
        fits = value_fits(x_ND, task.scores_of_values(gold), settings, candidates)
    else:
        fits = class_fits(x_ND, gold.astype(np.int64), task.n_scores, settings, candidates)
    return dict(zip(candidates, fits, strict=True))


def _best_candidate(dev_scores: Mapping[float, float], metric: Metric) -> float:
    """Return the C with the best score; of several equal ones, the smallest."""
    best_score = metric.best(dev_scores.values())
    return min(c for c, score in dev_scores.items() if score == best_score)


def _score(metric: Metric, task: Task, scores_NS: FloatArray, gold: FloatArray) -> float:
    """Return the metric of all turns together; it is computed from counts or moments."""
    if task.gives_probabilities:
        statistic = confusion_matrix(gold.astype(np.int64), scores_NS.argmax(-1).astype(np.int64), task.n_scores)
    else:
        values_NS = task.outputs(torch.from_numpy(scores_NS)).numpy()
        statistic = dialogue_moments(gold, values_NS, np.zeros(len(gold), dtype=np.int64)).sum(0)
    return float(metric.of_statistic(statistic))


class _LinearSystem:
    """Fitted pipelines and the model ``utterance`` that takes the fitted weights.

    Args:
        task: the fitted task.
        pipelines: modality → fitted pipeline.

    Raises:
        ConfigError: a modality gives no vectors.
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
        with torch.random.fork_rng(devices=[]):  # its random weights are replaced later and must not use up draws
            model = build_model("utterance", {"dropout": 0.0}, inputs, task.n_scores, task)
        assert isinstance(model, UtteranceSystem)
        self.model = model.eval()

    def labelled(
        self, dialogues: Sequence[Dialogue], part: str, store: FeatureStore | None
    ) -> tuple[FloatArray, FloatArray]:
        """Return the vectors ``[N, D]`` and the gold classes ``[N]`` or values ``[N, S]`` of the labelled turns.

        Args:
            dialogues: the dialogues.
            part: name of this part of the corpus, for the message.
            store: feature store for the features of frozen encoders.

        Raises:
            CorpusError: no turn is labelled.
        """
        tables = {modality: pipeline.table(dialogues, store) for modality, pipeline in self.pipelines.items()}
        x_pieces, gold_pieces = [], []
        with torch.inference_mode():
            for batch in _batches(dialogues, tables, self.task):
                target = batch.label if batch.value is None else batch.value
                x_pieces.append(self.model.turns(batch)[batch.is_real_turn].double().numpy())
                gold_pieces.append(target[batch.is_real_turn].double().numpy())
        is_labelled_N = np.array([self.task.is_labelled(turn) for dialogue in dialogues for turn in dialogue], bool)
        if not is_labelled_N.any():
            raise CorpusError(
                f"{part}: no turn is labelled, so nothing can be learnt or chosen; label its turns, or change data.cut"
            )
        return np.concatenate(x_pieces)[is_labelled_N], np.concatenate(gold_pieces)[is_labelled_N]

    def classifier(self, weights: LinearWeights) -> DialogueClassifier:
        """Return the model with these weights, together with its pipelines."""
        state = {
            "head.weight": torch.from_numpy(weights.weight_SD).float(),
            "head.bias": torch.from_numpy(weights.bias_S).float(),
        }
        self.model.load_state_dict(state)
        return DialogueClassifier(self.model, self.task, self.pipelines)


def _batches(dialogues: Sequence[Dialogue], tables: Mapping[str, FeatureTable], task: Task) -> Iterator[DialogueBatch]:
    """Yield batches of consecutive dialogues, with a limited number of turns in each."""
    start = 0
    while start < len(dialogues):
        stop, n_turns = start, 0
        while stop < len(dialogues) and (stop == start or n_turns + len(dialogues[stop]) <= _MAX_TURNS_PER_BATCH):
            n_turns += len(dialogues[stop])
            stop += 1
        yield collate(dialogues[start:stop], tables, task)
        start = stop
