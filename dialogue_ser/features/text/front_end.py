"""Base class of the tokenizers for trained encoders that read tokens. A tokenizer is saved with the model."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from dialogue_ser.corpus.schema import Dialogue
from dialogue_ser.features.core.api import Array
from dialogue_ser.features.core.traits import Context


class TokenFrontEnd(ABC):
    """Base class: turns texts into token ids, after it was fitted on train.

    Attributes:
        OPTIONS: names of its keyword options.
    """

    OPTIONS: ClassVar[tuple[str, ...]]

    @abstractmethod
    def fit(self, dialogues: Sequence[Dialogue]) -> "TokenFrontEnd":
        """Take what the tokenizer needs from the training dialogues, e.g. the vocabulary.

        Raises:
            FeatureError: no utterance has a text.
        """

    @property
    @abstractmethod
    def n_ids(self) -> int:
        """Size of the vocabulary."""

    @property
    def context(self) -> Context:
        """Numbers of (past, future) turns that a turn's vector depends on, or ``dialogue`` for all turns."""
        return (0, 0)

    @property
    def trained_options(self) -> Mapping[str, Any]:
        """Further options of the trained encoder, as values for JSON."""
        return {}

    @abstractmethod
    def encode(self, dialogues: Sequence[Dialogue]) -> Mapping[str, Array]:
        """Return int64 ids ``[L]`` for every utterance that has a text."""

    def note_on(self, dialogues: Sequence[Dialogue]) -> str | None:
        """Return a sentence if the tokenizer does not fit the texts of these dialogues; else None."""
        return None

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return the state as values for JSON."""

    def files(self) -> Mapping[str, bytes]:
        """Return the content of further files of a saved model, by file name; each name ends in ``.json``."""
        return {}

    @classmethod
    @abstractmethod
    def from_state(cls, state: Mapping[str, Any], files: Mapping[str, bytes] | None = None) -> "TokenFrontEnd":
        """Return the saved tokenizer.

        Args:
            state: the result of :meth:`state`.
            files: the result of :meth:`files`.

        Raises:
            CheckpointError: the state or the files are incomplete.
        """
