"""Join trained classifiers into one that predicts the mean of their predictions. Each keeps its own pipelines."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from dialogue_ser.errors import ConfigError
from dialogue_ser.inference.classifier import DialogueClassifier
from dialogue_ser.inputs.pipeline import FeaturePipeline
from dialogue_ser.models.ensemble import Ensemble


def joined(classifiers: Sequence[DialogueClassifier]) -> DialogueClassifier:
    """Return a classifier whose class probabilities or values are the mean over the given ones.

    Inputs that are made by equal pipelines are one input, so that their features are computed once. An input whose
    name is taken by another pipeline gets a number: ``text-2``, ``text-3``, …

    Args:
        classifiers: one or more classifiers of one task, on one device. They may be systems of different kinds with
            different inputs.

    Raises:
        ConfigError: the tasks are different.
    """
    problems = [
        f"ensemble: model {number} predicts {_named(one)}, model 1 predicts {_named(classifiers[0])}; "
        "join models of one task"
        for number, one in enumerate(classifiers, start=1)
        if one.task != classifiers[0].task
    ]
    if problems:
        raise ConfigError(*problems)
    pipelines: dict[str, FeaturePipeline] = {}
    states: dict[str, _State] = {}
    names = []
    for one in classifiers:
        names_of_one: dict[str, str] = {}
        for own, pipeline in one.pipelines.items():
            state = _state_of(pipeline)
            taken = set(names_of_one.values())
            equal = [name for name in states if name not in taken and _are_equal(states[name], state)]
            name = next((name for name in equal if name == own), equal[0] if equal else _free_name(own, pipelines))
            names_of_one[own] = name
            pipelines.setdefault(name, pipeline)
            states.setdefault(name, state)
        names.append(names_of_one)
    model = Ensemble([one.model for one in classifiers], names)
    return DialogueClassifier(model.eval(), classifiers[0].task, pipelines)


_State = tuple[str, dict[str, Any]]


def _state_of(pipeline: FeaturePipeline) -> _State:
    """Return all that decides the features of a pipeline: its settings as text, and its arrays."""
    described, arrays = pipeline.state()
    settings = {name: value for name, value in described.items() if name != "modality"}
    return json.dumps([settings, repr(pipeline.spec)], sort_keys=True, default=str), arrays


def _are_equal(a: _State, b: _State) -> bool:
    return a[0] == b[0] and a[1].keys() == b[1].keys() and all(np.array_equal(a[1][key], b[1][key]) for key in a[1])


def _free_name(own: str, taken: dict[str, FeaturePipeline]) -> str:
    """Return the name itself, or the name with the first free number.

    >>> _free_name("text", {"text": None, "text-2": None})
    'text-3'
    """
    number, name = 1, own
    while name in taken:
        number += 1
        name = f"{own}-{number}"
    return name


def _named(classifier: DialogueClassifier) -> str:
    description = classifier.task.description()
    return json.dumps(description, ensure_ascii=False)
