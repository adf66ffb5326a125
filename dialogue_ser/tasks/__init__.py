"""Tasks: what is predicted of a turn. It is a class (classification), or values of named dimensions (regression)."""

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
    """Return the class of a task by its kind, e.g. ``regression``.

    Raises:
        ConfigError: there is no task of this kind.
    """
    if kind not in TASKS:
        raise ConfigError(f"task: {unknown_name('task', kind, TASKS)}")
    return TASKS[kind]


def as_task(task: Task | LabelSet) -> Task:
    """Return the task. A label set becomes the classification into its classes."""
    return Classification(task) if isinstance(task, LabelSet) else task


def task_of(predictions: Predictions, data: Mapping[str, Any] | None = None) -> Task:
    """Return the task of a table of predictions.

    Args:
        predictions: predictions of a run.
        data: section ``data`` of the run's configuration. It names the label set and the classes that micro F1 leaves
            out.

    Raises:
        ConfigError: a class to leave out does not exist.
    """
    if predictions.kind == Regression.kind:
        return Regression(predictions.names)
    data = data or {}
    label_set = LabelSet(str(data.get("labels") or "labels"), predictions.names)
    return Classification(label_set, tuple(map(str, data.get("leave_out") or ())))


def task_of_scores(scores: Mapping[str, Any]) -> Task:
    """Return the task of the content of a scores.json. Files of early versions are always classifications."""
    if Regression.names_key in scores:
        return Regression(tuple(scores[Regression.names_key]))
    leave_out = scores.get("leave_out") or ((scores.get("config") or {}).get("data") or {}).get("leave_out") or ()
    return Classification(LabelSet("labels", tuple(scores[Classification.names_key])), tuple(leave_out))


def task_from_description(config: Mapping[str, Any]) -> Task:
    """Return the task that config.json of a model folder describes.

    Raises:
        KeyError, TypeError: config.json is not complete.
        ConfigError: this version does not know the task.
    """
    if "task" not in config:
        described = config["label_set"]
        return Classification(LabelSet(described["name"], tuple(described["labels"])))
    kind = config["task"]["kind"]
    if kind != Regression.kind:
        raise ConfigError(f"task {kind!r}: is not known here; load the model with the version that saved it")
    described = config["task"]
    return Regression(
        tuple(described["dimensions"]), tuple(described.get("centres", ())), tuple(described.get("scales", ()))
    )
