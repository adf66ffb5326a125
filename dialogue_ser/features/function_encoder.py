"""An encoder that is a plain function: ``texts -> [N, D]`` or ``waveforms, sample_rate_hz -> [N, D]``."""

import hashlib
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tokenize import TokenError
from typing import Any, Literal

from dialogue_ser.corpus.schema import Dialogue, utterances
from dialogue_ser.errors import ConfigError, FeatureError, describe_exception
from dialogue_ser.features.audio.decoding import decode_turns
from dialogue_ser.features.core.api import Array, InputKind
from dialogue_ser.features.core.bad_clips import OnBad, raise_if_bad
from dialogue_ser.features.core.traits import EncoderTraits
from dialogue_ser.features.core.user_code import as_array
from dialogue_ser.media.decode import decoder_versions

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
        self._code = code_digest(function)
        self.traits = EncoderTraits(context=(0, 0), reads=(reads,), is_stored=self._code is not None)

    def fingerprint(self) -> Mapping[str, Any]:
        """Return the function's name, the hash of its Python file, its options, its version and the sound decoders."""
        decoder = {"versions": decoder_versions()} if self._reads == "audio" else {}
        return {
            "function": f"{self._function.__module__}:{self._function.__qualname__}",
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
    module = sys.modules.get(function.__module__)
    file = getattr(module, "__file__", None)
    if file is not None and Path(file).is_file():
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()
    try:
        return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()
    except (OSError, TypeError, SyntaxError, TokenError):  # the file is absent, or it is not Python code
        return None


def find_input_kind(function: Callable[..., Any], name: str, declared: str | None, modality: str) -> FunctionInput:
    """Decide whether a function gets texts or waveforms: by the declaration, its first parameter, or the modality.

    Raises:
        ConfigError: none of the three says it.
    """
    first = next(iter(inspect.signature(function).parameters)).lower()
    for word in (declared, first, modality):
        if word is not None and word.startswith("text"):
            return "text"
        if word is not None and word.startswith(("audio", "waveform")):
            return "audio"
    raise ConfigError(
        f"encoder {name!r} for modality {modality!r}: cannot tell whether the function reads text or audio; call its "
        "first parameter texts or waveforms, or register it with @register_encoder(name, modality='text')"
    )
