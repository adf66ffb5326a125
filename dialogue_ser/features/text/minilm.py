"""Encoder ``minilm``: all-MiniLM-L6-v2 from a package. It works offline and without importing transformers."""

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
    """The packaged model's tokenizer, as a :class:`~dialogue_ser.features.text.text_model.TextTokenizer`.

    The library ``tokenizers`` reads its ``tokenizer.json``, without transformers.

    Args:
        folder: folder of the packaged model.
    """

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()  # by default the file pads texts and cuts them at 128 tokens
        self._tokenizer.no_truncation()
        self.max_tokens = int(
            json.loads((folder / "config.json").read_text(encoding="utf-8"))["max_position_embeddings"]
        )
        added = self._tokenizer.get_added_tokens_decoder().items()
        special = {token.content: id_ for id_, token in added if token.special}
        begin, end, unknown = (special[token] for token in ("[CLS]", "[SEP]", "[UNK]"))
        self.special_ids = frozenset(special.values()) - {unknown}
        self.special = SpecialTokens(prefix=(begin,), suffix=(end,), between=(end,))
        self.n_special: int = self._tokenizer.num_special_tokens_to_add(False)

    def ids(self, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
        """Return the ids of each text with special tokens, at most ``max_tokens``."""
        self._tokenizer.enable_truncation(max_tokens)
        found = self._tokenizer.encode_batch(list(texts))
        self._tokenizer.no_truncation()
        return [text.ids for text in found]

    def bare_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text without special tokens."""
        return [text.ids for text in self._tokenizer.encode_batch(list(texts), add_special_tokens=False)]


class PackagedMinilm:
    """The packaged model as a :class:`~dialogue_ser.features.text.text_model.TextModel`.

    Raises:
        MissingDataError, FeatureError: see :func:`minilm_folder`.
    """

    model = "minilm"

    def __init__(self) -> None:
        self._folder = minilm_folder()

    def fingerprint(self) -> Mapping[str, Any]:
        """Return the SHA-256 of its files, as for any folder, so features computed by transformers stay valid."""
        return PretrainedModel(str(self._folder), encoder=self.model).fingerprint()

    def tokenizer(self) -> MinilmTokenizer:
        """Load the tokenizer from its folder.

        Raises:
            FeatureError: a file of the folder is missing or broken.
        """
        try:
            return MinilmTokenizer(self._folder)
        except Exception as error:  # tokenizers raises plain Exception
            raise FeatureError(
                f"encoder 'minilm': the tokenizer in {self._folder} cannot be read ({error}); run: {REINSTALL}"
            ) from error

    def network(self, device: str) -> Network:
        """Load the network. Its weights need no further check, because their hash was compared."""
        from dialogue_ser.features.text.minilm_network import load_network

        return load_network(self._folder / "model.safetensors").to(device)


def minilm(**options: Any) -> HfText:
    """Build the encoder of the packaged all-MiniLM-L6-v2 (6 layers, 384 features).

    It gives the same numbers as transformers' BertModel (within 1e-5 at every layer), without importing transformers.

    Args:
        options: the options of ``hf-text``, except ``model`` and ``revision``.

    Raises:
        MissingDataError, FeatureError: see :func:`minilm_folder`.
    """
    encoder = HfText(model=PackagedMinilm.model, **options)
    encoder.name = PackagedMinilm.model
    encoder.text_model = PackagedMinilm()
    return encoder


# The registry reads the options from the signature, and suggests the nearest name for a misspelt option.
_FIXED = ("model", "revision")
minilm.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [parameter for name, parameter in inspect.signature(HfText).parameters.items() if name not in _FIXED]
)
