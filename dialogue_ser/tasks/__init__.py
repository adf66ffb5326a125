"""What is to be said of a turn, and all that follows from it: classes, or values of named dimensions."""

from collections.abc import Mapping
from typing import Any

from dialogue_ser.corpus.schema import LabelSet
from dialogue_ser.errors import ConfigError, unknown_name
from dialogue_ser.metrics.predictions import Predictions
from dialogue_ser.tasks.base import Task
from dialogue_ser.tasks.classification import Classification
from dialogue_ser.tasks.regression import Regression

TASKS: Mapping[str, type[Task]] = {task.kind: task for task in (Classification, Regression)}


def find_task(kind: str) -> type[Task]:
    """The task of a configuration.

    Raises:
        ConfigError: there is none of this name.
    """
    if kind not in TASKS:
        raise ConfigError(f"task: {unknown_name('task', kind, TASKS)}")
    return TASKS[kind]


def as_task(task: Task | LabelSet) -> Task:
    """A task; a label set stands for telling its classes apart."""
    return Classification(task) if isinstance(task, LabelSet) else task


def task_of(predictions: Predictions, data: Mapping[str, Any] | None = None) -> Task:
    """The task that a table of predictions is about.

    Args:
        predictions: of a run.
        data: section ``data`` of its configuration, which names the label set and the classes that micro F1 leaves out.

    Raises:
        ConfigError: classes to leave out that there are not.
    """
    if predictions.kind == Regression.kind:
        return Regression(predictions.names)
    data = data or {}
    label_set = LabelSet(str(data.get("labels") or "labels"), predictions.names)
    return Classification(label_set, tuple(map(str, data.get("leave_out") or ())))


def task_of_scores(scores: Mapping[str, Any]) -> Task:
    """The task that a scores.json is about; files of earlier versions tell classes apart."""
    if Regression.names_key in scores:
        return Regression(tuple(scores[Regression.names_key]))
    leave_out = scores.get("leave_out") or ((scores.get("config") or {}).get("data") or {}).get("leave_out") or ()
    return Classification(LabelSet("labels", tuple(scores[Classification.names_key])), tuple(leave_out))


def task_from_description(config: Mapping[str, Any]) -> Task:
    """The task that config.json of a model folder describes.

    Raises:
        KeyError, TypeError: it is not complete.
        ConfigError: another task, which this version does not know.
    """
    if "task" not in config:
        described = config["label_set"]
        return Classification(LabelSet(described["name"], tuple(described["labels"])))
    kind = config["task"]["kind"]
    if kind != Regression.kind:
        raise ConfigError(f"task {kind!r}: is not known here; load it with the version that saved it")
    described = config["task"]
    return Regression(
        tuple(described["dimensions"]), tuple(described.get("centres", ())), tuple(described.get("scales", ()))
    )
