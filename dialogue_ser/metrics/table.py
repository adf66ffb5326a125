"""THE table of metrics: what each one is called, how it is computed, which way is better, and what it needs.

Selection, scores.json, tables, cards, reports, W&B names and comparisons read it; no other place lists metrics.
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

#: What only one task has.
_TASK_OF: Mapping[str, TaskKind] = {
    "confusion": "classification", "probabilities": "classification", "moments": "regression",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One score.

    Args:
        key: its name in configurations, scores.json, metrics.jsonl and W&B.
        heading: its name for people.
        function: computes it; what it is given is said by ``needs``.
        needs: ``confusion``: matrices ``[…, C, C]`` (row = gold) → ``[…]``. ``moments``: sums ``[…, S, 7]`` of
            :mod:`~dialogue_ser.metrics.agreement` → one value per dimension ``[…, S]``; the mean over dimensions that
            are annotated there is the score.
            ``probabilities``: ``(probabilities_NC, gold_N, labels)`` → a number, or None where it is not defined.
            ``turns``: ``(gold, predicted)`` of the labelled turns → a number; names ``[N]``, or values ``[N, S]``.
        direction: ``max`` = higher is better, ``min`` = lower is better.
        task: classification, regression, or None for metrics of either; a metric that needs more than turns is one of
            the task that has it.

    Raises:
        ConfigError: another value of needs, direction or task, or a task that does not have what it needs.
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
        has_it = _TASK_OF.get(self.needs)
        if has_it and self.task not in (None, has_it):
            problems.append(f"metric {self.key!r}: needs {self.needs}, which a {self.task} does not have; drop task")
        if problems:
            raise ConfigError(*problems)
        object.__setattr__(self, "task", has_it or self.task)

    @property
    def is_additive(self) -> bool:
        """Whether it follows from sums over dialogues, so that resamples and swaps of dialogues are sums too."""
        return self.needs in ("confusion", "moments")

    def of_statistic(self, statistic: npt.NDArray[Any]) -> FloatArray:
        """``[…]`` of confusion matrices ``[…, C, C]`` or moments ``[…, S, 7]``; only of an additive metric.

        Raises:
            DialogueSerError: a function of one's own that fails, or gives another shape or something not finite.
        """
        assert self.is_additive, self.key
        n_kept = 2 if self.needs == "confusion" else 1
        values = self._checked(statistic, statistic.shape[:-n_kept])
        return values if self.needs == "confusion" else mean_over_known(values, statistic[..., 0])

    def _checked(self, statistic: npt.NDArray[Any], shape: tuple[int, ...]) -> FloatArray:
        try:
            values: FloatArray = np.asarray(self.function(statistic), dtype=np.float64)
        except Exception as error:  # the function is somebody's program and may raise anything
            raise function_failed(self.key, error) from error
        if values.shape != shape or not np.isfinite(values).all():
            found = f"shape {values.shape}" if values.shape != shape else "something not finite"
            raise DialogueSerError(
                f"metric {self.key}: its function gave {found} of statistics {statistic.shape}, expected finite "
                f"numbers of shape {shape}"
            )
        return values

    def gold_of(self, statistic: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The part of such a statistic that gold alone decides: equal for every system on the same turns."""
        return statistic.sum(-1) if self.needs == "confusion" else statistic[..., :N_GOLD_SUMS]

    @property
    def sign(self) -> int:
        """1 where higher is better, −1 where lower is."""
        return 1 if self.direction == "max" else -1

    def is_better(self, value: float, than: float) -> bool:
        """Whether a value is strictly better than another one."""
        return value > than if self.direction == "max" else value < than

    def best(self, values: Iterable[float]) -> float:
        """The best of some values."""
        return max(values) if self.direction == "max" else min(values)


def function_failed(key: str, error: Exception) -> DialogueSerError:
    """What to raise where the function of a metric raises."""
    return DialogueSerError(f"metric {key}: its function failed: {type(error).__name__}: {error}; mend the function")


def _auc(probabilities_NC: FloatArray, gold_N: npt.NDArray[np.int64], labels: tuple[str, ...]) -> float | None:
    return macro_auc(roc_curves(probabilities_NC, gold_N, labels))


def _of_classes(key: str, heading: str, function: Callable[..., Any], needs: Needs = "confusion") -> Metric:
    return Metric(key=key, heading=heading, function=function, needs=needs, task="classification")


def _of_values(key: str, heading: str, function: Callable[..., Any], direction: Direction) -> Metric:
    return Metric(key=key, heading=heading, function=function, needs="moments", direction=direction, task="regression")


#: The library's own, in the order of tables.
BUILT_IN = SimpleNamespace(
    **{
        metric.key: metric
        for metric in (
            _of_classes("weighted_f1", "weighted F1", partial(averages.weighted, name="f1")),
            _of_classes("accuracy", "accuracy (WA)", averages.accuracy),
            _of_classes("uar", "UA (macro recall)", partial(averages.macro, name="recall")),
            _of_classes("macro_f1", "macro F1", partial(averages.macro, name="f1")),
            _of_classes("macro_precision", "macro precision", partial(averages.macro, name="precision")),
            _of_classes("weighted_precision", "weighted precision", partial(averages.weighted, name="precision")),
            _of_classes("macro_f05", "macro F0.5", partial(averages.macro, name="f05")),
            _of_classes("weighted_f05", "weighted F0.5", partial(averages.weighted, name="f05")),
            _of_classes("micro_f1", "micro F1", averages.micro_f1),
            _of_classes("auc", "AUC (one against the rest)", _auc, "probabilities"),
            _of_values("ccc", "CCC", ccc, "max"),
            _of_values("pearson_r", "Pearson r", pearson_r, "max"),
            _of_values("mae", "MAE", mae, "min"),
            _of_values("mse", "MSE", mse, "min"),
        )
    }
)


def as_metric(name: str, found: Any) -> Metric:
    """A metric, or a function ``(gold, predicted) → number`` as one: higher is better, its key is the name's last part.

    A function may carry ``heading``, ``needs``, ``direction`` and ``task`` as attributes, or as what the decorator
    :func:`~dialogue_ser.registry.Registry.register` was told.

    Raises:
        ConfigError: neither of both, or a key that the library's own metric has, or scores.json something else under.

    >>> as_metric("my.module:cohen_kappa", lambda gold, predicted: 0.5).heading
    'cohen kappa'
    """
    if not isinstance(found, Metric) and not callable(found):
        raise ConfigError(f"metric {name!r}: is no function (gold, predicted) and no Metric; name one that is")
    key = found.key if isinstance(found, Metric) else metric_key(name)
    if key in vars(BUILT_IN) and found is not vars(BUILT_IN)[key]:
        raise ConfigError(f"metric {name!r}: {key} is a metric of the library; give the function another name")
    if key in RESERVED:
        raise ConfigError(f"metric {name!r}: {key} stands for something else in scores.json; give it another name")
    if isinstance(found, Metric):
        return found
    details = METRICS.registered[name].details if name in METRICS.registered else {}
    said = {field: getattr(found, field) for field in _SAYABLE if hasattr(found, field)} | dict(details)
    unknown = [field for field in said if field not in _SAYABLE]
    if unknown:
        raise ConfigError(*(f"metric {name!r}: {unknown_name('detail', field, _SAYABLE)}" for field in unknown))
    return Metric(key=key, function=found, **({"heading": key.replace("_", " ")} | said))


#: What scores hold beside metrics.
RESERVED = ("n", "confusion", "per_class", "per_dimension")
_SAYABLE = ("heading", "needs", "direction", "task")

#: Every metric that can be asked for: the library's own, decorated ones, entry points, ``package.module:function``.
METRICS: Registry[Metric] = Registry(
    "metric", "dialogue_ser.metrics", {key: f"{__name__}:BUILT_IN.{key}" for key in vars(BUILT_IN)}, check=as_metric
)


def register_metric(name: str, **details: Any) -> Callable[[Target], Target]:
    """A decorator that registers a metric, a function ``(gold, predicted) → number``, under a name.

    Args:
        name: to use in configurations, also its key.
        details: ``heading``, ``needs``, ``direction`` and ``task`` of :class:`Metric`, where the defaults do not fit.

    Raises:
        ConfigError: the name holds a colon, or belongs to the library or to another function.
    """
    return METRICS.register(name, **details)


def metric_key(name: str) -> str:
    """Key of a metric that a configuration names, without importing it.

    >>> metric_key("ccc"), metric_key("my.module:Scores.kappa")
    ('ccc', 'kappa')
    """
    return name.rpartition(":")[2].rpartition(".")[2]


def heading_of(key: str) -> str:
    """What people call a metric; of one that is not known here, its key.

    >>> heading_of("uar"), heading_of("cohen_kappa")
    ('UA (macro recall)', 'cohen_kappa')
    """
    return METRICS[key].heading if key in METRICS else key
