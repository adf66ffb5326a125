"""The interface of frozen encoders, and the records in which features reach a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from numpy.typing import NDArray

from dialogue_ser.corpus.schema import Dialogue

InputKind = Literal["vector", "frames", "tokens"]
Array = NDArray[Any]


@runtime_checkable
class UtteranceEncoder(Protocol):
    """The interface of a frozen encoder. It turns dialogues into one array per utterance and is never trained.

    Attributes:
        name: registry name, e.g. ``minilm``.
        modality: ``text``, ``audio`` or any other name; the batch uses this name for the features.
        kind: ``vector`` (D,) float32 per utterance, ``frames`` (L, D) float32, or ``tokens`` (L,) int64.
    """

    name: str
    modality: str
    kind: InputKind

    def fingerprint(self) -> Mapping[str, Any]:
        """Return everything that changes the output as JSON values: hash of the weights, options, versions, context."""
        ...

    def encode(self, dialogues: Sequence[Dialogue]) -> Mapping[str, Array]:
        """Return arrays by utterance id, without the utterances that have nothing to encode (no text, no audio).

        Single values may be NaN if a measurement does not exist, e.g. the pitch of an unvoiced sound. Transforms fill
        these values in.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """The shape in which a modality reaches the model. It is known as soon as the pipeline is fitted.

    Args:
        kind: ``vector`` → ``[B,T,D]``; ``frames`` → ``[B,T,L,D]``; ``tokens`` → ids ``[B,T,L]``.
        dim: number of features D of vectors and frames; for tokens, the size of the vocabulary, which includes id 0
            (padding) and id 1 (unknown).
        encoder: name of the trained encoder (room ``encoders``) that reads the rows; None for frozen vectors.
        options: options of that trained encoder.
    """

    kind: InputKind
    dim: int
    encoder: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FeatureTable:
    """The arrays of one modality by utterance id, ready for the model. A turn without an array is absent.

    Args:
        spec: shape of the arrays.
        rows: utterance id → (D,) float32 | (L, D) float32 | (L,) int64.
    """

    spec: InputSpec
    rows: Mapping[str, Array]


__all__ = ["Array", "FeatureTable", "InputKind", "InputSpec", "UtteranceEncoder"]
