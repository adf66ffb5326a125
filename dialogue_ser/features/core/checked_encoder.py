"""A wrapper that checks the outputs of every frozen encoder, the library's and the user's."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from dialogue_ser.corpus.schema import Dialogue, Utterance, utterances
from dialogue_ser.errors import DialogueSerError, FeatureError, describe_exception
from dialogue_ser.features.core.api import Array, InputKind, UtteranceEncoder
from dialogue_ser.features.core.bad_clips import BadClipsError
from dialogue_ser.features.core.recipe import EncoderRecipe
from dialogue_ser.features.core.traits import traits_of
from dialogue_ser.features.core.user_code import as_array

_DIMENSIONS: dict[str, int] = {"vector": 1, "frames": 2, "tokens": 1}
#: The square of a larger value does not fit into single precision.
_MAX_VALUE = 1e18


class CheckedEncoder:
    """An encoder whose outputs are checked: known ids, right shape and type, one number of features, finite values.

    Args:
        inner: the encoder that does the work.
        name: registry name.
        modality: name of the modality in the batch.
        recipe: how another process builds the same encoder; None = the object itself is sent to that process.

    Raises:
        FeatureError: the object lacks a part of the interface. The message names all missing parts.
    """

    def __init__(self, inner: Any, name: str, modality: str, recipe: EncoderRecipe | None = None) -> None:
        missing = [part for part in ("encode", "fingerprint", "kind") if not hasattr(inner, part)]
        if missing:
            raise FeatureError(
                f"encoder {name!r}: {type(inner).__name__} has no {', no '.join(missing)}; an encoder class needs "
                "encode(dialogues), fingerprint() and kind (vector, frames or tokens)"
            )
        if inner.kind not in tuple(_DIMENSIONS):
            raise FeatureError(f"encoder {name!r}: kind {inner.kind!r} does not exist; choose {', '.join(_DIMENSIONS)}")
        self.inner: UtteranceEncoder = inner
        self.name = name
        self.modality = modality
        self.kind: InputKind = inner.kind
        self.traits = traits_of(inner, modality)
        self.recipe = recipe
        self._dim: int | None = None

    @property
    def on_progress(self) -> Callable[[int], None] | None:
        """The function that the encoder calls with the number of utterances it has just finished, or None."""
        hook: Callable[[int], None] | None = getattr(self.inner, "on_progress", None)
        return hook

    @on_progress.setter
    def on_progress(self, hook: Callable[[int], None] | None) -> None:
        self.inner.on_progress = hook  # type: ignore[attr-defined]

    @property
    def reports_progress(self) -> bool:
        """Whether the encoder calls ``on_progress`` itself."""
        return hasattr(self.inner, "on_progress")

    @property
    def processes(self) -> int:
        """Number of worker processes that the encoder wants for many utterances; 1 = none, 0 = one per core."""
        return int(getattr(self.inner, "processes", 1))

    def costs(self, turns: Sequence[Utterance]) -> Sequence[int]:
        """Return the relative cost of each utterance, e.g. its number of tokens; all 0 if the encoder does not say.

        Utterances of similar cost are encoded together.
        """
        inner_costs: Callable[[Sequence[Utterance]], Sequence[int]] | None = getattr(self.inner, "costs", None)
        if inner_costs is None:
            return [0] * len(turns)
        with self._as_feature_error("costs()"):
            costs = list(inner_costs(turns))
        if len(costs) != len(turns):
            raise FeatureError(
                f"encoder {self.name!r}: costs() returned {len(costs)} numbers for {len(turns)} utterances"
            )
        return costs

    def fingerprint(self) -> Mapping[str, Any]:
        """Return everything that changes the output as JSON values.

        Raises:
            FeatureError: the value is not a mapping, or JSON cannot hold it.
        """
        with self._as_feature_error("fingerprint()"):
            value = self.inner.fingerprint()
        try:
            value = dict(value)
            json.dumps(value, sort_keys=True, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise FeatureError(
                f"encoder {self.name!r}: fingerprint() cannot be written as JSON ({error}); use a mapping of texts, "
                "numbers and lists"
            ) from None
        return value

    def encode(self, dialogues: Sequence[Dialogue]) -> Mapping[str, Array]:
        """Return checked arrays by utterance id: float32 vectors and frames, int64 tokens.

        Raises:
            FeatureError: some arrays are not what the interface demands. The message names the utterances.
            MediaError: clips cannot be used.
        """
        try:
            with self._as_feature_error("encode()"):
                rows = self.inner.encode(dialogues)
        except BadClipsError as error:
            raise BadClipsError(self._check_rows(error.rows, dialogues), *error.problems) from None
        return self._check_rows(rows, dialogues)

    def require_one_size(self, rows: dict[str, Array]) -> None:
        """Check that all rows have the same number of features. They may come from several processes or from the store.

        Raises:
            FeatureError: the numbers of features differ. The message names two utterances.
        """
        sizes = {} if self.kind == "tokens" else {row.shape[-1]: key for key, row in reversed(rows.items())}
        if len(sizes) > 1:
            (one, first), (other, second), *_ = sizes.items()
            raise FeatureError(
                f"encoder {self.name!r}: {first} has {one} features, {second} has {other}; return the same number "
                "for every utterance, and add to fingerprint() what changes it (for a function: raise its version); "
                "'dialogue-ser features prune --encoder NAME' deletes the stored rows"
            )

    @contextmanager
    def _as_feature_error(self, method: str) -> Iterator[None]:
        """Turn an exception of a user's class into one clear error. An exception of the library's own class stays."""
        try:
            yield
        except DialogueSerError:
            raise
        except Exception as error:
            kind = type(self.inner)
            if kind.__module__.partition(".")[0] == __name__.partition(".")[0]:
                raise
            raise FeatureError(
                f"encoder {self.name!r}: {kind.__qualname__} failed in {method}: {describe_exception(error)}"
            ) from error

    def _check_rows(self, rows: Any, dialogues: Sequence[Dialogue]) -> dict[str, Array]:
        """Return the rows as arrays, or raise one error that names the bad ones."""
        if not isinstance(rows, Mapping):
            raise FeatureError(
                f"encoder {self.name!r}: encode() returned {type(rows).__name__}, not a mapping of id to array"
            )
        known = {turn.id for turn in utterances(dialogues)}
        problems: list[str] = []
        checked: dict[str, Array] = {}
        for key, row in rows.items():
            problem, array = self._check_row(key, row, known)
            if problem:
                problems.append(f"encoder {self.name!r}, {key}: {problem}")
            else:
                checked[key] = array
        if problems:
            raise FeatureError(*problems)
        return checked

    def _check_row(self, key: str, row: Any, known: set[str]) -> tuple[str, Array]:
        """Return what is wrong with a row (empty if nothing), and the row as an array."""
        try:
            array = as_array(row)
        except ValueError as error:
            return f"is not an array ({error})", np.zeros(0)
        if key not in known:
            return "is not the id of an utterance that was passed to encode(); use utterance ids as keys", array
        if array.dtype.kind not in "fiub":
            return f"has type {array.dtype}, not numbers", array
        if array.ndim != _DIMENSIONS[self.kind]:
            expected = {"vector": "(D,)", "frames": "(L, D)", "tokens": "(L,)"}[self.kind]
            return f"has shape {array.shape}, but kind {self.kind} needs {expected}", array
        if array.size == 0:
            return f"is empty (shape {array.shape}); leave out utterances that cannot be encoded", array
        if self.kind == "tokens":
            is_id = array.dtype.kind in "iu" and bool((array >= 0).all())
            return ("" if is_id else "holds tokens that are not whole numbers of at least 0"), array.astype(np.int64)
        array = array.astype(np.float32, copy=False)
        self._dim = array.shape[-1] if self._dim is None else self._dim
        if array.shape[-1] != self._dim:
            return f"has {array.shape[-1]} features, others have {self._dim}", array
        is_huge = np.isfinite(array) & (np.abs(array) > _MAX_VALUE)
        if is_huge.any():
            largest = float(np.abs(array[is_huge]).max())
            return (
                f"has values up to {largest:.1e}, which no model can compute with; scale them below {_MAX_VALUE}",
                array,
            )
        if self.traits.may_be_nan:
            return ("has infinite values" if np.isinf(array).any() else ""), array
        n_bad = int(array.size - np.isfinite(array).sum())
        return (f"has {n_bad} of {array.size} values that are NaN or infinite" if n_bad else ""), array


def checked(encoder: UtteranceEncoder) -> CheckedEncoder:
    """Return the encoder with its outputs checked. An encoder that is checked already is returned unchanged.

    Raises:
        FeatureError: the object lacks a part of the interface.
    """
    return encoder if isinstance(encoder, CheckedEncoder) else CheckedEncoder(encoder, encoder.name, encoder.modality)
