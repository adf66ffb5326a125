"""Tokenizer for the trained encoder ``transformer``: token ids by the text model's own tokenizer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, cast

import numpy as np

from dialogue_ser.corpus.schema import Dialogue, utterances
from dialogue_ser.errors import CheckpointError, ConfigError, FeatureError
from dialogue_ser.features.core.api import Array
from dialogue_ser.features.core.traits import Context
from dialogue_ser.features.pretrained.loading import PACKAGED, PretrainedModel
from dialogue_ser.features.text.dialogue_context import SpecialTokens, TurnTokens, TurnWindow, turn_sequences
from dialogue_ser.features.text.front_end import TokenFrontEnd
from dialogue_ser.features.text.published_context import SpeakerMode, input_strings, name_of, turn_text
from dialogue_ser.features.text.word_tokenizer import ascii_quotes

TOKENIZER = "tokenizer.json"


def pack(tokens: TurnTokens) -> Array:
    """Return a row ``2 · id + is_own``, which has the ids and marks the turn's own tokens.

    >>> pack(TurnTokens([101, 7, 102], 1, 2)).tolist()
    [202, 15, 204]
    """
    row = 2 * np.array(tokens.ids, dtype=np.int64)
    row[tokens.start : tokens.stop] += 1
    return row


class SubwordIds(TokenFrontEnd):
    """Gives rows ``2 · id + is_own`` (int64 ``[L]``): ids with special tokens, and whether pooling reads each token.

    The tokenizer is loaded from the model's folder by ``fit`` and saved with the dialogue model. A saved dialogue model
    does not need the folder any more.

    Args:
        model: hub name or folder of the text model, or ``minilm``.
        revision: branch, tag or commit of a hub model.
        max_tokens: largest number of tokens of a row, with special tokens.
        context_past: number of earlier turns that are read together with each turn
            (:mod:`~dialogue_ser.features.text.dialogue_context`).
        context_future: number of later turns that are read together with each turn; 0 is causal.
        speakers: True to write every turn as ``Speaker: text``.
        context_form: ``window``, or ``emoberta``: neighbours are added in pairs until ``max_tokens`` is reached, and
            the whole string is one text (:mod:`~dialogue_ser.features.text.published_context`).
        speaker_case: how ``emoberta`` writes names: upper or title.
        whole_dialogue: True if the trained encoder joins the rows of a dialogue, so that every turn sees all others.
        pool_special_tokens: True if pooling also reads the special tokens of an utterance that is read alone.
        normalise_quotes: True to replace curly quotes and dashes by ASCII first.

    Raises:
        ConfigError: an option is out of range, or two options do not fit together.
    """

    OPTIONS = (
        "model",
        "revision",
        "max_tokens",
        "context_past",
        "context_future",
        "speakers",
        "context_form",
        "speaker_case",
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
        context_form: str = "window",
        speaker_case: str = "upper",
        whole_dialogue: bool = False,
        pool_special_tokens: bool = True,
        normalise_quotes: bool = False,
    ) -> None:
        if max_tokens < 3:
            raise ConfigError(f"transformer: max_tokens {max_tokens} must be at least 3")
        if whole_dialogue and (context_past or context_future):
            raise ConfigError(
                "transformer: whole_dialogue reads every neighbour already; leave context_past and context_future out"
            )
        problems = [
            f"transformer: {name} {value!r} is not one of {', '.join(known)}"
            for name, value, known in (
                ("context_form", context_form, ("window", "emoberta")),
                ("speaker_case", speaker_case, ("upper", "title")),
            )
            if value not in known
        ]
        if context_form == "emoberta" and whole_dialogue:
            problems.append("transformer: context_form emoberta reads neighbours itself; leave whole_dialogue out")
        if problems:
            raise ConfigError(*problems)
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
        if context_form != "window":  # the options of older runs, and their fingerprints, lack both
            self._options |= {"context_form": context_form, "speaker_case": speaker_case}
        self.window = TurnWindow(past=context_past, future=context_future, speakers=speakers)
        self._tokenizer: Any = None
        self._fitted_state: dict[str, Any] = {}

    def fit(self, dialogues: Sequence[Dialogue]) -> "SubwordIds":
        """Load the tokenizer and the architecture of the text model.

        Raises:
            FeatureError: no utterance has a text, the model cannot be loaded, or its tokenizer is not a fast one.
        """
        if not any(turn.text for turn in utterances(dialogues)):
            raise FeatureError("transformer: no utterance of the training split has a text; choose another encoder")
        pretrained = PretrainedModel(self._options["model"], self._options["revision"], encoder="transformer")
        tokenizer, architecture = pretrained.tokenizer(), pretrained.architecture()
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise FeatureError(
                f"transformer: {pretrained.model!r} has no fast tokenizer, so it cannot be saved with the model; "
                f"convert it to {TOKENIZER} with transformers first"
            )
        self._tokenizer = _parse_tokenizer(backend.to_str())
        positions = architecture.get("max_position_embeddings") or tokenizer.model_max_length
        self._fitted_state = {
            "special": {name: list(ids) for name, ids in asdict(SpecialTokens.of(tokenizer)).items()},
            "special_ids": sorted(set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}),
            "longest": min(int(tokenizer.model_max_length), int(positions)),
            "architecture": architecture,
            "weights": pretrained.fingerprint(),
        }
        return self

    @property
    def n_ids(self) -> int:
        """Number of rows of the model's embedding."""
        return int(self._fitted()["architecture"]["vocab_size"])

    @property
    def context(self) -> Context:
        """Numbers of (past, future) turns that a turn's vector depends on, or ``dialogue`` for all turns."""
        return "dialogue" if self._options["whole_dialogue"] else (self.window.past, self.window.future)

    @property
    def trained_options(self) -> Mapping[str, Any]:
        """The architecture. With it a saved model can be built without the folder that its training began with."""
        return {"architecture": self._fitted()["architecture"]}

    def encode(self, dialogues: Sequence[Dialogue]) -> Mapping[str, Array]:
        """Return int64 rows ``2 · id + is_own`` (``[L]``) for every utterance that has a text.

        Raises:
            FeatureError: the tokenizer is not fitted yet.
            ConfigError: ``max_tokens`` leaves no room for a turn.
        """
        fitted = self._fitted()
        max_tokens = min(self._options["max_tokens"], fitted["longest"])
        prepare = ascii_quotes if self._options["normalise_quotes"] else str
        if "context_form" in self._options:
            return self._strings(dialogues, max_tokens, prepare)
        if not self.window.is_used:
            return self._alone(dialogues, max_tokens)
        special = SpecialTokens(**{name: tuple(ids) for name, ids in fitted["special"].items()})
        sequences = turn_sequences(dialogues, self.window, self._tokenise, special, max_tokens, prepare)
        return {key: pack(tokens) for key, tokens in sequences.items()}

    def _alone(self, dialogues: Sequence[Dialogue], max_tokens: int) -> dict[str, Array]:
        """Return the row of each utterance by itself, without its neighbours."""
        turns = [(turn.id, turn.text) for turn in utterances(dialogues) if turn.text is not None]
        texts = [ascii_quotes(text) if self._options["normalise_quotes"] else text for _, text in turns]
        self._tokenizer.enable_truncation(max_tokens)
        encoded = self._tokenizer.encode_batch(texts, add_special_tokens=True)
        self._tokenizer.no_truncation()
        rows: dict[str, Array] = {}
        for (key, _), encoding in zip(turns, encoded, strict=True):
            ids = np.array(encoding.ids, dtype=np.int64)
            is_own = np.ones(len(ids), dtype=np.bool_)
            if not self._options["pool_special_tokens"]:
                is_own = ~np.isin(ids, self._fitted_state["special_ids"])
                is_own |= not is_own.any()
            if len(ids):  # a tokenizer without special tokens gives nothing for an empty text; the turn is absent
                rows[key] = 2 * ids + is_own
        return rows

    @property
    def _separator(self) -> str:
        """The model's own separator, twice: ``</s></s>`` of RoBERTa. A model without one gets a line break."""
        between = self._fitted()["special"]["between"]
        return str(self._tokenizer.id_to_token(between[0])) * 2 if between else "\n"

    def strings(
        self, dialogue: Dialogue, max_tokens: int, prepare: Callable[[str], str] = str
    ) -> list[tuple[str, str]]:
        """Return the input string of EmoBERTa of every turn that has a text, and the text of the turn in it."""
        mode = cast(SpeakerMode, self._options["speaker_case"] if self.window.speakers else "none")
        turns = [turn for turn in dialogue if turn.text is not None]
        texts = [turn_text(name_of(turn.speaker), prepare(turn.text or ""), mode) for turn in turns]
        counts = [len(encoding.ids) for encoding in self._tokenizer.encode_batch(texts)]
        window = self.window
        found = input_strings(
            texts,
            counts,
            past=window.past,
            future=window.future,
            max_tokens=max_tokens,
            separator=self._separator,
        )
        return list(zip(found, texts, strict=True))

    def _strings(
        self, dialogues: Sequence[Dialogue], max_tokens: int, prepare: Callable[[str], str]
    ) -> dict[str, Array]:
        """Return the row of each turn's input string. A turn that is too long itself is cut at its end."""
        rows: dict[str, Array] = {}
        for dialogue in dialogues:
            keys = [turn.id for turn in dialogue if turn.text is not None]
            for key, (text, own) in zip(keys, self.strings(dialogue, max_tokens, prepare), strict=True):
                separator = self._separator
                start = text.index(f"{separator}{own}") + len(separator) if self.window.past else 0
                encoding = self._tokenizer.encode(text)
                ids = np.array(encoding.ids, dtype=np.int64)
                is_own = np.array([start <= a and a < b <= start + len(own) for a, b in encoding.offsets])
                is_own |= not is_own.any()
                rows[key] = (2 * ids + is_own)[:max_tokens]
        return rows

    def _tokenise(self, texts: list[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self._tokenizer.encode_batch(texts, add_special_tokens=False)]

    def state(self) -> dict[str, Any]:
        """Return options, special tokens, architecture and the hashes of the first weights, as values for JSON."""
        return {"options": dict(self._options), **self._fitted()}

    def files(self) -> Mapping[str, bytes]:
        """Return the content of ``tokenizer.json``."""
        self._fitted()
        return {TOKENIZER: self._tokenizer.to_str(pretty=True).encode()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], files: Mapping[str, bytes] | None = None) -> "SubwordIds":
        """Return the saved tokenizer; the folder of the text model is not needed.

        Raises:
            CheckpointError: the state is incomplete, or there is no readable tokenizer.json.
        """
        try:
            restored = cls(**state["options"])
            names = ("special", "special_ids", "longest", "architecture", "weights")
            restored._fitted_state = {name: state[name] for name in names}
            restored._tokenizer = _parse_tokenizer((files or {})[TOKENIZER].decode())
        except (KeyError, TypeError, UnicodeDecodeError, FeatureError) as error:
            raise CheckpointError(
                f"transformer: the saved tokenizer cannot be read ({error!r}); save the model again"
            ) from None
        return restored

    def _fitted(self) -> dict[str, Any]:
        if not self._fitted_state:
            raise FeatureError("transformer: fit the tokenizer on the training dialogues first")
        return self._fitted_state


def _parse_tokenizer(text: str) -> Any:
    """Build the tokenizer from ``tokenizer.json``, without the truncation and padding that some files ask for."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # tokenizers raises plain Exception
        raise FeatureError(f"transformer: {TOKENIZER} cannot be read ({error})") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
