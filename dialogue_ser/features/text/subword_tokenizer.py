"""The front end of a transformers text encoder that is trained: token ids by the model's own tokenizer."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from dialogue_ser.corpus.schema import Dialogue, utterances
from dialogue_ser.errors import CheckpointError, ConfigError, FeatureError
from dialogue_ser.features.core.api import Array
from dialogue_ser.features.core.traits import Context
from dialogue_ser.features.pretrained.loading import PACKAGED, PretrainedModel
from dialogue_ser.features.text.dialogue_context import SpecialTokens, TurnTokens, TurnWindow, turn_sequences
from dialogue_ser.features.text.front_end import TokenFrontEnd
from dialogue_ser.features.text.word_tokenizer import ascii_quotes

TOKENIZER = "tokenizer.json"


def pack(tokens: TurnTokens) -> Array:
    """Ids and which of them are the turn's own in one row: ``2 · id + is_own``.

    >>> pack(TurnTokens([101, 7, 102], 1, 2)).tolist()
    [202, 15, 204]
    """
    row = 2 * np.array(tokens.ids, dtype=np.int64)
    row[tokens.start : tokens.stop] += 1
    return row


class SubwordIds(TokenFrontEnd):
    """Rows ``2 · id + is_own`` (int64 ``[L]``): ids with special tokens, and whether pooling reads each of them.

    The tokenizer is taken from the model's folder when fitted and saved with the model; later the folder is not needed.

    Args:
        model: hub name, folder, or ``minilm``.
        revision: branch, tag or commit of a hub model.
        max_tokens: kept of a row, special tokens included.
        context_past: earlier turns read with each turn (:mod:`~dialogue_ser.features.text.dialogue_context`).
        context_future: later turns; 0 = causal.
        speakers: write every turn as ``Speaker: text``.
        whole_dialogue: the model joins a dialogue's rows, so that every turn sees all others.
        pool_special_tokens: whether pooling sees the special tokens of an utterance that is read alone.
        normalise_quotes: curly quotes and dashes as ASCII first.

    Raises:
        ConfigError: an option is out of range.
    """

    OPTIONS = (
        "model",
        "revision",
        "max_tokens",
        "context_past",
        "context_future",
        "speakers",
        "whole_dialogue",
        "pool_special_tokens",
        "normalise_quotes",
    )

    def __init__(
        self,
        *,
        model: str = PACKAGED,
        revision: str | None = None,
        max_tokens: int = 128,
        context_past: int = 0,
        context_future: int = 0,
        speakers: bool = False,
        whole_dialogue: bool = False,
        pool_special_tokens: bool = True,
        normalise_quotes: bool = False,
    ) -> None:
        if max_tokens < 3:
            raise ConfigError(f"transformer: max_tokens {max_tokens} must be at least 3")
        if whole_dialogue and (context_past or context_future):
            raise ConfigError(
                "transformer: a whole_dialogue holds every neighbour; leave context_past and _future away"
            )
        self._options: dict[str, Any] = {
            "model": model,
            "revision": revision,
            "max_tokens": max_tokens,
            "context_past": context_past,
            "context_future": context_future,
            "speakers": speakers,
            "whole_dialogue": whole_dialogue,
            "pool_special_tokens": pool_special_tokens,
            "normalise_quotes": normalise_quotes,
        }
        self.window = TurnWindow(past=context_past, future=context_future, speakers=speakers)
        self._tokenizer: Any = None
        self._facts: dict[str, Any] = {}

    def fit(self, dialogues: Sequence[Dialogue]) -> "SubwordIds":
        """Load the tokenizer and the model's architecture.

        Raises:
            FeatureError: no utterance has a text, or the model cannot be loaded, or its tokenizer is not a fast one.
        """
        if not any(turn.text for turn in utterances(dialogues)):
            raise FeatureError("transformer: no utterance of the training split has a text; choose another encoder")
        source = PretrainedModel(self._options["model"], self._options["revision"], who="transformer")
        tokenizer, architecture = source.tokenizer(), source.architecture()
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise FeatureError(
                f"transformer: {source.model!r} has no fast tokenizer, so it cannot be saved with the model; convert "
                f"it to {TOKENIZER} with transformers first"
            )
        self._tokenizer = _parsed(backend.to_str())
        positions = architecture.get("max_position_embeddings") or tokenizer.model_max_length
        self._facts = {
            "special": {name: list(ids) for name, ids in asdict(SpecialTokens.of(tokenizer)).items()},
            "special_ids": sorted(set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}),
            "longest": min(int(tokenizer.model_max_length), int(positions)),
            "architecture": architecture,
            "weights": source.fingerprint(),
        }
        return self

    @property
    def n_ids(self) -> int:
        """Rows of the model's embedding."""
        return int(self._fitted()["architecture"]["vocab_size"])

    @property
    def context(self) -> Context:
        """(past, future) turns whose text a turn's vector depends on, or ``dialogue``: all of them."""
        return "dialogue" if self._options["whole_dialogue"] else (self.window.past, self.window.future)

    @property
    def for_reader(self) -> Mapping[str, Any]:
        """The architecture, so that a saved model is built without the folder it began with."""
        return {"architecture": self._fitted()["architecture"]}

    def encode(self, dialogues: Sequence[Dialogue]) -> Mapping[str, Array]:
        """int64 ``[L]`` rows ``2 · id + is_own`` of every utterance that has a text.

        Raises:
            FeatureError: not fitted yet.
            ConfigError: ``max_tokens`` leaves no room for a turn.
        """
        facts = self._fitted()
        limit = min(self._options["max_tokens"], facts["longest"])
        prepare = ascii_quotes if self._options["normalise_quotes"] else str
        if not self.window.is_used:
            return self._alone(dialogues, limit)
        special = SpecialTokens(**{name: tuple(ids) for name, ids in facts["special"].items()})
        sequences = turn_sequences(dialogues, self.window, self._tokenise, special, limit, prepare)
        return {key: pack(tokens) for key, tokens in sequences.items()}

    def _alone(self, dialogues: Sequence[Dialogue], limit: int) -> dict[str, Array]:
        turns = [(turn.id, turn.text) for turn in utterances(dialogues) if turn.text is not None]
        texts = [ascii_quotes(text) if self._options["normalise_quotes"] else text for _, text in turns]
        self._tokenizer.enable_truncation(limit)
        encoded = self._tokenizer.encode_batch(texts, add_special_tokens=True)
        self._tokenizer.no_truncation()
        rows: dict[str, Array] = {}
        for (key, _), found in zip(turns, encoded, strict=True):
            ids = np.array(found.ids, dtype=np.int64)
            is_own = np.ones(len(ids), dtype=np.bool_)
            if not self._options["pool_special_tokens"]:
                is_own = ~np.isin(ids, self._facts["special_ids"])
                is_own |= not is_own.any()
            if len(ids):  # a tokenizer without special tokens makes nothing of an empty text: an absent turn
                rows[key] = 2 * ids + is_own
        return rows

    def _tokenise(self, texts: list[str]) -> list[list[int]]:
        return [found.ids for found in self._tokenizer.encode_batch(texts, add_special_tokens=False)]

    def state(self) -> dict[str, Any]:
        """JSON-able state: options, special tokens, architecture, and the hash of the weights it began with."""
        return {"options": dict(self._options), **self._fitted()}

    def files(self) -> Mapping[str, bytes]:
        """tokenizer.json."""
        self._fitted()
        return {TOKENIZER: self._tokenizer.to_str(pretty=True).encode()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], files: Mapping[str, bytes] | None = None) -> "SubwordIds":
        """The same front end, without the model's folder.

        Raises:
            CheckpointError: the state lacks its parts, or there is no readable tokenizer.json.
        """
        try:
            front = cls(**state["options"])
            names = ("special", "special_ids", "longest", "architecture", "weights")
            front._facts = {name: state[name] for name in names}
            front._tokenizer = _parsed((files or {})[TOKENIZER].decode())
        except (KeyError, TypeError, UnicodeDecodeError, FeatureError) as error:
            raise CheckpointError(
                f"transformer: the saved tokenizer is not readable ({error!r}); save it again"
            ) from None
        return front

    def _fitted(self) -> dict[str, Any]:
        if not self._facts:
            raise FeatureError("transformer: fit the tokenizer on the training dialogues first")
        return self._facts


def _parsed(text: str) -> Any:
    """The tokenizer with neither truncation nor padding, which some files carry."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # tokenizers raises plain Exception
        raise FeatureError(f"transformer: {TOKENIZER} cannot be read ({error})") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
