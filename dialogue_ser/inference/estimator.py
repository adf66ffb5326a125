"""scikit-learn's linear classifiers as systems: learnt on utterance vectors, C chosen on dev, saved like any model.

What is learnt is one weight row and one bias per class, so it becomes the weights of the registered system `utterance`
(a linear layer and log-softmax): a DialogueClassifier, which saves without pickles, loads and predicts like all others.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from dialogue_ser.batch.collate import collate
from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.corpus.schema import Dialogue, LabelSet
from dialogue_ser.errors import ConfigError, CorpusError
from dialogue_ser.features.api import FeatureTable
from dialogue_ser.features.store import FeatureStore
from dialogue_ser.inference.classifier import DialogueClassifier
from dialogue_ser.inference.pipeline import FeaturePipeline
from dialogue_ser.metrics.scores import FloatArray, IntArray, confusion_matrix, metric_values
from dialogue_ser.models.utterance import UtteranceConfig, UtteranceSystem

EstimatorName = Literal["linear-svm", "logistic"]
ClassWeight = Literal["none", "balanced"]
Refit = Literal["train", "train+dev"]
Pipelines = Callable[[], Mapping[str, FeaturePipeline]]

_MOST_STEPS = 3000
_TURNS_AT_A_TIME = 512
#: Score of a class that train lacks: as good as never, and finite.
_NEVER = -1e4


@dataclass(frozen=True, kw_only=True, slots=True)
class EstimatorSettings:
    """How a linear classifier is learnt.

    Args:
        name: linear-svm (one against the rest, squared hinge) or logistic (multinomial), both with an L2 penalty.
        inverse_regularisation: positive candidates for C; the best UA on dev wins, the smallest on a tie.
        class_weight: balanced = inverse to the class's frequency in what is learnt from.
        refit: train = the model that dev judged is kept; train+dev = once C is chosen, transforms and weights are
            learnt again from both.
        seed: of the solver's order.
    """

    name: EstimatorName = "linear-svm"
    inverse_regularisation: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    class_weight: ClassWeight = "balanced"
    refit: Refit = "train+dev"
    seed: int = 0

    def __post_init__(self) -> None:
        candidates = list(self.inverse_regularisation)
        if min(candidates, default=0) <= 0:
            raise ConfigError(f"inverse_regularisation {candidates}: give positive candidates for C, e.g. [0.01, 1]")


@dataclass(frozen=True, kw_only=True)
class FittedEstimator:
    """A linear system and how it was chosen.

    Args:
        classifier: ready to predict and to be saved.
        judged: the one that dev judged, learnt from train alone; the same unless it was refitted.
        inverse_regularisation: the C that won.
        dev_uar: candidate C → UA on dev.
    """

    classifier: DialogueClassifier
    judged: DialogueClassifier
    inverse_regularisation: float
    dev_uar: Mapping[float, float]


@dataclass(frozen=True, kw_only=True)
class LinearWeights:
    """Scores of an utterance vector x are ``weight_CD @ x + bias_C``.

    Args:
        weight_CD: a row per class.
        bias_C: a number per class.
    """

    weight_CD: FloatArray
    bias_C: FloatArray

    def scores(self, x_ND: FloatArray) -> FloatArray:
        """``[N, C]``; the highest wins."""
        found: FloatArray = x_ND @ self.weight_CD.T + self.bias_C
        return found

    def scaled(self, factor: float) -> "LinearWeights":
        """The same decisions with scores that are ``factor`` times as large."""
        return LinearWeights(weight_CD=self.weight_CD * factor, bias_C=self.bias_C * factor)


def fit_estimator(
    train: Sequence[Dialogue],
    dev: Sequence[Dialogue],
    label_set: LabelSet,
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
        label_set: classes.
        pipelines: makes new, unfitted pipelines; called once per fit.
        settings: how; None = the defaults.
        store: where frozen features are kept.

    Raises:
        ConfigError: an encoder that would have to be trained.
        CorpusError: no labelled turn in train or dev, or a single class in train.
        MediaError, FeatureError: features that cannot be made.
    """
    settings = settings or EstimatorSettings()
    fitted = {modality: pipeline.fit(train, store) for modality, pipeline in pipelines().items()}
    system = _system(fitted, label_set)
    x_ND, gold_N = _labelled(system, fitted, train, label_set, "train", store)
    dev_ND, dev_gold_N = _labelled(system, fitted, dev, label_set, "dev", store)
    n_classes = len(label_set)
    found: dict[float, LinearWeights] = {}
    uar: dict[float, float] = {}
    for c, weights in zip(settings.inverse_regularisation, _fits(x_ND, gold_N, n_classes, settings), strict=True):
        predicted_N = weights.scores(dev_ND).argmax(-1).astype(np.int64)
        found[c] = weights
        uar[c] = float(metric_values(confusion_matrix(dev_gold_N, predicted_N, n_classes))["uar"])
    chosen = min(uar, key=lambda c: (-uar[c], c))
    scale = _likeliest_scale(found[chosen].scores(dev_ND), dev_gold_N) if settings.name == "linear-svm" else 1.0
    judged = classifier = _classifier(system, found[chosen].scaled(scale), fitted, label_set)
    if settings.refit == "train+dev":
        both = [*train, *dev]
        again = {modality: pipeline.fit(both, store) for modality, pipeline in pipelines().items()}
        refitted = _system(again, label_set)
        x_ND, gold_N = _labelled(refitted, again, both, label_set, "train+dev", store)
        [weights] = _fits(x_ND, gold_N, n_classes, settings, (chosen,))
        classifier = _classifier(refitted, weights.scaled(scale), again, label_set)
    return FittedEstimator(classifier=classifier, judged=judged, inverse_regularisation=chosen, dev_uar=uar)


def predict_stored(
    classifier: DialogueClassifier, dialogues: Sequence[Dialogue], store: FeatureStore | None = None
) -> FloatArray:
    """Class probabilities ``[turns, C]`` as ``classifier.predict_proba``, with features from the store."""
    tables = {modality: pipeline.table(dialogues, store) for modality, pipeline in classifier.pipelines.items()}
    with torch.inference_mode():
        pieces = [
            classifier.model(batch).log_probs_BTC[batch.is_real_turn].double().exp().numpy()
            for batch in _batches(dialogues, tables, classifier.label_set)
        ]
    p_NC = np.concatenate(pieces)
    normalised: FloatArray = p_NC / p_NC.sum(axis=1, keepdims=True)
    return normalised


def _system(pipelines: Mapping[str, FeaturePipeline], label_set: LabelSet) -> UtteranceSystem:
    """The linear system the weights will be put into.

    Raises:
        ConfigError: an input that is no vector.
    """
    inputs = {modality: pipeline.spec for modality, pipeline in pipelines.items()}
    problems = [
        f"features.{modality}: {pipelines[modality].name} gives {spec.kind}, which an estimator cannot read; choose an "
        "encoder that gives one vector per utterance, or a dialogue model (--crossval.estimator none)"
        for modality, spec in inputs.items()
        if spec.kind != "vector" or spec.encoder is not None
    ]
    if problems:
        raise ConfigError(*problems)
    with torch.random.fork_rng(devices=[]):  # its random weights are overwritten: leave the caller's generator alone
        return UtteranceSystem(UtteranceConfig(dropout=0.0), inputs, len(label_set)).eval()


def _batches(
    dialogues: Sequence[Dialogue], tables: Mapping[str, FeatureTable], label_set: LabelSet
) -> Iterator[DialogueBatch]:
    """Some dialogues at a time, in order."""
    start = 0
    while start < len(dialogues):
        stop, n_turns = start, 0
        while stop < len(dialogues) and (stop == start or n_turns + len(dialogues[stop]) <= _TURNS_AT_A_TIME):
            n_turns += len(dialogues[stop])
            stop += 1
        yield collate(dialogues[start:stop], tables, label_set)
        start = stop


def _labelled(
    system: UtteranceSystem,
    pipelines: Mapping[str, FeaturePipeline],
    dialogues: Sequence[Dialogue],
    label_set: LabelSet,
    part: str,
    store: FeatureStore | None,
) -> tuple[FloatArray, IntArray]:
    """Vectors and classes of the labelled turns.

    Raises:
        CorpusError: there are none.
    """
    tables = {modality: pipeline.table(dialogues, store) for modality, pipeline in pipelines.items()}
    x_pieces, gold_pieces = [np.empty((0, system.turns.out_dim))], [np.empty(0, dtype=np.int64)]
    with torch.inference_mode():
        for batch in _batches(dialogues, tables, label_set):
            x_pieces.append(system.turns(batch)[batch.is_real_turn].double().numpy())
            gold_pieces.append(batch.label[batch.is_real_turn].numpy())
    x_ND, gold_N = np.concatenate(x_pieces), np.concatenate(gold_pieces)
    if not (gold_N >= 0).any():
        raise CorpusError(f"{part}: no turn is labelled, so nothing can be learnt or chosen; label it or cut otherwise")
    return x_ND[gold_N >= 0], gold_N[gold_N >= 0]


def _fits(
    x_ND: FloatArray,
    gold_N: IntArray,
    n_classes: int,
    settings: EstimatorSettings,
    candidates: Sequence[float] | None = None,
) -> Iterator[LinearWeights]:
    """Weights for every candidate C.

    Raises:
        CorpusError: a single class.
    """
    if np.unique(gold_N).size < 2:
        raise CorpusError("train: holds one class only; nothing can be learnt from it")
    basis_DR = None
    if x_ND.shape[1] > x_ND.shape[0]:
        # An L2 penalty keeps the weights in the span of the rows: the same solution from N instead of D numbers each.
        basis_DR = np.linalg.qr(x_ND.T)[0]
        x_ND = x_ND @ basis_DR
    for c in candidates or settings.inverse_regularisation:
        model = _estimator(settings, c)
        with warnings.catch_warnings():
            # The last digits of convergence move nothing: C is chosen on dev among the fits as they are.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(x_ND, gold_N)
        yield _weights(model, basis_DR, n_classes)


def _estimator(settings: EstimatorSettings, c: float) -> Any:
    weight = None if settings.class_weight == "none" else settings.class_weight
    if settings.name == "linear-svm":
        return LinearSVC(C=c, class_weight=weight, max_iter=_MOST_STEPS, random_state=settings.seed)
    return LogisticRegression(C=c, class_weight=weight, max_iter=_MOST_STEPS)


def _weights(model: Any, basis_DR: FloatArray | None, n_classes: int) -> LinearWeights:
    """A fitted scikit-learn classifier's coefficients, a row per class of the label set."""
    coefficients, intercept = model.coef_, model.intercept_
    if len(model.classes_) == 2:  # one row: for the second class, against the first
        coefficients, intercept = np.concatenate([-coefficients, coefficients]), np.append(-intercept, intercept)
        if isinstance(model, LogisticRegression):  # two scores whose difference is the log-odds
            coefficients, intercept = coefficients / 2, intercept / 2
    if basis_DR is not None:
        coefficients = coefficients @ basis_DR.T
    weight_CD, bias_C = np.zeros((n_classes, coefficients.shape[1])), np.full(n_classes, _NEVER)
    weight_CD[model.classes_], bias_C[model.classes_] = coefficients, intercept
    return LinearWeights(weight_CD=weight_CD, bias_C=bias_C)


def _likeliest_scale(scores_NC: FloatArray, gold_N: IntArray) -> float:
    """The factor on the scores under which the softmax gives the labels the highest likelihood."""

    def loss(log_factor: float) -> float:
        z_NC = scores_NC * np.exp(log_factor)
        z_NC = z_NC - z_NC.max(-1, keepdims=True)
        chosen_N = np.take_along_axis(z_NC, gold_N[:, None], axis=-1)[:, 0]
        # Far below any other: a label that train lacks must not decide the scale.
        return float(np.mean(np.log(np.exp(z_NC).sum(-1)) - np.maximum(chosen_N, -50.0)))

    return float(np.exp(minimize_scalar(loss, bounds=(-4.0, 8.0), method="bounded").x))


def _classifier(
    system: UtteranceSystem, weights: LinearWeights, pipelines: Mapping[str, FeaturePipeline], label_set: LabelSet
) -> DialogueClassifier:
    state = {
        "head.weight": torch.from_numpy(weights.weight_CD).float(),
        "head.bias": torch.from_numpy(weights.bias_C).float(),
    }
    system.load_state_dict(state)
    return DialogueClassifier(system, label_set, pipelines)
