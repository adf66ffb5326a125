"""A plain function as an encoder: ``texts -> [N, D]`` or ``waveforms, sample_rate_hz -> [N, D]``."""

import hashlib
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tokenize import TokenError
from typing import Any, Literal

from dialogue_ser.corpus.schema import Dialogue, utterances
from dialogue_ser.errors import ConfigError, FeatureError
from dialogue_ser.features.audio.decoding import decode_turns
from dialogue_ser.features.core.api import Array, InputKind
from dialogue_ser.features.core.bad_clips import OnBad, raise_if_bad
from dialogue_ser.features.core.traits import EncoderTraits
from dialogue_ser.features.core.user_code import as_array, failure
from dialogue_ser.media.decode import decoder_versions

Source = Literal["text", "audio"]


class FunctionEncoder:
    """Applies a function to the texts, or to the waveforms, of all utterances it is asked for.

    Args:
        function: ``function(texts: list[str], **options) -> [N, D]`` or
            ``function(waveforms: list[array], sample_rate_hz: int, **options) -> [N, D]``.
        name: registry name.
        modality: name under which the batch carries it.
        source: which of the two.
        options: passed on; for audio ``sample_rate_hz`` (default 16000) is the rate the waveforms are resampled to.
        on_bad: what to do with clips that cannot be decoded.
        version: part of the fingerprint; raise it when something outside the function's own file changes its output.

    Raises:
        ConfigError: ``sample_rate_hz`` is no positive whole number.
    """

    kind: InputKind = "vector"

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        modality: str,
        source: Source,
        options: Mapping[str, Any],
        on_bad: OnBad = "error",
        version: str = "1",
    ) -> None:
        self.name = name
        self.modality = modality
        self._function = function
        self._source = source
        self._options = dict(options)
        self._sample_rate_hz = self._options.pop("sample_rate_hz", 16000) if source == "audio" else 0
        if source == "audio" and not (isinstance(self._sample_rate_hz, int) and self._sample_rate_hz > 0):
            raise ConfigError(
                f"encoder {name!r}: sample_rate_hz {self._sample_rate_hz!r} must be a whole number above 0, e.g. 16000"
            )
        self._on_bad: OnBad = on_bad
        self._version = version
        self._code = source_digest(function)
        self.traits = EncoderTraits(context=(0, 0), reads=(source,), is_stored=self._code is not None)

    def fingerprint(self) -> Mapping[str, Any]:
        """Where the function stands, the hash of its source file, its options, its version, what decodes the sound."""
        decoder = {"versions": decoder_versions()} if self._source == "audio" else {}
        return {
            "function": f"{self._function.__module__}:{self._function.__qualname__}",
            "code": self._code,
            "options": self._options,
            "sample_rate_hz": self._sample_rate_hz,
            "version": self._version,
            **decoder,
        }

    def encode(self, dialogues: Sequence[Dialogue]) -> Mapping[str, Array]:
        """One row per utterance that has text (or audio).

        Raises:
            FeatureError: the function failed, or gave something else than one row of numbers per utterance.
            MediaError: clips cannot be decoded and ``on_bad`` is ``error``.
        """
        turns = list(utterances(dialogues))
        problems: list[str] = []
        if self._source == "text":
            ids = [turn.id for turn in turns if turn.text is not None]
            arguments: tuple[Any, ...] = ([turn.text for turn in turns if turn.text is not None],)
        else:
            decoded = decode_turns(turns, self._sample_rate_hz)
            ids, arguments, problems = decoded.ids, (decoded.waveforms, decoded.sample_rate_hz), decoded.problems
        rows = self._rows(ids, arguments) if ids else {}
        raise_if_bad(problems, self._on_bad, rows)
        return rows

    def _rows(self, ids: Sequence[str], arguments: tuple[Any, ...]) -> dict[str, Array]:
        """What the function gives, by utterance id; see :meth:`encode`."""
        try:
            output = self._function(*arguments, **self._options)
        except Exception as error:
            raise FeatureError(f"encoder {self.name!r}: your function failed: {failure(error)}") from error
        try:
            rows = as_array(output)
        except ValueError as error:
            raise FeatureError(
                f"encoder {self.name!r}: rows have different lengths ({error}); give an array [N, D]"
            ) from None
        if rows.ndim != 2 or rows.shape[0] != len(ids):
            raise FeatureError(
                f"encoder {self.name!r}: was given {len(ids)} utterances and gave an array of shape {rows.shape}; "
                f"it must give one row per utterance: ({len(ids)}, D)"
            )
        return dict(zip(ids, rows, strict=True))


def source_digest(function: Callable[..., Any]) -> str | None:
    """SHA-256 of the file a function stands in (of the function alone in a notebook); None where there is no source."""
    module = sys.modules.get(function.__module__)
    file = getattr(module, "__file__", None)
    if file is not None and Path(file).is_file():
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()
    try:
        return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()
    except (OSError, TypeError, SyntaxError, TokenError):  # the file is absent, or it is no Python code
        return None


def source_of(function: Callable[..., Any], name: str, declared: str | None, modality: str) -> Source:
    """Whether a function wants texts or waveforms: as declared, else by its first parameter, else the modality.

    Raises:
        ConfigError: nothing says it.
    """
    first = next(iter(inspect.signature(function).parameters)).lower()
    for said in (declared, first, modality):
        if said is not None and said.startswith("text"):
            return "text"
        if said is not None and said.startswith(("audio", "waveform")):
            return "audio"
    raise ConfigError(
        f"encoder {name!r} for modality {modality!r}: cannot tell whether the function reads text or audio; name its "
        "first parameter texts or waveforms, or register it with @register_encoder(name, modality='text')"
    )
