"""Start the branches of a fusion from weights that were trained alone before, as E2 and the paper of bc-LSTM do."""

from pathlib import Path

from dialogue_ser.errors import ConfigError
from dialogue_ser.inference.model_folder import read_model_folder
from dialogue_ser.models.api import BranchedSystem, DialogueSystem
from dialogue_ser.training.config.files import load_record
from dialogue_ser.training.config.run_config import RunConfig


def load_branch_weights(system: DialogueSystem, config: RunConfig) -> None:
    """Load the final weights of the runs in ``training.begin_from`` into the branches of a fusion.

    Each must be a finished run on that modality alone, of the system's ``branch_model``: ``utterance`` for
    ``late-fusion``, ``bc-lstm`` for the hierarchical ``bc-lstm``. Its data must be the same, so that it
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
    if not isinstance(system, BranchedSystem) or not system.has_branches:
        raise ConfigError(
            f"training.begin_from: model {system.name} has no branches; use the model late-fusion, or bc-lstm with "
            "--model.options.fusion hierarchical, or remove this setting"
        )
    problems = [
        f"training.begin_from.{modality}: {problem}"
        for modality, folder in runs.items()
        if (problem := _why_unsuitable(modality, Path(folder), config, system.branch_model))
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


def _why_unsuitable(modality: str, folder: Path, config: RunConfig, branch_model: str) -> str | None:
    """Return why a run cannot be the branch of a modality; None if it can."""
    if modality not in config.features:
        return f"no such modality; there are {', '.join(config.features)}"
    if not ((folder / "config.yaml").is_file() and (folder / "model").is_dir()):
        return f"no finished run in {folder}; train it first, on {modality} alone with --model.name {branch_model}"
    branch = load_record(folder / "config.yaml")
    if branch.model.name != branch_model or list(branch.features) != [modality]:
        found = f"{branch.model.name} over {', '.join(branch.features)}"
        return f"{folder} is {found}, expected {branch_model} over {modality} alone"
    if branch.data != config.data:
        return (
            f"{folder} was trained on other data, perhaps on turns that are evaluated here; "
            "make the section data of both runs equal"
        )
    if branch.features[modality] != config.features[modality]:
        return f"{folder} has other settings in features.{modality}; make them equal in both runs"
    return None
