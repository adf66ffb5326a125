"""Loading what others have trained: a transformers folder or hub name, its proof of identity, its weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialogue_ser.errors import FeatureError
from dialogue_ser.features.hf_loading import load_weights
from dialogue_ser.media.hashing import file_sha256

_SETTINGS = ("config.json", "preprocessor_config.json", "processor_config.json")
# Weights that are read while training only, so that a checkpoint without them gives the same features.
_ONLY_IN_TRAINING = ("masked_spec_embed",)


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """A model folder or hub name, loaded without running code from it; safetensors are preferred.

    Args:
        encoder: name of the encoder that reads it, for errors.
        source: folder, or hub name.
        revision: branch, tag or commit of a hub model.
        settings: the file beside config.json that the model cannot do without.
    """

    encoder: str
    source: str
    revision: str | None = None
    settings: str = "preprocessor_config.json"

    @property
    def place(self) -> str:
        """What transformers is to load.

        Raises:
            FeatureError: a path that is no folder; the hub is not asked for it.
        """
        folder = Path(self.source).expanduser()
        if folder.is_dir():
            return str(folder)
        if self.source.startswith((".", "/", "~")) or self.source.count("/") > 1:
            raise FeatureError(f"{self.encoder}: no folder {folder}; give a transformers model folder or a hub name")
        return self.source

    def identity(self) -> Mapping[str, Any]:
        """SHA-256 of every file of a folder that decides the output, or hub name and commit.

        Raises:
            FeatureError: a folder without weights or settings; a hub that cannot be reached.
        """
        folder = Path(self.place)
        if not folder.is_dir():
            from transformers import AutoConfig

            config = self.load(AutoConfig)
            return {"hub": self.source, "commit": getattr(config, "_commit_hash", None)}
        weights = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))
        lacking = [] if weights else ["model.safetensors"]
        lacking += [name for name in ("config.json", self.settings) if not (folder / name).is_file()]
        if self.settings in lacking and (folder / "processor_config.json").is_file():
            lacking.remove(self.settings)  # a processor's file holds the feature extractor's settings as well
        if lacking:
            raise FeatureError(
                f"{self.encoder}: {folder} has no {', no '.join(lacking)}; give a transformers model folder that was "
                "saved with its feature extractor (save_pretrained of both)"
            )
        settings = [folder / name for name in _SETTINGS if (folder / name).is_file()]
        return {path.name: file_sha256(path) for path in (*weights, *settings)}

    def load(self, auto: Any, **arguments: Any) -> Any:
        """``auto.from_pretrained`` of the place.

        Raises:
            FeatureError: it cannot be loaded.
        """
        try:
            return auto.from_pretrained(self.place, revision=self.revision, trust_remote_code=False, **arguments)
        except FeatureError:
            raise
        except Exception as error:  # JSON, safetensors, the hub and the refusal to unpickle have errors of their own
            raise self.cannot_load(error) from error

    def load_model(self) -> Any:
        """The bare model on the CPU in full precision, every weight of it from the checkpoint.

        Raises:
            FeatureError: it cannot be loaded, or weights are missing, which would stay random.
        """
        from transformers.utils import logging

        messages: Any = logging
        place, level = self.place, messages.get_verbosity()
        messages.set_verbosity_error()  # heads that are not needed would be listed; missing weights are told below
        try:
            model, found = load_weights(place, revision=self.revision, output_loading_info=True)
        except Exception as error:
            raise self.cannot_load(error) from error
        finally:
            messages.set_verbosity(level)
        missing = sorted(name for name in found["missing_keys"] if not name.endswith(_ONLY_IN_TRAINING))
        if missing:
            raise FeatureError(
                f"{self.encoder}: {self.source!r} lacks {len(missing)} weights of its architecture, e.g. {missing[0]}; "
                "they would be random: give a checkpoint that has them"
            )
        return model.float().eval()

    def cannot_load(self, error: Exception) -> FeatureError:
        """What, where, how to mend, for whatever was raised while loading."""
        first_line = str(error).strip().partition("\n")[0]
        return FeatureError(
            f"{self.encoder}: cannot load {self.source!r} ({first_line}); give a folder with config.json, "
            f"{self.settings} and model.safetensors, or a hub name that is reachable or already in the Hugging Face "
            "cache"
        )
