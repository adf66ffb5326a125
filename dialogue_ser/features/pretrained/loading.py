"""Load transformers models safely, from a folder, from the hub or from the package ``minilm``.

A model is identified by the content of its files, or by its hub name and commit.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialogue_ser.errors import ConfigError, FeatureError
from dialogue_ser.features.pretrained.hub_code import refuse_hub_code, written_config
from dialogue_ser.media.hashing import file_sha256
from dialogue_ser.versions import installed_version

PACKAGED = "minilm"
# These settings do not change the hidden states.
_NOT_ARCHITECTURE = ("_name_or_path", "id2label", "label2id", "dtype", "torch_dtype", "transformers_version")


@dataclass(frozen=True, kw_only=True)
class FolderKind:
    """The files that belong to the folder of one kind of model.

    Files are given by groups of file patterns. In each group the first pattern that matches at least one file is used,
    and the patterns after it are ignored.

    Args:
        required: groups of patterns. The folder must contain a file of each group.
        in_fingerprint: groups of patterns for the files that decide the output of the model. Their hashes are the
            fingerprint.
        description: the required files in words, for error messages.
    """

    required: tuple[tuple[str, ...], ...]
    in_fingerprint: tuple[tuple[str, ...], ...]
    description: str


# Weights are not required here, because a text model can also be trained from random weights.
TEXT_MODEL = FolderKind(
    required=(("config.json",),),
    in_fingerprint=(
        ("*.safetensors",),
        ("*.bin",),
        ("config.json",),
        ("tokenizer*",),
        ("vocab*",),
        ("merges.txt",),
        ("*.model",),
        ("special_tokens_map.json",),
    ),
    description="config.json, tokenizer and model.safetensors",
)
# The settings of the feature extractor are in preprocessor_config.json or in processor_config.json.
SPEECH_MODEL = FolderKind(
    required=(
        ("*.safetensors", "*.bin"),
        ("config.json",),
        ("preprocessor_config.json", "processor_config.json"),
    ),
    in_fingerprint=(
        ("*.safetensors", "*.bin"),
        ("config.json",),
        ("preprocessor_config.json",),
        ("processor_config.json",),
    ),
    description="config.json, preprocessor_config.json and model.safetensors",
)


class PretrainedModel:
    """A pretrained transformers model, which is loaded when it is needed.

    Code from the model's folder or hub page is never executed. Weights are read from safetensors if there are any.

    Args:
        model: a folder, a hub name, or ``minilm``. The name ``minilm`` means the packaged all-MiniLM-L6-v2, unless
            there is a folder with that name.
        revision: branch, tag or commit of a hub model.
        encoder: name of the encoder, for error messages.
        kind: the files that belong to the folder.
    """

    def __init__(self, model: str, revision: str | None = None, *, encoder: str, kind: FolderKind = TEXT_MODEL) -> None:
        self.model = model
        self.revision = revision
        self.encoder = encoder
        self._kind = kind

    @property
    def location(self) -> str:
        """The path of the model's folder, or its hub name.

        Raises:
            FeatureError: ``model`` looks like a path but there is no such folder, or the packaged model is not the
                published one.
            MissingDataError: the packaged model is not installed.
        """
        folder = Path(self.model).expanduser()
        if folder.is_dir():
            return str(folder)
        if self.model == PACKAGED:
            from dialogue_ser.features.pretrained.packaged import minilm_folder

            return str(minilm_folder())
        if self.model.startswith((".", "/", "~")) or self.model.count("/") > 1:
            raise FeatureError(
                f"{self.encoder}: there is no folder {folder}; give the folder of a transformers model or a hub name"
            )
        return self.model

    def fingerprint(self) -> Mapping[str, Any]:
        """Return the SHA-256 of each file that decides the output, or the hub name and the commit of a hub model.

        Raises:
            FeatureError: the folder lacks required files, or the configuration of the hub model cannot be loaded.
        """
        folder = Path(self.location)
        if not folder.is_dir():
            return {"hub": self.model, "commit": getattr(self._config(), "_commit_hash", None)}
        missing = [" or ".join(patterns) for patterns in self._kind.required if not _matching_files(folder, patterns)]
        if missing:
            raise FeatureError(
                f"{self.encoder}: {folder} has no {', no '.join(missing)}; give a folder with "
                f"{self._kind.description}, as save_pretrained writes it"
            )
        files = {path for patterns in self._kind.in_fingerprint for path in _matching_files(folder, patterns)}
        return {path.name: file_sha256(path) for path in sorted(files)}

    def architecture(self) -> dict[str, Any]:
        """Return ``config.json`` as plain values, from which :func:`bare_model` can build the model again.

        Raises:
            FeatureError: the configuration cannot be loaded.
        """
        values: dict[str, Any] = json.loads(self._config().to_json_string(use_diff=False))
        return {name: value for name, value in values.items() if name not in _NOT_ARCHITECTURE}

    def tokenizer(self) -> Any:
        """Load the tokenizer.

        Raises:
            FeatureError: it cannot be loaded.
        """
        from transformers import AutoTokenizer

        return self.load_with(AutoTokenizer)

    def load_with(self, auto_class: Any) -> Any:
        """Load a part of the model with an auto class of transformers, e.g. its configuration with ``AutoConfig``.

        Raises:
            FeatureError: it cannot be loaded.
        """
        with self._explain_errors():
            return auto_class.from_pretrained(self.location, revision=self.revision, trust_remote_code=False)

    def load(self, **settings: Any) -> Any:
        """Load the model without a head, in float32 on the CPU. If it is an encoder-decoder, return its encoder.

        Args:
            settings: fields of its configuration to replace, e.g. dropout rates.

        Raises:
            FeatureError: the model cannot be loaded, it asks for code of the hub, or weights are missing (and random).
        """
        refuse_hub_code(written_config(self.location) or self._config().to_dict(), f"{self.encoder}: {self.model!r}")
        with self._explain_errors():
            model, report = _load_silently(self.location, revision=self.revision, output_loading_info=True, **settings)
        missing = sorted(name for name in report["missing_keys"] if _is_used(name, model))
        if missing:
            raise FeatureError(
                f"{self.encoder}: {self.model!r} lacks {len(missing)} weights of its architecture, e.g. "
                f"{missing[0]}; they would be random; give a checkpoint that has them"
            )
        return _encoder_of(model).float()

    def _config(self) -> Any:
        from transformers import AutoConfig

        return self.load_with(AutoConfig)

    @contextmanager
    def _explain_errors(self) -> Iterator[None]:
        """Replace any error of loading by one FeatureError that says what to do."""
        try:
            yield
        except FeatureError:
            raise
        except Exception as error:  # JSON, safetensors, the hub and the ban on pickles each raise their own errors
            first_line = str(error).strip().partition("\n")[0]
            raise FeatureError(
                f"{self.encoder}: cannot load {self.model!r} ({first_line}); give a folder with "
                f"{self._kind.description}, or a hub name that can be reached or is already in the Hugging Face cache"
            ) from error


def bare_model(architecture: Mapping[str, Any], **settings: Any) -> Any:
    """Build a model with random weights from its architecture. If it is an encoder-decoder, return its encoder.

    Args:
        architecture: values of ``config.json``, see :meth:`PretrainedModel.architecture`.
        settings: values to replace, e.g. dropout rates.

    Raises:
        FeatureError: transformers does not know the architecture, its values are not valid, or they name code of a hub.
    """
    from transformers import AutoConfig, AutoModel

    values = {**architecture, **settings}
    refuse_hub_code(values, f"the saved architecture {architecture.get('model_type')!r}")
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
    """Return the versions of the libraries that can change the last bits of a hidden state."""
    return {name: installed_version(name) for name in ("transformers", "torch")}


def torch_device(device: str, encoder: str) -> str:
    """Return the name of a device that torch can use; ``auto`` means a GPU if there is one, else the CPU.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` or another name that torch knows.
        encoder: name of the encoder, for error messages.

    Raises:
        ConfigError: torch does not know the device, or this machine does not have it.

    >>> torch_device("cpu", "hf-text")
    'cpu'
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ConfigError(f"{encoder}: device {device!r} cannot be used ({reason}); use auto, cpu or cuda") from error
    return device


def _load_silently(location: str, **arguments: Any) -> Any:
    """Call ``AutoModel.from_pretrained`` without its output.

    The feature store shows its own progress bar, and the caller raises an error if weights are missing.
    """
    from transformers import AutoModel
    from transformers.utils import logging

    messages: Any = logging
    level, were_shown = messages.get_verbosity(), messages.is_progress_bar_enabled()
    messages.set_verbosity_error()
    messages.disable_progress_bar()
    try:
        try:
            return AutoModel.from_pretrained(location, use_safetensors=True, trust_remote_code=False, **arguments)
        except OSError:  # there are no safetensors; transformers reads .bin files with weights_only=True
            return AutoModel.from_pretrained(location, use_safetensors=False, trust_remote_code=False, **arguments)
    finally:
        messages.set_verbosity(level)
        if were_shown:
            messages.enable_progress_bar()


def _is_used(weight: str, model: Any) -> bool:
    """Return False for weights that do not change the encoder's hidden states: decoder, pooler, weights for training.

    A checkpoint without them gives the same features.
    """
    is_decoder = weight.startswith("decoder.") and _is_encoder_decoder(model)
    return not (is_decoder or weight.startswith("pooler.") or weight.endswith("masked_spec_embed"))


def _matching_files(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    """Return the files of the first pattern that matches at least one file."""
    return next((found for pattern in patterns if (found := sorted(folder.glob(pattern)))), [])


def _encoder_of(model: Any) -> Any:
    return model.get_encoder() if _is_encoder_decoder(model) else model


def _is_encoder_decoder(model: Any) -> bool:
    """Return whether the model has both parts. Its configuration can be wrong if the encoder was saved alone."""
    return hasattr(model, "encoder") and hasattr(model, "decoder")
