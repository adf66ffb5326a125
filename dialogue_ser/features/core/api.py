"""What a frozen utterance encoder is, what it delivers, and where encoders are registered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from numpy.typing import NDArray

from dialogue_ser.corpus.schema import Dialogue

InputKind = Literal["vector", "frames", "tokens"]
Array = NDArray[Any]


@runtime_checkable
class UtteranceEncoder(Protocol):
    """A frozen encoder: dialogues in, one array per utterance out. Nothing in it is trained with the dialogue model.

    Attributes:
        name: registry name, e.g. ``minilm``.
        modality: ``text``, ``audio`` or any other name; the batch carries it under this name.
        kind: ``vector`` (D,) float32 per utterance, ``frames`` (L, D) float32, or ``tokens`` (L,) int64.
    """

    name: str
    modality: str
    kind: InputKind

    def fingerprint(self) -> Mapping[str, Any]:
        """JSON-able description of everything that changes the output (weights' hash, options, versions, context)."""
        ...

    def encode(self, dialogues: Sequence[Dialogue]) -> Mapping[str, Array]:
        """Arrays keyed by utterance id; an utterance it cannot encode (no text, no audio) is left out.

        Single values may be NaN where a measurement does not exist (unvoiced pitch); transforms impute them.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """The shape in which a modality reaches the model, known once its pipeline is fitted.

    Args:
        kind: ``vector`` → ``[B,T,D]``; ``frames`` → ``[B,T,L,D]``; ``tokens`` → ids ``[B,T,L]``.
        dim: D of vectors and frames; the vocabulary's size (with padding id 0 and unknown id 1) of tokens.
        encoder: None for frozen vectors; otherwise the name of the trained encoder (room ``encoders``) that reads them.
        options: that trained encoder's own options.
    """

    kind: InputKind
    dim: int
    encoder: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FeatureTable:
    """One modality's model-ready arrays, keyed by utterance id; absent ids are absent turns (``is_present`` False).

    Args:
        spec: shape of the arrays.
        rows: utterance id → (D,) float32 | (L, D) float32 | (L,) int64.
    """

    spec: InputSpec
    rows: Mapping[str, Array]


__all__ = ["Array", "FeatureTable", "InputKind", "InputSpec", "UtteranceEncoder"]
