"""Fit linear models of scikit-learn on utterance vectors, one for each candidate strength of the regularisation."""

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

_MAX_ITERATIONS = 3000
#: Score of a class that has no turn in train: so low that the class is never predicted, but finite.
_SCORE_OF_UNSEEN_CLASS = -1e4


@dataclass(frozen=True, kw_only=True, slots=True)
class EstimatorSettings:
    """Which linear model to fit, and how.

    Args:
        name: for classes linear-svm (one class against the rest, squared hinge loss) or logistic (multinomial); for
            values ridge (least squares). All have an L2 penalty.
        inverse_regularisation: candidates for C, all positive (for ridge C is 1 / alpha). The best score on dev wins:
            UA for classes, CCC for values. If several are equal, the smallest C wins.
        class_weight: balanced = weight each class by its inverse frequency in the data that is fitted; none = no
            weights. ridge ignores it.
        refit: train = keep the model that was fitted on train and evaluated on dev. train+dev = after the choice of C,
            fit transforms and weights again on train and dev together.
        seed: seed of the solver, which takes the rows in random order.
    """

    name: EstimatorName = "linear-svm"
    inverse_regularisation: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    class_weight: ClassWeight = "balanced"
    refit: Refit = "train+dev"
    seed: int = 0

    def __post_init__(self) -> None:
        candidates = list(self.inverse_regularisation)
        if min(candidates, default=0) <= 0:
            raise ConfigError(
                f"inverse_regularisation: found {candidates}; give positive candidates for C, e.g. [0.01, 1]"
            )


@dataclass(frozen=True, kw_only=True)
class LinearWeights:
    """Weights of a linear model: the scores of an utterance vector x are ``weight_SD @ x + bias_S``.

    Args:
        weight_SD: one row per class or dimension.
        bias_S: one number per class or dimension.
    """

    weight_SD: FloatArray
    bias_S: FloatArray

    def scores(self, x_ND: FloatArray) -> FloatArray:
        """Return the scores ``[N, S]`` of utterance vectors."""
        scores_NS: FloatArray = x_ND @ self.weight_SD.T + self.bias_S
        return scores_NS

    def scaled(self, factor: float) -> "LinearWeights":
        """Return weights whose scores are ``factor`` times as large; the highest score stays the highest."""
        return LinearWeights(weight_SD=self.weight_SD * factor, bias_S=self.bias_S * factor)


def class_fits(
    x_ND: FloatArray, gold_N: IntArray, n_classes: int, settings: EstimatorSettings, candidates: Sequence[float]
) -> Iterator[LinearWeights]:
    """Fit a classifier for each candidate C and yield its weights.

    Args:
        x_ND: utterance vectors.
        gold_N: class index of each vector.
        n_classes: number of classes in the label set.
        settings: which classifier to fit, and how.
        candidates: values of C.

    Raises:
        CorpusError: all vectors have the same class.
    """
    if np.unique(gold_N).size < 2:
        raise CorpusError("train: has one class only, so nothing can be learnt; add turns of other classes to train")
    basis_DR = None
    if x_ND.shape[1] > x_ND.shape[0]:
        # With an L2 penalty the weights are a combination of the rows. So the solution can be found in the space of the
        # rows, which has N instead of D dimensions, and is the same.
        basis_DR = np.linalg.qr(x_ND.T)[0]
        x_ND = x_ND @ basis_DR
    for c in candidates:
        model = _estimator(settings, c)
        with warnings.catch_warnings():
            # Full convergence is not needed: dev chooses C among the fits as they are.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(x_ND, gold_N)
        yield _weights(model, basis_DR, n_classes)


def _estimator(settings: EstimatorSettings, c: float) -> Any:
    """Return a scikit-learn classifier that is not fitted yet."""
    weight = None if settings.class_weight == "none" else settings.class_weight
    if settings.name == "linear-svm":
        return LinearSVC(C=c, class_weight=weight, max_iter=_MAX_ITERATIONS, random_state=settings.seed)
    return LogisticRegression(C=c, class_weight=weight, max_iter=_MAX_ITERATIONS)


def _weights(model: Any, basis_DR: FloatArray | None, n_classes: int) -> LinearWeights:
    """Return the weights of a fitted scikit-learn classifier, with one row for each class of the label set."""
    coefficients, intercept = model.coef_, model.intercept_
    if len(model.classes_) == 2:  # scikit-learn gives one row, for the second class against the first
        coefficients, intercept = np.concatenate([-coefficients, coefficients]), np.append(-intercept, intercept)
        if isinstance(model, LogisticRegression):  # the difference of both scores is the log-odds
            coefficients, intercept = coefficients / 2, intercept / 2
    if basis_DR is not None:
        coefficients = coefficients @ basis_DR.T
    weight_CD, bias_C = np.zeros((n_classes, coefficients.shape[1])), np.full(n_classes, _SCORE_OF_UNSEEN_CLASS)
    weight_CD[model.classes_], bias_C[model.classes_] = coefficients, intercept
    return LinearWeights(weight_SD=weight_CD, bias_S=bias_C)


def value_fits(
    x_ND: FloatArray, gold_NS: FloatArray, settings: EstimatorSettings, candidates: Sequence[float]
) -> Iterator[LinearWeights]:
    """Fit a ridge regression of each dimension for each candidate C = 1 / alpha and yield the weights.

    Args:
        x_ND: utterance vectors.
        gold_NS: gold scores; NaN if a turn is not annotated in a dimension.
        settings: has the seed of the solver.
        candidates: values of C.
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
    """Return the factor on the scores with which the softmax gives the labels the highest likelihood."""

    def loss(log_factor: float) -> float:
        z_NC = scores_NC * np.exp(log_factor)
        z_NC = z_NC - z_NC.max(-1, keepdims=True)
        chosen_N = np.take_along_axis(z_NC, gold_N.astype(np.int64)[:, None], axis=-1)[:, 0]
        # The limit of -50 keeps a label that has no turn in train, and so a very low score, from deciding the factor.
        return float(np.mean(np.log(np.exp(z_NC).sum(-1)) - np.maximum(chosen_N, -50.0)))

    return float(np.exp(minimize_scalar(loss, bounds=(-4.0, 8.0), method="bounded").x))
