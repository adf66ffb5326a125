"""The table of all metrics: their names, how they are computed, whether higher or lower is better, and what they need.

No other place lists metrics. Selection, scores.json, tables, cards, reports and comparisons use this table.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from dialogue_ser.errors import ConfigError, DialogueSerError, unknown_name
from dialogue_ser.metrics import averages
from dialogue_ser.metrics.agreement import N_GOLD_SUMS, ccc, mae, mean_over_known, mse, pearson_r
from dialogue_ser.metrics.confusion import FloatArray
from dialogue_ser.metrics.roc import macro_auc, roc_curves
from dialogue_ser.registry import Registry, Target

Needs = Literal["confusion", "moments", "probabilities", "turns"]
TaskKind = Literal["classification", "regression"]
Direction = Literal["max", "min"]

#: What a metric may need → the only task that has it.
_TASK_OF: Mapping[str, TaskKind] = {
    "confusion": "classification", "probabilities": "classification", "moments": "regression",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric.

    Args:
        key: name in configurations, scores.json, metrics.jsonl and W&B.
        heading: name in tables and reports.
        function: function that computes the metric. ``needs`` decides its arguments and its result.
        needs: ``confusion``: from confusion matrices ``[…, C, C]`` (row = gold) to ``[…]``.
            ``moments``: from sums ``[…, S, 7]`` of :mod:`~dialogue_ser.metrics.agreement` to one value per dimension
            ``[…, S]``; the metric is the mean over the annotated dimensions.
            ``probabilities``: from ``(probabilities_NC, gold_N, labels)`` to a number, or None if it is not defined.
            ``turns``: from ``(gold, predicted)`` of the labelled turns to a number. They are names ``[N]`` or values
            ``[N, S]``.
        direction: ``max`` = higher is better, ``min`` = lower is better.
        task: ``classification``, ``regression``, or None for both. If only one task has what the metric needs, the
            metric belongs to this task.

    Raises:
        ConfigError: needs, direction or task has an unknown value, or the task does not have what the metric needs.
    """

    key: str
    heading: str
    function: Callable[..., Any]
    needs: Needs = "turns"
    direction: Direction = "max"
    task: TaskKind | None = None

    def __post_init__(self) -> None:
        choices = {"needs": get_args(Needs), "direction": get_args(Direction), "task": (None, *get_args(TaskKind))}
        problems = [
            f"metric {self.key!r}: {field} is {found!r}, expected one of {', '.join(map(str, allowed))}"
            for field, allowed in choices.items()
            if (found := getattr(self, field)) not in allowed
        ]
        only_task = _TASK_OF.get(self.needs)
        if only_task and self.task not in (None, only_task):
            problems.append(
                f"metric {self.key!r}: needs {self.needs}, which a {self.task} does not have; leave task out"
            )
        if problems:
            raise ConfigError(*problems)
        object.__setattr__(self, "task", only_task or self.task)

    @property
    def is_additive(self) -> bool:
        """Whether the metric is computed from sums over dialogues. Then resampling and swapping dialogues is fast."""
        return self.needs in ("confusion", "moments")

    def of_statistic(self, statistic: npt.NDArray[Any]) -> FloatArray:
        """Return the metric ``[…]`` of confusion matrices ``[…, C, C]`` or moments ``[…, S, 7]``, if it is additive.

        Raises:
            DialogueSerError: the function of the metric fails, or it returns another shape or a number that is not
                finite.
        """
        assert self.is_additive, self.key
        n_kept = 2 if self.needs == "confusion" else 1
        values = self._checked(statistic, statistic.shape[:-n_kept])
        return values if self.needs == "confusion" else mean_over_known(values, statistic[..., 0])

    def _checked(self, statistic: npt.NDArray[Any], shape: tuple[int, ...]) -> FloatArray:
        try:
            values: FloatArray = np.asarray(self.function(statistic), dtype=np.float64)
        except Exception as error:  # the function may be a user's program and may raise anything
            raise function_failed(self.key, error) from error
        if values.shape != shape or not np.isfinite(values).all():
            found = f"shape {values.shape}" if values.shape != shape else "something not finite"
            raise DialogueSerError(
                f"metric {self.key}: its function gave {found} for statistics of shape {statistic.shape}, expected "
                f"finite numbers of shape {shape}; correct the function"
            )
        return values

    def gold_of(self, statistic: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the part of a statistic that depends only on gold. It is equal for every system on the same turns."""
        return statistic.sum(-1) if self.needs == "confusion" else statistic[..., :N_GOLD_SUMS]

    @property
    def sign(self) -> int:
        """1 if higher is better, −1 if lower is better."""
        return 1 if self.direction == "max" else -1

    def is_better(self, value: float, than: float) -> bool:
        """Return whether a value is strictly better than another one."""
        return value > than if self.direction == "max" else value < than

    def best(self, values: Iterable[float]) -> float:
        """Return the best of some values."""
        return max(values) if self.direction == "max" else min(values)


def function_failed(key: str, error: Exception) -> DialogueSerError:
    """Return the exception to raise if the function of a metric has failed."""
    return DialogueSerError(f"metric {key}: its function failed: {type(error).__name__}: {error}; correct the function")


def _auc(probabilities_NC: FloatArray, gold_N: npt.NDArray[np.int64], labels: tuple[str, ...]) -> float | None:
    return macro_auc(roc_curves(probabilities_NC, gold_N, labels))


def _class_metric(key: str, heading: str, function: Callable[..., Any], needs: Needs = "confusion") -> Metric:
    return Metric(key=key, heading=heading, function=function, needs=needs, task="classification")


def _value_metric(key: str, heading: str, function: Callable[..., Any], direction: Direction) -> Metric:
    return Metric(key=key, heading=heading, function=function, needs="moments", direction=direction, task="regression")


#: The metrics of the library, in the order of tables.
BUILT_IN = SimpleNamespace(
    **{
        metric.key: metric
        for metric in (
            _class_metric("weighted_f1", "weighted F1", partial(averages.weighted, name="f1")),
            _class_metric("accuracy", "accuracy (WA)", averages.accuracy),
            _class_metric("uar", "UA (macro recall)", partial(averages.macro, name="recall")),
            _class_metric("macro_f1", "macro F1", partial(averages.macro, name="f1")),
            _class_metric("macro_precision", "macro precision", partial(averages.macro, name="precision")),
            _class_metric("weighted_precision", "weighted precision", partial(averages.weighted, name="precision")),
            _class_metric("macro_f05", "macro F0.5", partial(averages.macro, name="f05")),
            _class_metric("weighted_f05", "weighted F0.5", partial(averages.weighted, name="f05")),
            _class_metric("micro_f1", "micro F1", averages.micro_f1),
            _class_metric("auc", "AUC (one against the rest)", _auc, "probabilities"),
            _value_metric("ccc", "CCC", ccc, "max"),
            _value_metric("pearson_r", "Pearson r", pearson_r, "max"),
            _value_metric("mae", "MAE", mae, "min"),
            _value_metric("mse", "MSE", mse, "min"),
        )
    }
)


def as_metric(name: str, found: Any) -> Metric:
    """Return a metric unchanged, or make one from a function ``(gold, predicted) → number``.

    The key of the new metric is the last part of the name, and higher is better. ``heading``, ``needs``, ``direction``
    and ``task`` can be set as attributes of the function or as arguments of :func:`register_metric`.

    Raises:
        ConfigError: the thing is neither a metric nor a function, or its key is used by a metric of the library or by
            another entry of scores.json.

    >>> as_metric("my.module:cohen_kappa", lambda gold, predicted: 0.5).heading
    'cohen kappa'
    """
    if not isinstance(found, Metric) and not callable(found):
        raise ConfigError(f"metric {name!r}: is neither a function (gold, predicted) nor a Metric; give one of these")
    key = found.key if isinstance(found, Metric) else metric_key(name)
    if key in vars(BUILT_IN) and found is not vars(BUILT_IN)[key]:
        raise ConfigError(f"metric {name!r}: {key} is a metric of the library; give the function another name")
    if key in RESERVED:
        raise ConfigError(f"metric {name!r}: {key} is another entry of scores.json; give the metric another name")
    if isinstance(found, Metric):
        return found
    attributes = {field: getattr(found, field) for field in _DETAILS if hasattr(found, field)}
    details = attributes | dict(METRICS.registered[name].details if name in METRICS.registered else {})
    unknown = [field for field in details if field not in _DETAILS]
    if unknown:
        raise ConfigError(*(f"metric {name!r}: {unknown_name('detail', field, _DETAILS)}" for field in unknown))
    return Metric(key=key, function=found, **({"heading": key.replace("_", " ")} | details))


#: Keys of scores that are not metrics.
RESERVED = ("n", "confusion", "per_class", "per_dimension")
_DETAILS = ("heading", "needs", "direction", "task")

#: All metrics: those of the library, registered ones, entry points, and ``package.module:function``.
METRICS: Registry[Metric] = Registry(
    "metric", "dialogue_ser.metrics", {key: f"{__name__}:BUILT_IN.{key}" for key in vars(BUILT_IN)}, check=as_metric
)


def register_metric(name: str, **details: Any) -> Callable[[Target], Target]:
    """Return a decorator that registers a function ``(gold, predicted) → number`` as a metric.

    Args:
        name: name for configurations. It is also the key of the metric.
        details: ``heading``, ``needs``, ``direction`` and ``task`` of :class:`Metric`, if the defaults do not fit.

    Raises:
        ConfigError: the name contains a colon, or it belongs to the library or to another function.
    """
    return METRICS.register(name, **details)


def metric_key(name: str) -> str:
    """Return the key of a metric that a configuration names. The metric is not imported.

    >>> metric_key("ccc"), metric_key("my.module:Scores.kappa")
    ('ccc', 'kappa')
    """
    return name.rpartition(":")[2].rpartition(".")[2]


def heading_of(key: str) -> str:
    """Return the heading of a metric; its key if the metric is not known here.

    >>> heading_of("uar"), heading_of("cohen_kappa")
    ('UA (macro recall)', 'cohen_kappa')
    """
    return METRICS[key].heading if key in METRICS else key
