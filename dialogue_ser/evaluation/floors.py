"""Floors: simple systems that every dialogue model must beat (docs/equations.md, "Floors").

For classes: the majority class, logistic regression on TF-IDF, and a linear probe on frozen features. For values: their
mean, and ridge regression on TF-IDF. A further floor, a speaker-blind BiGRU, is a registered model.

Each floor reads a table of turns and returns a table of predictions of the same turns. It uses only the columns split,
text and gold, so the predictions of a run can be its input. It learns from the train split and chooses its
regularisation on dev. It never uses the speaker or any other turn.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from dialogue_ser.errors import DialogueSerError
from dialogue_ser.metrics.agreement import dialogue_moments
from dialogue_ser.metrics.confusion import FloatArray, IntArray, confusion_matrix
from dialogue_ser.metrics.predictions import ClassPredictions, Predictions, ValuePredictions, predictions_of
from dialogue_ser.metrics.table import METRICS
from dialogue_ser.tasks import task_of

Kind = TypeVar("Kind", ClassPredictions, ValuePredictions)

TFIDF_INVERSE_REGULARISATION = (0.3, 1.0, 3.0, 10.0)
PROBE_INVERSE_REGULARISATION = (0.001, 0.01, 0.1, 1.0)


def majority(turns: ClassPredictions, train: str = "train") -> ClassPredictions:
    """Predict the most frequent class of train for every turn. The probabilities are the class frequencies of train.

    Raises:
        DialogueSerError: the split does not exist, or it has no labelled turn.
    """
    gold = turns.split(train).gold_N
    counts = np.bincount(gold[gold >= 0], minlength=len(turns.labels)).astype(np.float64)
    if not counts.sum():
        raise DialogueSerError(f"{turns.origin}: split {train!r} has no labelled turn to learn from; choose another")
    return _with_predictions(turns, np.tile(counts / counts.sum(), (len(turns), 1)), "majority")


def tfidf_logistic(
    turns: ClassPredictions,
    train: str = "train",
    dev: str = "dev",
    inverse_regularisation: Sequence[float] = TFIDF_INVERSE_REGULARISATION,
) -> ClassPredictions:
    """Predict classes by logistic regression on TF-IDF of words and word pairs.

    Args:
        turns: turns with text.
        train: split from which the vocabulary and the weights are learned.
        dev: split whose weighted F1 chooses C.
        inverse_regularisation: candidates for C.

    Raises:
        DialogueSerError: a split does not exist or has no labelled turn, there is no text, or train has one class only.
    """
    rows = _tfidf(turns, train)
    return _with_predictions(turns, _logistic(turns, rows, train, dev, inverse_regularisation), "tfidf-logistic")


def linear_probe(
    turns: ClassPredictions,
    features: Mapping[str, npt.ArrayLike],
    train: str = "train",
    dev: str = "dev",
    inverse_regularisation: Sequence[float] = PROBE_INVERSE_REGULARISATION,
) -> ClassPredictions:
    """Predict classes by logistic regression on frozen features of the turns.

    Args:
        turns: the turns.
        features: utterance id → vector ``[D]``. The vectors are standardised with the statistics of train; a constant
            column becomes 0. Missing values (NaN, or no vector at all) become the mean of train.
        train: split from which statistics and weights are learned.
        dev: split whose weighted F1 chooses C.
        inverse_regularisation: candidates for C.

    Raises:
        DialogueSerError: a split does not exist or has no labelled turn, there are no features, or vectors differ in
            length.
    """
    rows_ND = _standardised(turns, features, train)
    return _with_predictions(turns, _logistic(turns, rows_ND, train, dev, inverse_regularisation), "linear-probe")


def _feature_rows(turns: Predictions, features: Mapping[str, npt.ArrayLike]) -> FloatArray:
    ids = [str(name) for name in turns.frame["utterance_id"]]
    vectors = {name: np.asarray(features[name], dtype=np.float64) for name in ids if name in features}
    shapes = {vector.shape for vector in vectors.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        found = ", ".join(map(str, sorted(shapes))) or "no row for any utterance"
        raise DialogueSerError(
            f"{turns.origin}: found {found}, expected one vector [D] per utterance; give vectors of one length"
        )
    absent = np.full(next(iter(shapes)), np.nan)
    return np.stack([vectors.get(name, absent) for name in ids])


def mean_value(turns: ValuePredictions, train: str = "train") -> ValuePredictions:
    """Predict the mean of train's values for every turn. Its CCC and r are 0, and a system should have a lower MAE.

    Raises:
        DialogueSerError: the split does not exist, or it has no annotated turn.
    """
    gold_NS = turns.split(train).gold_NS
    is_known_NS = np.isfinite(gold_NS)
    if not is_known_NS.any():
        raise DialogueSerError(f"{turns.origin}: split {train!r} has no labelled turn to learn from; choose another")
    mean_S = np.where(is_known_NS, gold_NS, 0.0).sum(0) / np.maximum(is_known_NS.sum(0), 1)
    return _with_predictions(turns, np.tile(mean_S, (len(turns), 1)), "mean")


def tfidf_ridge(
    turns: ValuePredictions,
    train: str = "train",
    dev: str = "dev",
    inverse_regularisation: Sequence[float] = TFIDF_INVERSE_REGULARISATION,
) -> ValuePredictions:
    """Predict values by one ridge regression per dimension on TF-IDF of words and word pairs.

    Args:
        turns: turns with text.
        train: split from which the vocabulary and the weights are learned.
        dev: split whose CCC chooses C = 1 / alpha, for each dimension separately.
        inverse_regularisation: candidates for C.

    Raises:
        DialogueSerError: a split does not exist or has no annotated turn, or there is no text.
    """
    rows = _tfidf(turns, train)
    return _with_predictions(turns, _ridge(turns, rows, train, dev, inverse_regularisation), "tfidf-ridge")


def _tfidf(turns: Predictions, train: str) -> Any:
    """Return a sparse TF-IDF row for every turn. The vocabulary and the idf weights come from train.

    Raises:
        DialogueSerError: train has no words.
    """
    text = turns.frame["text"].fillna("").astype(str).to_numpy(dtype=object)
    is_train = (turns.frame["split"] == train).to_numpy()
    words = r"(?u)\b\w+\b|[!?]"  # exclamation and question marks carry emotion
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, token_pattern=words)
    try:
        vectorizer.fit(text[is_train])
    except ValueError as error:
        raise DialogueSerError(
            f"{turns.origin}: no words to learn from in split {train!r} ({error}); this floor needs transcripts"
        ) from error
    return vectorizer.transform(text)


def _standardised(turns: Predictions, features: Mapping[str, npt.ArrayLike], train: str) -> FloatArray:
    """Return features standardised with train's mean and standard deviation. Missing values become the mean."""
    rows_ND = _feature_rows(turns, features)
    is_train = (turns.frame["split"] == train).to_numpy()
    known = np.isfinite(rows_ND)
    n_known = known[is_train].sum(0)
    mean = np.where(known, rows_ND, 0.0)[is_train].sum(0) / np.maximum(n_known, 1)
    rows_ND = np.where(known, rows_ND, mean)
    if is_train.any():
        rows_ND = StandardScaler().fit(rows_ND[is_train]).transform(rows_ND)
    return rows_ND


def _ridge(turns: ValuePredictions, rows: Any, train: str, dev: str, candidates: Sequence[float]) -> FloatArray:
    """Return values ``[N, S]``. For each dimension, C is the candidate with the best CCC on dev."""
    split, gold_NS = turns.frame["split"].to_numpy(), turns.gold_NS
    best_NS = np.zeros_like(gold_NS)
    for s, name in enumerate(turns.names):
        is_known_N = np.isfinite(gold_NS[:, s])
        train_rows, dev_rows = (np.flatnonzero((split == part) & is_known_N) for part in (train, dev))
        for part, members in ((train, train_rows), (dev, dev_rows)):
            if not members.size:
                raise DialogueSerError(f"{turns.origin}: split {part!r} has no value of {name}; choose another")
        best = -np.inf
        for c in candidates:
            value_N = Ridge(alpha=1 / c).fit(rows[train_rows], gold_NS[train_rows, s]).predict(rows)
            one_group = np.zeros(dev_rows.size, dtype=np.int64)
            moments = dialogue_moments(gold_NS[dev_rows, s : s + 1], value_N[dev_rows, None], one_group).sum(0)
            score = float(METRICS["ccc"].of_statistic(moments))
            if score > best:
                best, best_NS[:, s] = score, value_N
    return best_NS


def _logistic(turns: ClassPredictions, rows: Any, train: str, dev: str, candidates: Sequence[float]) -> FloatArray:
    """Return probabilities ``[N, C]``. C is the candidate with the best weighted F1 on dev. Rows may be sparse."""
    gold_N: IntArray = turns.gold_N
    split = turns.frame["split"].to_numpy()
    train_rows, dev_rows = (np.flatnonzero((split == name) & (gold_N >= 0)) for name in (train, dev))
    problems = [
        f"{turns.origin}: split {name!r} has no labelled turn; choose another"
        for name, members in ((train, train_rows), (dev, dev_rows))
        if not members.size
    ]
    if train_rows.size and np.unique(gold_N[train_rows]).size < 2:
        problems.append(
            f"{turns.origin}: split {train!r} has one class only, so nothing can be learned from it; choose another"
        )
    if problems:
        raise DialogueSerError(*problems)
    best, best_f1 = np.zeros((len(turns), len(turns.labels))), -1.0
    for c in candidates:
        model = LogisticRegression(C=c, max_iter=300, tol=1e-3)
        with warnings.catch_warnings():
            # Full convergence is not needed, because dev chooses among the models as they are fitted.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(rows[train_rows], gold_N[train_rows])
        p_NC = np.zeros_like(best)
        p_NC[:, model.classes_] = model.predict_proba(rows)
        confusion = confusion_matrix(gold_N[dev_rows], p_NC[dev_rows].argmax(-1).astype(np.int64), len(turns.labels))
        f1 = float(METRICS["weighted_f1"].of_statistic(confusion))
        if f1 > best_f1:
            best, best_f1 = p_NC, f1
    return best


def _with_predictions(turns: Kind, numbers_NS: FloatArray, name: str) -> Kind:
    """Return a table of the same turns with other probabilities or values."""
    found = predictions_of(task_of(turns).with_numbers(turns.frame, numbers_NS), origin=name)
    assert isinstance(found, type(turns))
    return found


Floor = Callable[[Any, str, str], Predictions]

#: Name → function (table of turns, name of the train split, name of the dev split) → the floor's predictions.
FLOORS: Mapping[str, Floor] = {
    "majority": lambda turns, train, _dev: majority(turns, train),
    "tfidf-logistic": tfidf_logistic,
    "mean": lambda turns, train, _dev: mean_value(turns, train),
    "tfidf-ridge": tfidf_ridge,
}
