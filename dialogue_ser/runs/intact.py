"""Whether the large files of a run are whole. A copy that stopped, or a full disk, leaves files that are cut off."""

from pathlib import Path

import pyarrow
from pyarrow.parquet import read_metadata
from safetensors import SafetensorError, safe_open

from dialogue_ser.foreign_text.json_text import read_json


def has_whole_predictions(folder: Path) -> bool:
    """Return whether a run directory has predictions, and the file is not cut off."""
    return is_whole_table(folder / "predictions.parquet")


def is_whole_table(file: Path) -> bool:
    """Return whether a parquet file exists and is not cut off."""
    try:
        read_metadata(file)
    except (OSError, ValueError, pyarrow.ArrowException):
        return False
    return True


def has_whole_model(folder: Path) -> bool:
    """Return whether a run directory has a model, and no file of it is cut off."""
    try:
        read_json(folder / "model" / "config.json")
        weights = sorted((folder / "model").rglob("*.safetensors"))
        for file in weights:
            with safe_open(file, "numpy"):
                pass
    except (OSError, ValueError, SafetensorError):
        return False
    return bool(weights)
