"""What stands in front of a trained encoder that reads tokens: it turns texts into ids, and is saved with the model."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from dialogue_ser.corpus.schema import Dialogue
from dialogue_ser.features.core.api import Array
from dialogue_ser.features.core.traits import Context


class TokenFrontEnd(ABC):
    """Texts to token ids; fitted on train, then asked for rows.

    Attributes:
        OPTIONS: its keyword options.
    """

    OPTIONS: ClassVar[tuple[str, ...]]

    @abstractmethod
    def fit(self, dialogues: Sequence[Dialogue]) -> "TokenFrontEnd":
        """Take what it needs from train.

        Raises:
            FeatureError: no utterance has a text.
        """

    @property
    @abstractmethod
    def n_ids(self) -> int:
        """Size of the vocabulary."""

    @property
    def context(self) -> Context:
        """(past, future) turns whose text a turn's vector depends on, or ``dialogue``: all of them."""
        return (0, 0)

    @property
    def for_reader(self) -> Mapping[str, Any]:
        """Options that the trained encoder gets from here, JSON-able."""
        return {}

    @abstractmethod
    def encode(self, dialogues: Sequence[Dialogue]) -> Mapping[str, Array]:
        """int64 ``[L]`` for every utterance that has a text."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """JSON-able state."""

    def files(self) -> Mapping[str, bytes]:
        """Further files of a saved model, by name; each ends in ``.json``."""
        return {}

    @classmethod
    @abstractmethod
    def from_state(cls, state: Mapping[str, Any], files: Mapping[str, bytes] | None = None) -> "TokenFrontEnd":
        """The same front end again.

        Raises:
            CheckpointError: the state or files lack their parts.
        """
