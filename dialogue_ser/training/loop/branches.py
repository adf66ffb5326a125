"""A late fusion that begins with branches trained apart, as in E2 (docs/equations.md)."""

from pathlib import Path

from dialogue_ser.errors import ConfigError
from dialogue_ser.inference.model_folder import read_model_folder
from dialogue_ser.models.api import DialogueSystem
from dialogue_ser.training.config.files import load_config
from dialogue_ser.training.config.run_config import RunConfig

_BRANCH = "utterance"  # the model that each branch is trained as


def begin_from_branches(system: DialogueSystem, config: RunConfig) -> None:
    """Gives branches the weights that the runs in ``training.begin_from`` ended with; dev chose them there.

    Each must be a finished run of ``utterance`` on that modality alone, with the same data, so that it has learnt from
    no turn that is judged here, and the same features.

    Raises:
        ConfigError: a model without branches, modalities it has not, runs that do not fit; names all of them.
        CheckpointError, MissingDataError: a model folder that cannot be read.
    """
    branches = config.training.begin_from
    if not branches:
        return
    from dialogue_ser.models.late_fusion import LateFusion  # a system's module is imported where it is needed

    if not isinstance(system, LateFusion):
        raise ConfigError(f"training.begin_from: model {system.name} has no branches to begin from; late-fusion has")
    problems = [
        f"training.begin_from.{name}: {problem}"
        for name, place in branches.items()
        if (problem := _misfit(name, Path(place), config))
    ]
    if problems:
        raise ConfigError(*problems)
    for name, place in branches.items():
        weights = read_model_folder(Path(place) / "model").weights
        try:
            system.take_branch(name, weights)
        except RuntimeError as error:  # another size of projection, say
            raise ConfigError(
                f"training.begin_from.{name}: weights of {place} do not fit: {error}; train it with the same options"
            ) from error


def _misfit(modality: str, folder: Path, config: RunConfig) -> str | None:
    """Why a run cannot be the branch of a modality."""
    if modality not in config.features:
        return f"no such modality; there are {', '.join(config.features)}"
    if not ((folder / "config.yaml").is_file() and (folder / "model").is_dir()):
        return f"no finished run in {folder}; train it first, on {modality} alone with --model.name utterance"
    branch = load_config(folder / "config.yaml")
    if branch.model.name != _BRANCH or list(branch.features) != [modality]:
        has = f"{branch.model.name} over {', '.join(branch.features)}"
        return f"{folder} is {has}, expected {_BRANCH} over {modality} alone"
    if branch.data != config.data:
        return f"{folder} was trained on other data (section data of its config.yaml), perhaps on turns judged here"
    if branch.features[modality] != config.features[modality]:
        return f"{folder} has other settings in features.{modality}; make them equal"
    return None
