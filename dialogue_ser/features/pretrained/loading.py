"""Transformers models from a folder, the hub or the packaged ``minilm``: loaded safely, identified by content."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dialogue_ser.errors import ConfigError, FeatureError
from dialogue_ser.media.hashing import file_sha256

PACKAGED = "minilm"
# Where a model was found and how its classifier was labelled say nothing about its hidden states.
_NOT_ARCHITECTURE = ("_name_or_path", "id2label", "label2id", "dtype", "torch_dtype", "transformers_version")


@dataclass(frozen=True, kw_only=True)
class FolderKind:
    """What belongs to a model's folder. Of patterns that stand together, the first that fits a file is taken.

    Args:
        needed: what it cannot do without.
        counted: what decides the output, and so makes up the fingerprint.
        described: the same for an error message.
    """

    needed: tuple[tuple[str, ...], ...]
    counted: tuple[tuple[str, ...], ...]
    described: str


# A text model may be wanted without its weights: trained from random ones.
TEXT_MODEL = FolderKind(
    needed=(("config.json",),),
    counted=(
        ("*.safetensors",),
        ("*.bin",),
        ("config.json",),
        ("tokenizer*",),
        ("vocab*",),
        ("merges.txt",),
        ("*.model",),
        ("special_tokens_map.json",),
    ),
    described="config.json, tokenizer and model.safetensors",
)
# A processor's file holds the feature extractor's settings as well.
SPEECH_MODEL = FolderKind(
    needed=(
        ("*.safetensors", "*.bin"),
        ("config.json",),
        ("preprocessor_config.json", "processor_config.json"),
    ),
    counted=(
        ("*.safetensors", "*.bin"),
        ("config.json",),
        ("preprocessor_config.json",),
        ("processor_config.json",),
    ),
    described="config.json, preprocessor_config.json and model.safetensors",
)


class PretrainedModel:
    """Where a transformers model comes from, and its parts; nothing of it is executed, safetensors are preferred.

    Args:
        model: folder; ``minilm`` (the packaged all-MiniLM-L6-v2, unless a folder is called so); or a hub name.
        revision: branch, tag or commit of a hub model.
        who: encoder's name, for messages.
        kind: what belongs to the folder.
    """

    def __init__(self, model: str, revision: str | None = None, *, who: str, kind: FolderKind = TEXT_MODEL) -> None:
        self.model = model
        self.revision = revision
        self.who = who
        self._kind = kind

    @property
    def place(self) -> str:
        """Folder or hub name.

        Raises:
            FeatureError: a path that is no folder (the hub is not asked for it), or a packaged model that is not the
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
            raise FeatureError(f"{self.who}: no folder {folder}; give a transformers model folder or a hub name")
        return self.model

    def fingerprint(self) -> Mapping[str, Any]:
        """SHA-256 of every file of a folder that decides the output, or hub name and commit.

        Raises:
            FeatureError: the folder lacks what is needed, or the hub's configuration cannot be had.
        """
        folder = Path(self.place)
        if not folder.is_dir():
            return {"hub": self.model, "commit": getattr(self._config(), "_commit_hash", None)}
        lacking = [" or ".join(patterns) for patterns in self._kind.needed if not _files(folder, patterns)]
        if lacking:
            raise FeatureError(
                f"{self.who}: {folder} has no {', no '.join(lacking)}; give a folder with {self._kind.described}, as "
                "save_pretrained makes it"
            )
        files = {path for patterns in self._kind.counted for path in _files(folder, patterns)}
        return {path.name: file_sha256(path) for path in sorted(files)}

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

        return self.part(AutoTokenizer)

    def part(self, auto: Any) -> Any:
        """What ``auto.from_pretrained`` makes of the place: configuration, tokenizer, feature extractor.

        Raises:
            FeatureError: it cannot be loaded.
        """
        with self._told():
            return auto.from_pretrained(self.place, revision=self.revision, trust_remote_code=False)

    def load(self, **settings: Any) -> Any:
        """The bare model in float32 on the CPU; of an encoder-decoder the encoder. No weight of it is random.

        Args:
            settings: fields of its configuration to replace, e.g. dropouts.

        Raises:
            FeatureError: it cannot be loaded, or weights are missing, which would stay random.
        """
        with self._told():
            model, found = _loaded(self.place, revision=self.revision, output_loading_info=True, **settings)
        missing = sorted(name for name in found["missing_keys"] if _is_read(name, model))
        if missing:
            raise FeatureError(
                f"{self.who}: {self.model!r} lacks {len(missing)} weights of its architecture, e.g. {missing[0]}; they "
                "would be random: give a checkpoint that has them"
            )
        return _encoder_of(model).float()

    def _config(self) -> Any:
        from transformers import AutoConfig

        return self.part(AutoConfig)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Whatever loading raises as one clear error."""
        try:
            yield
        except FeatureError:
            raise
        except Exception as error:  # JSON, safetensors, the hub and the refusal to unpickle have errors of their own
            first_line = str(error).strip().partition("\n")[0]
            raise FeatureError(
                f"{self.who}: cannot load {self.model!r} ({first_line}); give a folder with {self._kind.described}, or "
                "a hub name that is reachable or already in the Hugging Face cache"
            ) from error


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


def torch_device(device: str, who: str) -> str:
    """Where torch can compute: ``auto`` is a GPU if there is one.

    Raises:
        ConfigError: torch knows no such device, or this machine has none.

    >>> torch_device("cpu", "hf-text")
    'cpu'
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first_line = str(error).strip().partition("\n")[0]
        raise ConfigError(f"{who}: device {device!r} cannot be used ({first_line}); use auto, cpu or cuda") from error
    return device


def _loaded(place: str, **arguments: Any) -> Any:
    """``AutoModel.from_pretrained``, silent: the store shows its own bar, and what is missing is told by an error."""
    from transformers import AutoModel
    from transformers.utils import logging

    messages: Any = logging
    level, were_shown = messages.get_verbosity(), messages.is_progress_bar_enabled()
    messages.set_verbosity_error()
    messages.disable_progress_bar()
    try:
        try:
            return AutoModel.from_pretrained(place, use_safetensors=True, trust_remote_code=False, **arguments)
        except OSError:  # no safetensors there; transformers reads .bin files with weights_only=True
            return AutoModel.from_pretrained(place, use_safetensors=False, trust_remote_code=False, **arguments)
    finally:
        messages.set_verbosity(level)
        if were_shown:
            messages.enable_progress_bar()


def _is_read(weight: str, model: Any) -> bool:
    """False of what no encoder here reads, so that a checkpoint without it gives the same: heads, training only."""
    is_decoder = weight.startswith("decoder.") and _has_two_halves(model)
    return not (is_decoder or weight.startswith("pooler.") or weight.endswith("masked_spec_embed"))


def _files(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    """Files of the first pattern that fits any."""
    return next((found for pattern in patterns if (found := sorted(folder.glob(pattern)))), [])


def _encoder_of(model: Any) -> Any:
    return model.get_encoder() if _has_two_halves(model) else model


def _has_two_halves(model: Any) -> bool:
    """True of an encoder-decoder; a configuration that was saved with the encoder alone denies being one."""
    return hasattr(model, "encoder") and hasattr(model, "decoder")
