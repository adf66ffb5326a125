"""Weights of scikit-learn's linear models on utterance vectors, for every candidate of their regularisation."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.optimize import minimize_scalar
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.svm import LinearSVC

from dialogue_ser.errors import ConfigError, CorpusError
from dialogue_ser.metrics.confusion import FloatArray, IntArray

EstimatorName = Literal["linear-svm", "logistic", "ridge"]
ClassWeight = Literal["none", "balanced"]
Refit = Literal["train", "train+dev"]

_MOST_STEPS = 3000
#: Score of a class that train lacks: as good as never, and finite.
_NEVER = -1e4


@dataclass(frozen=True, kw_only=True, slots=True)
class EstimatorSettings:
    """How a linear model is learnt.

    Args:
        name: of classes linear-svm (one against the rest, squared hinge) or logistic (multinomial), of values ridge
            (least squares); all have an L2 penalty.
        inverse_regularisation: positive candidates for C (ridge: 1 / its alpha); the best score on dev wins (UA of
            classes, CCC of values), the smallest C on a tie.
        class_weight: balanced = inverse to the class's frequency in what is learnt from; ridge has none.
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
class LinearWeights:
    """Scores of an utterance vector x are ``weight_SD @ x + bias_S``.

    Args:
        weight_SD: a row per class, or dimension.
        bias_S: a number per class, or dimension.
    """

    weight_SD: FloatArray
    bias_S: FloatArray

    def scores(self, x_ND: FloatArray) -> FloatArray:
        """``[N, S]``: the highest wins of classes; values of a regression."""
        found: FloatArray = x_ND @ self.weight_SD.T + self.bias_S
        return found

    def scaled(self, factor: float) -> "LinearWeights":
        """The same decisions of classes with scores that are ``factor`` times as large."""
        return LinearWeights(weight_SD=self.weight_SD * factor, bias_S=self.bias_S * factor)


def class_fits(
    x_ND: FloatArray, gold_N: IntArray, n_classes: int, settings: EstimatorSettings, candidates: Sequence[float]
) -> Iterator[LinearWeights]:
    """Weights of a classifier for every candidate C.

    Args:
        x_ND: utterance vectors.
        gold_N: class indices.
        n_classes: C.
        settings: which classifier, and how.
        candidates: for C.

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
    for c in candidates:
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
    return LinearWeights(weight_SD=weight_CD, bias_S=bias_C)


def value_fits(
    x_ND: FloatArray, gold_NS: FloatArray, settings: EstimatorSettings, candidates: Sequence[float]
) -> Iterator[LinearWeights]:
    """Weights of a ridge regression per dimension for every candidate C = 1 / alpha.

    Args:
        x_ND: utterance vectors.
        gold_NS: what scores should be, NaN where a turn is not annotated in a dimension.
        settings: seed of the solver.
        candidates: for C.
    """
    for c in candidates:
        weight_SD, bias_S = np.zeros((gold_NS.shape[1], x_ND.shape[1])), np.zeros(gold_NS.shape[1])
        for s in range(gold_NS.shape[1]):
            is_known_N = np.isfinite(gold_NS[:, s])
            if is_known_N.any():
                model = Ridge(alpha=1 / c, random_state=settings.seed).fit(x_ND[is_known_N], gold_NS[is_known_N, s])
                weight_SD[s], bias_S[s] = model.coef_, model.intercept_
        yield LinearWeights(weight_SD=weight_SD, bias_S=bias_S)


def likeliest_scale(scores_NC: FloatArray, gold_N: FloatArray) -> float:
    """The factor on the scores under which the softmax gives the labels the highest likelihood."""

    def loss(log_factor: float) -> float:
        z_NC = scores_NC * np.exp(log_factor)
        z_NC = z_NC - z_NC.max(-1, keepdims=True)
        chosen_N = np.take_along_axis(z_NC, gold_N.astype(np.int64)[:, None], axis=-1)[:, 0]
        # Far below any other: a label that train lacks must not decide the scale.
        return float(np.mean(np.log(np.exp(z_NC).sum(-1)) - np.maximum(chosen_N, -50.0)))

    return float(np.exp(minimize_scalar(loss, bounds=(-4.0, 8.0), method="bounded").x))
