"""The contract of frozen encoders, enforced on every one of them, ours and yours."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from dialogue_ser.corpus.schema import Dialogue, Utterance, utterances
from dialogue_ser.errors import DialogueSerError, FeatureError
from dialogue_ser.features.core.api import Array, InputKind, UtteranceEncoder
from dialogue_ser.features.core.bad_clips import BadClipsError
from dialogue_ser.features.core.recipe import EncoderRecipe
from dialogue_ser.features.core.traits import traits_of
from dialogue_ser.features.core.user_code import as_array, failure

_DIMENSIONS: dict[str, int] = {"vector": 1, "frames": 2, "tokens": 1}
_LISTED = 10


class CheckedEncoder:
    """An encoder whose every output is checked: known ids, right shape and type, one dimension, finite.

    Args:
        inner: the encoder.
        name: registry name.
        modality: name under which the batch carries it.
        recipe: how another process builds the same encoder; None = the object itself is sent there.

    Raises:
        FeatureError: the object lacks a part of the protocol; names all missing parts.
    """

    def __init__(self, inner: Any, name: str, modality: str, recipe: EncoderRecipe | None = None) -> None:
        missing = [part for part in ("encode", "fingerprint", "kind") if not hasattr(inner, part)]
        if missing:
            raise FeatureError(
                f"encoder {name!r}: {type(inner).__name__} has no {', no '.join(missing)}; an encoder class needs "
                "encode(dialogues), fingerprint() and kind (vector, frames or tokens)"
            )
        if inner.kind not in tuple(_DIMENSIONS):
            raise FeatureError(f"encoder {name!r}: kind {inner.kind!r} is none of {', '.join(_DIMENSIONS)}")
        self.inner: UtteranceEncoder = inner
        self.name = name
        self.modality = modality
        self.kind: InputKind = inner.kind
        self.traits = traits_of(inner, modality)
        self.recipe = recipe
        self._dim: int | None = None

    @property
    def on_progress(self) -> Callable[[int], None] | None:
        """Called with the number of utterances just finished, where the encoder reports it itself."""
        hook: Callable[[int], None] | None = getattr(self.inner, "on_progress", None)
        return hook

    @on_progress.setter
    def on_progress(self, hook: Callable[[int], None] | None) -> None:
        self.inner.on_progress = hook  # type: ignore[attr-defined]

    @property
    def reports_progress(self) -> bool:
        """True if the encoder calls ``on_progress`` itself."""
        return hasattr(self.inner, "on_progress")

    @property
    def processes(self) -> int:
        """Worker processes that the encoder asks for where there is much to do; 1 = none, 0 = one per core."""
        return int(getattr(self.inner, "processes", 1))

    def costs(self, turns: Sequence[Utterance]) -> Sequence[int]:
        """Relative cost of each utterance where the encoder says it (tokens, say); those of like cost go together."""
        inner_costs: Callable[[Sequence[Utterance]], Sequence[int]] | None = getattr(self.inner, "costs", None)
        if inner_costs is None:
            return [0] * len(turns)
        with self._told("costs()"):
            costs = list(inner_costs(turns))
        if len(costs) != len(turns):
            raise FeatureError(f"encoder {self.name!r}: costs() gave {len(costs)} numbers for {len(turns)} utterances")
        return costs

    def fingerprint(self) -> Mapping[str, Any]:
        """What decides the output.

        Raises:
            FeatureError: it is no mapping, or not JSON-able.
        """
        with self._told("fingerprint()"):
            value = self.inner.fingerprint()
        try:
            value = dict(value)
            json.dumps(value, sort_keys=True, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise FeatureError(
                f"encoder {self.name!r}: fingerprint() is not JSON-able ({error}); use plain values"
            ) from None
        return value

    def encode(self, dialogues: Sequence[Dialogue]) -> Mapping[str, Array]:
        """Checked arrays by utterance id: float32 vectors and frames, int64 tokens.

        Raises:
            FeatureError: some arrays break the contract; names the utterances.
            MediaError: clips cannot be used.
        """
        try:
            with self._told("encode()"):
                rows = self.inner.encode(dialogues)
        except BadClipsError as error:
            raise BadClipsError(self._checked(error.rows, dialogues), *error.problems) from None
        return self._checked(rows, dialogues)

    def require_one_size(self, rows: dict[str, Array]) -> None:
        """What several processes gave, or what lies in the store, must fit together.

        Raises:
            FeatureError: rows of different numbers of features; names two utterances.
        """
        sizes = {} if self.kind == "tokens" else {row.shape[-1]: key for key, row in reversed(rows.items())}
        if len(sizes) > 1:
            (one, first), (other, second), *_ = sizes.items()
            raise FeatureError(
                f"encoder {self.name!r}: {first} has {one} features, {second} has {other}; make it give one number of "
                "them and put into fingerprint() what decides it, or raise a function's version; what is stored of it "
                "is deleted by 'dialogue-ser features prune --encoder NAME'"
            )

    @contextmanager
    def _told(self, where: str) -> Iterator[None]:
        """What a user's class raises as one clear error; a traceback is kept for those of the library."""
        try:
            yield
        except DialogueSerError:
            raise
        except Exception as error:
            kind = type(self.inner)
            if kind.__module__.partition(".")[0] == __name__.partition(".")[0]:
                raise
            raise FeatureError(
                f"encoder {self.name!r}: {kind.__qualname__} failed in {where}: {failure(error)}"
            ) from error

    def _checked(self, rows: Any, dialogues: Sequence[Dialogue]) -> dict[str, Array]:
        if not isinstance(rows, Mapping):
            raise FeatureError(
                f"encoder {self.name!r}: encode() gave {type(rows).__name__}, not a mapping of id to array"
            )
        known = {turn.id for turn in utterances(dialogues)}
        problems: list[str] = []
        checked: dict[str, Array] = {}
        for key, row in rows.items():
            problem, array = self._check(key, row, known)
            if problem:
                problems.append(f"encoder {self.name!r}, {key}: {problem}")
            else:
                checked[key] = array
        if problems:
            rest = [f"… and {len(problems) - _LISTED} more"] if len(problems) > _LISTED else []
            raise FeatureError(*problems[:_LISTED], *rest)
        return checked

    def _check(self, key: str, row: Any, known: set[str]) -> tuple[str, Array]:
        try:
            array = as_array(row)
        except ValueError as error:
            return f"is no array ({error})", np.zeros(0)
        if key not in known:
            return "is not an utterance it was asked for; key rows by utterance id", array
        if array.dtype.kind not in "fiub":
            return f"has type {array.dtype}, not numbers", array
        if array.ndim != _DIMENSIONS[self.kind]:
            expected = {"vector": "(D,)", "frames": "(L, D)", "tokens": "(L,)"}[self.kind]
            return f"has shape {array.shape}, but kind {self.kind} needs {expected}", array
        if array.size == 0:
            return f"is empty (shape {array.shape}); leave out utterances that cannot be encoded", array
        if self.kind == "tokens":
            is_id = array.dtype.kind in "iu" and bool((array >= 0).all())
            return ("" if is_id else "holds tokens that are no whole numbers from 0 upwards"), array.astype(np.int64)
        array = array.astype(np.float32, copy=False)
        self._dim = array.shape[-1] if self._dim is None else self._dim
        if array.shape[-1] != self._dim:
            return f"has {array.shape[-1]} features, others have {self._dim}", array
        if self.traits.may_be_nan:
            return ("has infinite values" if np.isinf(array).any() else ""), array
        n_bad = int(array.size - np.isfinite(array).sum())
        return (f"has {n_bad} of {array.size} values that are NaN or infinite" if n_bad else ""), array


def checked(encoder: UtteranceEncoder) -> CheckedEncoder:
    """The encoder with its outputs checked; one that is already stays as it is.

    Raises:
        FeatureError: the object lacks a part of the protocol.
    """
    return encoder if isinstance(encoder, CheckedEncoder) else CheckedEncoder(encoder, encoder.name, encoder.modality)
