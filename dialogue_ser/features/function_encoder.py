"""An encoder that is a plain function: ``texts -> [N, D]`` or ``waveforms, sample_rate_hz -> [N, D]``."""

import functools
import hashlib
import inspect
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tokenize import TokenError
from typing import Any, Literal

from dialogue_ser.corpus.schema import Dialogue, utterances
from dialogue_ser.errors import ConfigError, FeatureError, describe_exception, shown_value
from dialogue_ser.features.audio.decoding import decode_turns
from dialogue_ser.features.core.api import Array, InputKind
from dialogue_ser.features.core.bad_clips import OnBad, raise_if_bad
from dialogue_ser.features.core.traits import EncoderTraits
from dialogue_ser.features.core.user_code import as_array
from dialogue_ser.media.decode import decoder_versions
from dialogue_ser.registry import import_path_of

FunctionInput = Literal["text", "audio"]


class FunctionEncoder:
    """Applies a function to the texts or to the waveforms of all utterances.

    Args:
        function: ``function(texts: list[str], **options) -> [N, D]`` or
            ``function(waveforms: list[array], sample_rate_hz: int, **options) -> [N, D]``.
        name: registry name.
        modality: name of the modality in the batch.
        reads: what the function gets: texts or waveforms (``audio``).
        options: keyword arguments for the function. For audio, ``sample_rate_hz`` (default 16000) is the sample rate
            of the waveforms.
        on_bad: what happens if clips cannot be decoded.
        version: part of the fingerprint. Raise it if the output changes for a reason outside the function's own file.

    Raises:
        ConfigError: ``sample_rate_hz`` is not a positive whole number.
    """

    kind: InputKind = "vector"

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        modality: str,
        reads: FunctionInput,
        options: Mapping[str, Any],
        on_bad: OnBad = "error",
        version: str = "1",
    ) -> None:
        self.name = name
        self.modality = modality
        self._function = function
        self._reads = reads
        self._options = dict(options)
        self._sample_rate_hz = self._options.pop("sample_rate_hz", 16000) if reads == "audio" else 0
        if reads == "audio" and not (isinstance(self._sample_rate_hz, int) and self._sample_rate_hz > 0):
            raise ConfigError(
                f"encoder {name!r}: sample_rate_hz {self._sample_rate_hz!r} must be a whole number above 0, e.g. 16000"
            )
        self._on_bad: OnBad = on_bad
        self._version = version
        self._identity = function_identity(function, name)
        self._code = code_digest(function)
        self.traits = EncoderTraits(context=(0, 0), reads=(reads,), is_stored=self._code is not None)

    def fingerprint(self) -> Mapping[str, Any]:
        """Return the function's name, the hash of its Python file, its options, its version and the sound decoders.

        For a partial function, also its bound arguments; for a callable object or a method, the state of the object.
        """
        decoder = {"versions": decoder_versions()} if self._reads == "audio" else {}
        return {
            **self._identity,
            "code": self._code,
            "options": self._options,
            "sample_rate_hz": self._sample_rate_hz,
            "version": self._version,
            **decoder,
        }

    def encode(self, dialogues: Sequence[Dialogue]) -> Mapping[str, Array]:
        """Return one row per utterance that has text (or audio).

        Raises:
            FeatureError: the function failed, or did not return one row of numbers per utterance.
            MediaError: clips cannot be decoded, and ``on_bad`` is ``error``.
        """
        turns = list(utterances(dialogues))
        problems: list[str] = []
        if self._reads == "text":
            ids = [turn.id for turn in turns if turn.text is not None]
            arguments: tuple[Any, ...] = ([turn.text for turn in turns if turn.text is not None],)
        else:
            decoded = decode_turns(turns, self._sample_rate_hz)
            ids, arguments, problems = decoded.ids, (decoded.waveforms, decoded.sample_rate_hz), decoded.problems
        rows = self._call(ids, arguments) if ids else {}
        raise_if_bad(problems, self._on_bad, rows)
        return rows

    def _call(self, ids: Sequence[str], arguments: tuple[Any, ...]) -> dict[str, Array]:
        """Call the function and return its rows by utterance id. Errors are those of :meth:`encode`."""
        try:
            output = self._function(*arguments, **self._options)
        except Exception as error:
            raise FeatureError(f"encoder {self.name!r}: your function failed: {describe_exception(error)}") from error
        try:
            rows = as_array(output)
        except ValueError as error:
            raise FeatureError(
                f"encoder {self.name!r}: rows have different lengths ({error}); return an array [N, D]"
            ) from None
        if rows.ndim != 2 or rows.shape[0] != len(ids):
            raise FeatureError(
                f"encoder {self.name!r}: your function got {len(ids)} utterances and returned an array of shape "
                f"{rows.shape}; return one row per utterance: ({len(ids)}, D)"
            )
        return dict(zip(ids, rows, strict=True))


def code_digest(function: Callable[..., Any]) -> str | None:
    """Return the SHA-256 of the file that defines a function, or None if there is no source code.

    In a notebook, it is the SHA-256 of the function alone.
    """
    function = _innermost(function)
    module = sys.modules.get(function.__module__)
    file = getattr(module, "__file__", None)
    if file is not None and Path(file).is_file():
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()
    try:
        return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()
    except (OSError, TypeError, SyntaxError, TokenError):  # the file is absent, or it is not Python code
        return None


def function_identity(function: Callable[..., Any], name: str) -> dict[str, Any]:
    """Return what a function is, as JSON values: its import path, bound arguments and the state of its object.

    Args:
        function: a function, a method, a ``functools.partial`` or an object that can be called.
        name: name of the encoder, for messages.

    Raises:
        ConfigError: an argument or a value of the object cannot be a part of a fingerprint.
    """
    found: dict[str, Any] = {}
    if isinstance(function, functools.partial):
        inner = function_identity(function.func, name)
        bound = {**{str(i): value for i, value in enumerate(function.args)}, **function.keywords}
        _require_plain(bound, name, "bound argument")
        found["arguments"] = [*inner.pop("arguments", ()), bound]
        return inner | found
    owner = getattr(function, "__self__", None) if inspect.ismethod(function) else function
    if owner is not None and not isinstance(owner, type) and not hasattr(owner, "__qualname__"):
        describe = getattr(owner, "fingerprint", None)
        state = dict(describe()) if callable(describe) else _state_of(owner)
        _require_plain(state, name, "" if callable(describe) else f"attribute of the {type(owner).__name__} object")
        found["state"] = state
    return {"function": import_path_of(_innermost(function)), **found}


def _innermost(function: Any) -> Any:
    """Return the thing with the code: the function inside partials and methods, or the class of an object."""
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(getattr(function, "__func__", function)) if inspect.ismethod(function) else function
    return function if hasattr(function, "__qualname__") else type(function)


def _state_of(thing: Any) -> dict[str, Any]:
    """Return the values of an object by name, from its ``__dict__`` and its slots."""
    slots = [slot for kind in type(thing).__mro__ for slot in _as_names(getattr(kind, "__slots__", ()))]
    return {**{slot: getattr(thing, slot) for slot in slots if hasattr(thing, slot)}, **getattr(thing, "__dict__", {})}


def _as_names(slots: Any) -> tuple[str, ...]:
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    return tuple(name for name in names if name not in ("__dict__", "__weakref__"))


def _require_plain(values: Mapping[str, Any], name: str, what: str) -> None:
    """Raise ConfigError for values that JSON cannot hold: a changed value would go unnoticed in a fingerprint."""
    problems = []
    for key, value in values.items():
        try:
            json.dumps(value, sort_keys=True, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            problems.append(
                f"encoder {name!r}: the {what or 'value of fingerprint()'} {key!r} is {shown_value(value)}, which "
                "cannot be a part of the encoder's fingerprint; use numbers, texts and lists only, or give the class "
                "of the object a method fingerprint() that returns such values"
            )
    if problems:
        raise ConfigError(*problems)


def find_input_kind(function: Callable[..., Any], name: str, declared: str | None, modality: str) -> FunctionInput:
    """Decide whether a function gets texts or waveforms: by the declaration, its first parameter, or the modality.

    Raises:
        ConfigError: none of the three says it.
    """
    try:
        first = next(iter(inspect.signature(function).parameters), "").lower()
    except ValueError:  # a function that is written in C may have no signature
        first = ""
    for word in (declared, first, modality):
        if word is not None and word.startswith("text"):
            return "text"
        if word is not None and word.startswith(("audio", "waveform")):
            return "audio"
    raise ConfigError(
        f"encoder {name!r} for modality {modality!r}: cannot tell whether the function reads text or audio; call its "
        "first parameter texts or waveforms, or register it with @register_encoder(name, modality='text')"
    )
