"""The parts of a classifier from a saved model: system, task, pipelines."""

import dataclasses
from typing import Any

import torch

from dialogue_ser.errors import CheckpointError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.features.core.bad_clips import OnBad
from dialogue_ser.inference.model_folder import SavedModel
from dialogue_ser.inputs.pipeline import FeaturePipeline, untrusted_encoder_message
from dialogue_ser.models import build_model
from dialogue_ser.models.api import DialogueSystem
from dialogue_ser.models.ensemble import Ensemble
from dialogue_ser.tasks import task_from_description
from dialogue_ser.tasks.base import Task


def describe_model(model: DialogueSystem) -> dict[str, Any]:
    """What config.json says of a system: its name and options and, of an ensemble, how many members share them.

    Raises:
        CheckpointError: the system does not keep its ``config``.
    """
    if isinstance(model, Ensemble):
        first = model.members[0]
        assert isinstance(first, DialogueSystem)
        return {**describe_model(first), "members": len(model.members)}
    return {"name": model.name, "options": model_options(model)}


def model_options(model: DialogueSystem) -> dict[str, Any]:
    """Every option of a system, from which ``build_model`` builds it again.

    Raises:
        CheckpointError: the system does not keep its ``config``.
    """
    config = getattr(model, "config", None)
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        hint = "set self.config in its __init__"
        raise CheckpointError(f"model {model.name}: keeps no 'config', so it cannot be saved; {hint}")
    return dataclasses.asdict(config)


def rebuild_model(saved: SavedModel, trust_code: bool = False) -> DialogueSystem:
    """The system with the saved weights, on the CPU.

    Args:
        saved: what the model folder holds.
        trust_code: allow a model or trained encoder given as ``package.module:Class``, whose import runs code.

    Raises:
        CheckpointError: missing and extra weights, shapes that differ, values that are not finite: every one of them;
            or a model or encoder that needs ``trust_code``.
        ConfigError: a model or option that does not exist here.
        KeyError, TypeError: config.json is not complete.
    """
    described = saved.config["model"]
    if not trust_code and ":" in described["name"]:
        raise CheckpointError(
            f"{saved.folder}: needs your own model {described['name']!r}; import it and register it with "
            "@register_model under a name of its own, or load with trust_code=True (--trust_code) if the model is yours"
        )
    inputs = {modality: InputSpec(**spec) for modality, spec in saved.config["inputs"].items()}
    for modality, spec in inputs.items():
        if not trust_code and ":" in (spec.encoder or ""):
            raise CheckpointError(untrusted_encoder_message(modality, spec.encoder))
    task, n_members = rebuild_task(saved), described.get("members", 1)
    if not (isinstance(n_members, int) and 1 <= n_members <= len(saved.weights)):
        raise CheckpointError(f"{saved.folder}: config.json says {n_members!r} members; copy the whole folder again")
    with torch.random.fork_rng(devices=[]):  # its random weights are overwritten: leave the caller's generator alone
        built = [
            build_model(described["name"], described["options"], inputs, task.n_scores, task) for _ in range(n_members)
        ]
    model = built[0] if "members" not in described else Ensemble(built)
    expected = model.state_dict()
    problems = [f"weight {name!r} is missing" for name in expected if name not in saved.weights]
    problems += [f"weight {name!r} is not one of the model's" for name in saved.weights if name not in expected]
    problems += [
        f"weight {name!r} has shape {tuple(value.shape)}, the model needs {tuple(expected[name].shape)}"
        for name, value in saved.weights.items()
        if name in expected and value.shape != expected[name].shape
    ]
    problems += [
        f"weight {name!r} holds NaN or infinite values"
        for name, value in saved.weights.items()
        if value.is_floating_point() and not value.isfinite().all()
    ]
    if problems:
        hint = "config.json and model.safetensors are not of one model; copy the whole folder again"
        raise CheckpointError(*(f"{saved.folder}: {problem}" for problem in problems), f"{saved.folder}: {hint}")
    model.load_state_dict(dict(saved.weights))
    return model


def rebuild_task(saved: SavedModel) -> Task:
    """What the model's scores mean, in their order.

    Raises:
        ConfigError: a task that this version does not know.
        KeyError, TypeError: config.json is not complete.
    """
    return task_from_description(saved.config)


def rebuild_pipeline(saved: SavedModel, modality: str, on_bad: OnBad | None, trust_code: bool) -> FeaturePipeline:
    """The fitted pipeline of one modality.

    Args:
        saved: what the model folder holds.
        modality: key of ``features`` in its config.json.
        on_bad: what to do with media that cannot be decoded; None = as in training.
        trust_code: allow an encoder whose import runs code.

    Raises:
        CheckpointError: incomplete state, or an encoder that needs ``trust_code``.
        FeatureError: the encoder is not the one of the training run.
    """
    prefix = f"{modality}/"
    arrays = {key.removeprefix(prefix): a for key, a in saved.transforms.items() if key.startswith(prefix)}
    state = dict(saved.config["features"][modality])
    if on_bad is not None:
        state["on_bad"] = on_bad
    return FeaturePipeline.from_state(state, arrays, trust_code=trust_code)
