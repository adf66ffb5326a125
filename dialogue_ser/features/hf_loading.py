"""Transformers text models from a folder, the hub or the packaged ``minilm``: loaded safely, identified by content."""

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dialogue_ser.errors import FeatureError
from dialogue_ser.media.hashing import file_sha256

PACKAGED = "minilm"
_FOLDER_FILES = (
    "*.safetensors",
    "*.bin",
    "config.json",
    "tokenizer*",
    "vocab*",
    "merges.txt",
    "*.model",
    "special_tokens_map.json",
)
# Where a model was found and how its classifier was labelled say nothing about its hidden states.
_NOT_ARCHITECTURE = ("_name_or_path", "id2label", "label2id", "dtype", "torch_dtype", "transformers_version")


class HfSource:
    """Where a transformers text model comes from, and its parts; nothing of it is executed.

    Args:
        model: folder with ``config.json``, tokenizer and safetensors weights; ``minilm`` (the packaged
            all-MiniLM-L6-v2, unless a folder is called so); or a hub name.
        revision: branch, tag or commit of a hub model.
        who: encoder's name, for messages.
    """

    def __init__(self, model: str, revision: str | None = None, *, who: str) -> None:
        self.model = model
        self.revision = revision
        self.who = who

    @property
    def place(self) -> str:
        """Folder or hub name.

        Raises:
            MissingDataError, FeatureError: the packaged model is not installed, or not the published one.
        """
        folder = Path(self.model).expanduser()
        if folder.is_dir():
            return str(folder)
        if self.model == PACKAGED:
            from dialogue_ser.features.minilm import minilm_folder

            return str(minilm_folder())
        return self.model

    def fingerprint(self) -> Mapping[str, Any]:
        """Hash of every file of a folder that decides the output, or hub name and commit.

        Raises:
            FeatureError: the folder holds no model, or the hub's configuration cannot be had.
        """
        folder = Path(self.place)
        if folder.is_dir():
            files = sorted({path for pattern in _FOLDER_FILES for path in folder.glob(pattern)})
            if not files:
                raise FeatureError(
                    f"{self.who}: {folder} holds neither config.json nor weights; give a transformers model folder"
                )
            return {path.name: file_sha256(path) for path in files}
        return {"hub": self.model, "commit": getattr(self._config(), "_commit_hash", None)}

    def architecture(self) -> dict[str, Any]:
        """``config.json`` as plain values, from which :func:`bare_model` builds the model again.

        Raises:
            FeatureError: it cannot be had.
        """
        values: dict[str, Any] = json.loads(self._config().to_json_string(use_diff=False))
        return {name: value for name, value in values.items() if name not in _NOT_ARCHITECTURE}

    def tokenizer(self) -> Any:
        """The tokenizer.

        Raises:
            FeatureError: it cannot be loaded.
        """
        from transformers import AutoTokenizer

        try:
            return AutoTokenizer.from_pretrained(self.place, revision=self.revision, trust_remote_code=False)
        except Exception as error:
            raise self._cannot_load(error) from error

    def load(self, **settings: Any) -> Any:
        """The model in float32 with its weights, on the CPU; of an encoder-decoder the encoder.

        Args:
            settings: fields of its configuration to replace, e.g. dropouts.

        Raises:
            FeatureError: it cannot be loaded.
        """
        try:
            model = load_weights(self.place, revision=self.revision, **settings)
        except Exception as error:
            raise self._cannot_load(error) from error
        return _encoder_of(model).float()

    def _config(self) -> Any:
        from transformers import AutoConfig

        try:
            return AutoConfig.from_pretrained(self.place, revision=self.revision, trust_remote_code=False)
        except Exception as error:
            raise self._cannot_load(error) from error

    def _cannot_load(self, error: Exception) -> FeatureError:
        """For whatever is raised: JSON, safetensors and the refusal to unpickle have errors of their own."""
        first_line = str(error).strip().partition("\n")[0]
        return FeatureError(
            f"{self.who}: cannot load {self.model!r} ({first_line}); give a folder with config.json, tokenizer and "
            "model.safetensors, or a hub name that is reachable or already in the Hugging Face cache"
        )


def load_weights(place: str, **arguments: Any) -> Any:
    """``AutoModel.from_pretrained``, running no code from the place; safetensors are preferred."""
    from transformers import AutoModel
    from transformers.utils import logging

    bars: Any = logging
    were_shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()  # the store shows its own
    try:
        try:
            return AutoModel.from_pretrained(place, use_safetensors=True, trust_remote_code=False, **arguments)
        except OSError:  # no safetensors there; transformers reads .bin files with weights_only=True
            return AutoModel.from_pretrained(place, use_safetensors=False, trust_remote_code=False, **arguments)
    finally:
        if were_shown:
            bars.enable_progress_bar()


def bare_model(architecture: Mapping[str, Any], **settings: Any) -> Any:
    """A model of that architecture with random weights; of an encoder-decoder the encoder.

    Raises:
        FeatureError: transformers does not know it, or its values do not fit.
    """
    from transformers import AutoConfig, AutoModel

    values = {**architecture, **settings}
    try:
        config = AutoConfig.for_model(values.pop("model_type"), **values)
        build: Any = AutoModel.from_config
        return _encoder_of(build(config, trust_remote_code=False)).float()
    except (KeyError, ValueError, TypeError) as error:
        raise FeatureError(
            f"the saved architecture {architecture.get('model_type')!r} cannot be built ({error}); install the "
            "transformers version it was saved with"
        ) from error


def library_versions() -> dict[str, str]:
    """Versions that may change a hidden state in its last bits."""
    return {name: version(name) for name in ("transformers", "torch")}


def _encoder_of(model: Any) -> Any:
    return model.get_encoder() if getattr(model.config, "is_encoder_decoder", False) else model
