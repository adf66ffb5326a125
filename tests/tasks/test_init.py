import json

import numpy as np
import pytest

from dialogue_ser.corpus.schema import Dialogue, LabelSet, Utterance
from dialogue_ser.errors import ConfigError
from dialogue_ser.metrics.predictions import predictions_of
from dialogue_ser.tasks import (
    TASKS,
    Task,
    as_task,
    find_task,
    task_from_description,
    task_of,
    task_of_scores,
)
from dialogue_ser.tasks.classification import Classification
from dialogue_ser.tasks.regression import Regression

CLASSES = Classification(LabelSet("mood", ("calm", "glad")))
VALUES = Regression(("valence", "arousal"))
FITTED = Regression(("valence", "arousal"), (3.1, 0.2), (0.7, 1e-3))


def test_tasks_are_found_by_their_kind() -> None:
    assert {kind: task.kind for kind, task in TASKS.items()} == {kind: kind for kind in TASKS}
    assert (find_task("classification"), find_task("regression")) == (Classification, Regression)
    with pytest.raises(ConfigError, match="task: unknown task 'regresion'; did you mean 'regression'"):
        find_task("regresion")


def test_a_label_set_stands_for_telling_its_classes_apart() -> None:
    assert as_task(CLASSES.label_set) == CLASSES
    assert as_task(VALUES) is VALUES


@pytest.mark.parametrize("task", [CLASSES, VALUES, FITTED], ids=["classes", "values", "fitted"])
def test_a_description_in_config_json_gives_the_task_back(task: Task) -> None:
    assert task_from_description(json.loads(json.dumps(task.description()))) == task


def test_a_model_folder_of_an_earlier_version_tells_classes_apart() -> None:
    described = {"label_set": {"name": "mood", "labels": ["calm", "glad"]}, "format": 1}
    assert task_from_description(described) == CLASSES


def test_a_description_of_a_task_from_the_future_is_refused_and_an_incomplete_one_too() -> None:
    with pytest.raises(ConfigError, match="task 'ranking': is not known here"):
        task_from_description({"task": {"kind": "ranking"}})
    for incomplete in ({}, {"task": {"kind": "regression"}}, {"label_set": {"name": "mood"}}):
        with pytest.raises(KeyError):
            task_from_description(incomplete)


@pytest.mark.parametrize("task", [CLASSES, VALUES], ids=["classes", "values"])
def test_a_table_of_predictions_tells_its_task(task: Task) -> None:
    dialogues = [Dialogue("d", (Utterance(id="a", speaker="A", label="calm", targets={"valence": 1.0}),))]
    predictions = predictions_of(task.prediction_frame(dialogues, np.array([[0.5, 0.5]]), split="test"))
    assert task_of(predictions, {"labels": "mood"}) == task
    assert task_of(predictions).names == task.names


def test_the_configuration_names_the_label_set_and_the_classes_left_out() -> None:
    dialogues = [Dialogue("d", (Utterance(id="a", speaker="A", label="calm"),))]
    predictions = predictions_of(CLASSES.prediction_frame(dialogues, np.array([[0.5, 0.5]]), split="test"))
    task = task_of(predictions, {"labels": "mood", "leave_out": ["calm"]})
    assert task == Classification(CLASSES.label_set, ("calm",))
    with pytest.raises(ConfigError, match=r"data\.leave_out: unknown label 'clam'"):
        task_of(predictions, {"leave_out": ["clam"]})


def test_scores_json_tells_its_task_in_every_version() -> None:
    old = {"format": 1, "labels": ["calm", "glad"], "leave_out": ["calm"]}
    crossval = {"labels": ["calm", "glad"], "config": {"data": {"leave_out": ["glad"]}}}
    assert task_of_scores(old) == Classification(LabelSet("labels", ("calm", "glad")), ("calm",))
    assert task_of_scores(crossval) == Classification(LabelSet("labels", ("calm", "glad")), ("glad",))
    assert task_of_scores({"task": "regression", "dimensions": ["valence", "arousal"]}) == VALUES
