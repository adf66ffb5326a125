"""What the jobs of a suite do. Every function continues what it finds in its folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dialogue_ser.errors import DialogueSerError
from dialogue_ser.runs.intact import has_whole_model, has_whole_predictions
from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.training.config.files import config_from_dict


def train_cell(config: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """Train one run, or continue it.

    Args:
        config: the configuration, as :func:`~dialogue_ser.training.config.files.config_to_dict` gives it.
        folder: its run directory.
    """
    from dialogue_ser.training.run import train

    directory = Path(folder)
    run = train(
        config_from_dict(config), directory, resume=(directory / "config.yaml").is_file(), progress=False
    )  # fmt: skip
    return {"best_epoch": run.best_epoch}


def cross_validate_cell(config: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """Do a cross-validation, or continue it. The arguments are those of :func:`train_cell`."""
    from dialogue_ser.evaluation.crossval.cross_validate import cross_validate

    if not has_results(Path(folder)):
        cross_validate(config_from_dict(config), Path(folder))
    return {}


def encode_features(config: Mapping[str, Any]) -> dict[str, Any]:
    """Put the frozen features of a configuration into the store.

    Args:
        config: a configuration whose data and features count.
    """
    from dialogue_ser.training.data.prepare import load_data

    load_data(config_from_dict(config))
    return {}


def has_results(folder: Path) -> bool:
    """Return whether a run or a cross-validation is finished, and its predictions and its model are there and whole."""
    if not has_whole_predictions(folder):
        return False
    if (folder / "scores.json").is_file() and (folder / "folds").is_dir():
        return True
    return b'"summary"' in _read(folder / "metrics.jsonl") and has_whole_model(folder)


def damage(folder: Path) -> str:
    """Return what is wrong with the files of a finished run, or ""; then the table cannot be made from it."""
    try:
        run = RunFiles(folder)
        _ = run.config, run.environment, run.epochs, run.scores, run.predictions
    except DialogueSerError as error:
        return "; ".join([*error.problems, f"or delete {folder} to make the run again"])
    return ""


def epochs_done(folder: Path) -> int:
    """Return how many epochs a run has finished; for an ensemble, those of all members together."""
    files = [folder / "metrics.jsonl", *folder.glob("members/*/metrics.jsonl")]
    return sum(_read(file).count(b'"kind": "epoch"') for file in files)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""
