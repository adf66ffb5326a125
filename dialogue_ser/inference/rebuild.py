"""Rebuild the parts of a classifier from a saved model: its system, its task and its pipelines."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from dialogue_ser.errors import CheckpointError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.features.core.bad_clips import OnBad
from dialogue_ser.inference.model_folder import CONFIG, SavedModel
from dialogue_ser.inputs.pipeline import FeaturePipeline
from dialogue_ser.models import build_model
from dialogue_ser.models.api import DialogueSystem
from dialogue_ser.models.ensemble import Ensemble
from dialogue_ser.tasks import task_from_description
from dialogue_ser.tasks.base import Task
from dialogue_ser.trust import NamedCode, Trust, code_in, only_code, refuse_code

#: Entries of config.json that hold names of a registry.
_NAMES = ("model.name", "**.systems.name", "inputs.*.encoder", "features.*.encoder", "features.*.options.frames")
#: Entries with words of the corpus, numbers and facts. Nothing there is imported.
_WORDS = ("label_set", "task", "files", "features.*.words", "features.*.fingerprint", "library", "library_version")

# So many weights may be missing or unknown, and each one is named. If there are more, only their number is.
_MOST_STRANGE_WEIGHTS = 100
_MAX_MEMBERS = 1000


def describe_model(model: DialogueSystem) -> dict[str, Any]:
    """Return the entry ``model`` of config.json: name, options and, for an ensemble, its members.

    Members of one kind that read the same inputs are described once, with their number. Others are listed in
    ``systems``, each with the name of every input of it in the batch.

    Raises:
        CheckpointError: a system has no attribute ``config`` with its options.
    """
    if not isinstance(model, Ensemble):
        return {"name": model.name, "options": model_options(model)}
    described = [describe_model(member) for member in model.members]  # type: ignore[arg-type]
    own_names = [{name: name for name in names} for names in model.names]
    is_nested = any(isinstance(member, Ensemble) for member in model.members)
    is_alike = all(one == described[0] for one in described) and all(names == own_names[0] for names in own_names)
    if not is_nested and is_alike and list(model.names) == own_names:
        return {**described[0], "members": len(described)}
    systems = [{**one, "inputs": names} for one, names in zip(described, model.names, strict=True)]
    return {"name": model.name, "options": {}, "systems": systems}


def model_options(model: DialogueSystem) -> dict[str, Any]:
    """Return all options of a system. ``build_model`` can build the system again from them.

    Raises:
        CheckpointError: the system has no attribute ``config`` with its options.
    """
    config = getattr(model, "config", None)
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        hint = "set self.config in its __init__"
        raise CheckpointError(f"model {model.name}: keeps no 'config', so it cannot be saved; {hint}")
    return dataclasses.asdict(config)


def code_in_model(saved: SavedModel) -> list[NamedCode]:
    """Return all code that config.json of a model folder names: the model, encoders, and what their options name."""
    found = code_in(saved.config, names=_NAMES, words=_WORDS)
    return [NamedCode(one.name, f"{saved.folder / CONFIG}: {one.place}") for one in found]


def refuse_untrusted(saved: SavedModel, trust_code: Trust) -> None:
    """Refuse a model folder whose config.json names code that is not trusted.

    Raises:
        CheckpointError: the folder names such code. The error lists all of it.
    """
    advice = (
        f"{saved.folder}: if you trust this code, load the model with trust_code=True (--trust_code); or import the "
        "code yourself and register it with @register_model or @register_encoder, and train with the registered name"
    )
    refuse_code(code_in_model(saved), trust_code, advice, CheckpointError)


def rebuild_model(saved: SavedModel, trust_code: Trust = False) -> DialogueSystem:
    """Build the system on the CPU and load the saved weights.

    Args:
        saved: content of the model folder.
        trust_code: allow a model or an encoder that is given as ``package.module:attribute``, see
            :meth:`DialogueClassifier.from_pretrained`.

    Raises:
        CheckpointError: weights are missing, unknown, of another shape or kind, or not finite (the message names all);
            or config.json names code that is not trusted.
        ConfigError: the model or an option does not exist in this version.
        KeyError, TypeError: config.json is not complete.
    """
    refuse_untrusted(saved, trust_code)
    with only_code(trust_code):
        return _rebuilt(saved)


def _rebuilt(saved: SavedModel) -> DialogueSystem:
    described = saved.config["model"]
    inputs = {modality: InputSpec(**spec) for modality, spec in saved.config["inputs"].items()}
    n_members = _number_of_systems(described)
    if not 1 <= n_members <= min(len(saved.weights), _MAX_MEMBERS):
        found = n_members if "systems" in described else described.get("members", 1)
        raise CheckpointError(
            f"{saved.folder}: config.json says {found!r} members, which cannot be; copy the whole folder again"
        )
    with torch.random.fork_rng(devices=[]):  # the new weights are random; this keeps the caller's generator as it is
        model = _built(saved, described, inputs, rebuild_task(saved))
    problems = _weight_problems(model.state_dict(), saved.weights)
    if problems:
        hint = "config.json and model.safetensors do not belong to one model; copy the whole folder again"
        raise CheckpointError(*(f"{saved.folder}: {problem}" for problem in problems), f"{saved.folder}: {hint}")
    model.load_state_dict(dict(saved.weights))
    return model


def _number_of_systems(described: Mapping[str, Any]) -> int:
    """Return how many systems :func:`_built` would build; 0 if a number is none."""
    if "systems" in described:
        numbers = [_number_of_systems(one) for one in described["systems"]]
        return sum(numbers) if all(number > 0 for number in numbers) else 0
    n_members = described.get("members", 1)
    return n_members if isinstance(n_members, int) and not isinstance(n_members, bool) else 0


def _built(
    saved: SavedModel,
    described: Mapping[str, Any],
    inputs: Mapping[str, InputSpec],
    task: Task,
    *,
    is_part: bool = False,
) -> DialogueSystem:
    """Build the described system, or the ensemble of all described systems, with random weights."""
    if "systems" in described:
        systems = described["systems"]
        names = [dict(one["inputs"]) for one in systems]
        members = [
            _built(saved, one, {own: inputs[shared] for own, shared in of_one.items()}, task, is_part=True)
            for one, of_one in zip(systems, names, strict=True)
        ]
        ensemble = Ensemble(members, names)
        if not is_part:
            _check_number(saved, len(ensemble.state_dict()))
        return ensemble
    n_members = described.get("members", 1)
    built = [build_model(described["name"], described["options"], inputs, task.n_scores, task)]
    if not is_part:
        _check_number(saved, n_members * len(built[0].state_dict()))
    built += [
        build_model(described["name"], described["options"], inputs, task.n_scores, task) for _ in range(n_members - 1)
    ]
    return Ensemble(built) if "members" in described else built[0]


def _check_number(saved: SavedModel, expected: int) -> None:
    """Refuse a file with far too many or too few weights, before they are made and compared one by one."""
    found = len(saved.weights)
    if abs(found - expected) > _MOST_STRANGE_WEIGHTS:
        raise CheckpointError(
            f"{saved.folder}: model.safetensors has {found:,} weights, but the model in config.json has {expected:,}; "
            "they do not belong to one model: copy the whole folder again"
        )


def _weight_problems(expected: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> list[str]:
    """Return one message for every weight that is missing, unknown, of another shape or kind, or not finite."""
    problems = [f"weight {name!r} is missing" for name in expected if name not in weights]
    problems += [f"weight {name!r} does not belong to the model" for name in weights if name not in expected]
    problems += [
        f"weight {name!r} has shape {tuple(value.shape)}, the model needs {tuple(expected[name].shape)}"
        for name, value in weights.items()
        if name in expected and value.shape != expected[name].shape
    ]
    problems += [
        f"weight {name!r} holds {value.dtype}, the model needs {expected[name].dtype}"
        for name, value in weights.items()
        if name in expected and value.is_floating_point() != expected[name].is_floating_point()
    ]
    problems += [
        f"weight {name!r} holds NaN or infinite values"
        for name, value in weights.items()
        if value.is_floating_point() and not value.isfinite().all()
    ]
    return problems


def rebuild_task(saved: SavedModel) -> Task:
    """Return the task of the saved model.

    Raises:
        ConfigError: this version does not know the task.
        KeyError, TypeError: config.json is not complete.
    """
    return task_from_description(saved.config)


def rebuild_pipeline(saved: SavedModel, modality: str, on_bad: OnBad | None, trust_code: Trust) -> FeaturePipeline:
    """Return the fitted pipeline of one modality.

    Args:
        saved: content of the model folder.
        modality: key of ``features`` in its config.json.
        on_bad: what to do with media that cannot be decoded; None = the same as in training.
        trust_code: allow an encoder whose import runs code.

    Raises:
        CheckpointError: the saved state is not complete, or config.json names code that is not trusted.
        FeatureError: the encoder here is another one than in the training run.
    """
    refuse_untrusted(saved, trust_code)
    prefix = f"{modality}/"
    arrays = {key.removeprefix(prefix): a for key, a in saved.transforms.items() if key.startswith(prefix)}
    state = dict(saved.config["features"][modality])
    if on_bad is not None:
        state["on_bad"] = on_bad
    return FeaturePipeline.from_state(state, arrays, trust_code=trust_code)
