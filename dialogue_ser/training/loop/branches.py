"""Start the branches of a late fusion from weights that were trained alone before, as in E2 (docs/equations.md)."""

from pathlib import Path

from dialogue_ser.errors import ConfigError
from dialogue_ser.inference.model_folder import read_model_folder
from dialogue_ser.models.api import DialogueSystem
from dialogue_ser.training.config.files import load_record
from dialogue_ser.training.config.run_config import RunConfig

_BRANCH_MODEL = "utterance"  # the model of a run that trains one branch alone


def load_branch_weights(system: DialogueSystem, config: RunConfig) -> None:
    """Load the final weights of the runs in ``training.begin_from`` into the branches of a late fusion.

    Each must be a finished run of the model ``utterance`` on that modality alone. Its data must be the same, so that it
    has not learnt from turns that are evaluated here, and its features must be the same.

    Args:
        system: the model; it is changed.
        config: configuration of the run.

    Raises:
        ConfigError: the model has no branches, a modality does not exist, or runs do not fit. The error names all of
            them.
        CheckpointError, MissingDataError: a model folder cannot be read.
    """
    runs = config.training.begin_from
    if not runs:
        return
    from dialogue_ser.models.fusion.late_fusion import (
        LateFusion,  # the module of a model is imported only if it is used
    )

    if not isinstance(system, LateFusion):
        raise ConfigError(
            f"training.begin_from: model {system.name} has no branches; use the model late-fusion, or "
            "remove this setting"
        )
    problems = [
        f"training.begin_from.{modality}: {problem}"
        for modality, folder in runs.items()
        if (problem := _why_unsuitable(modality, Path(folder), config))
    ]
    if problems:
        raise ConfigError(*problems)
    for modality, folder in runs.items():
        weights = read_model_folder(Path(folder) / "model").weights
        try:
            system.take_branch(modality, weights)
        except RuntimeError as error:  # e.g. its projection has another size
            raise ConfigError(
                f"training.begin_from.{modality}: weights of {folder} do not fit: {error}; "
                "train this run with the same options"
            ) from error


def _why_unsuitable(modality: str, folder: Path, config: RunConfig) -> str | None:
    """Return why a run cannot be the branch of a modality; None if it can."""
    if modality not in config.features:
        return f"no such modality; there are {', '.join(config.features)}"
    if not ((folder / "config.yaml").is_file() and (folder / "model").is_dir()):
        return f"no finished run in {folder}; train it first, on {modality} alone with --model.name utterance"
    branch = load_record(folder / "config.yaml")
    if branch.model.name != _BRANCH_MODEL or list(branch.features) != [modality]:
        found = f"{branch.model.name} over {', '.join(branch.features)}"
        return f"{folder} is {found}, expected {_BRANCH_MODEL} over {modality} alone"
    if branch.data != config.data:
        return (
            f"{folder} was trained on other data, perhaps on turns that are evaluated here; "
            "make the section data of both runs equal"
        )
    if branch.features[modality] != config.features[modality]:
        return f"{folder} has other settings in features.{modality}; make them equal in both runs"
    return None
