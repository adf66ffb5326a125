"""Frozen encoders by name: the library's own, decorated ones, entry points, and ``package.module:function``."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from dialogue_ser.errors import ConfigError, DialogueSerError
from dialogue_ser.features.core.bad_clips import OnBad
from dialogue_ser.features.core.checked_encoder import CheckedEncoder
from dialogue_ser.features.core.recipe import EncoderRecipe
from dialogue_ser.features.function_encoder import FunctionEncoder, Source, source_of
from dialogue_ser.options import misfits
from dialogue_ser.registry import Entry, Registry

ENTRY_POINT_GROUP = "dialogue_ser.encoders"  # of frozen and trained ones alike
_BUILT_IN = {
    "minilm": "dialogue_ser.features.text.minilm:minilm",
    "hf-text": "dialogue_ser.features.text.hf_text:HfText",
    "hf-audio": "dialogue_ser.features.audio.hf_audio:HfAudio",
    "opensmile": "dialogue_ser.features.audio.opensmile:OpenSmile",
    "mfcc39": "dialogue_ser.features.audio.mfcc:mfcc39",
    "logmel": "dialogue_ser.features.audio.mel:logmel",
    "logmel3": "dialogue_ser.features.audio.mel:logmel3",
    "mel-delta": "dialogue_ser.features.audio.mel:mel_delta",
    "precomputed": "dialogue_ser.features.files.precomputed:Precomputed",
}
ENCODERS: Registry[Any] = Registry("encoder", ENTRY_POINT_GROUP, _BUILT_IN)
DESCRIPTIONS: dict[str, str] = {
    "minilm": "all-MiniLM-L6-v2, 384-d sentence vectors, comes with the package: works offline",
    "hf-text": "any transformers text model by hub name or folder; pooling and layers to choose",
    "hf-audio": "wav2vec2, HuBERT, WavLM or Whisper's encoder by hub name or folder; layers and pooling to choose",
    "opensmile": "openSMILE functionals of the audio: eGeMAPSv02 (88), emobase (988) or ComParE_2016 (6373); or frames",
    "mfcc39": "frames of the audio: log-energy and 12 MFCC, their Δ and ΔΔ (HTK's conventions, 100 ms every 50 ms)",
    "logmel": "frames of the audio: 128 log-mel bands at 22 kHz",
    "logmel3": "frames of the audio: log-mel, Δ and ΔΔ as an image of three channels at 22 kHz",
    "mel-delta": "frames of the audio: 128 log-mel bands with Δ and ΔΔ, 25 ms at 16 kHz",
    "precomputed": "rows of a CSV, parquet, npy or npz file keyed by utterance id",
}

Target = TypeVar("Target", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class EncoderInfo:
    """One line of ``dialogue-ser encoders``.

    Args:
        name: registry name.
        origin: ``built in``, ``registered`` or ``entry point``.
        description: one line.
    """

    name: str
    origin: str
    description: str


def register_encoder(name: str, *, modality: str | None = None, version: str = "1") -> Callable[[Target], Target]:
    """Register an encoder class, or a function ``texts -> [N,D]`` / ``waveforms, sample_rate_hz -> [N,D]``.

    Args:
        name: the name to use in configurations.
        modality: what a function reads, text or audio; None = by its first parameter's name (texts, waveforms).
        version: of a function; part of its fingerprint.

    Raises:
        ConfigError: the name belongs to another encoder, or holds a colon.

    >>> import numpy as np
    >>> @register_encoder("text-length", modality="text")
    ... def text_length(texts):
    ...     return np.array([[len(text)] for text in texts])
    >>> build_encoder("text-length", "text").kind
    'vector'
    """
    return ENCODERS.register(name, modality=modality, version=version)


def build_encoder(
    name: str,
    modality: str,
    options: Mapping[str, Any] | None = None,
    on_bad: OnBad = "error",
    *,
    also_known: Iterable[str] = (),
) -> CheckedEncoder:
    """An encoder by name, with its outputs checked.

    Args:
        name: registry name, entry point, or ``package.module:function``.
        modality: name under which the batch carries it.
        options: the encoder's own keyword options.
        on_bad: what to do with media that cannot be decoded.
        also_known: further names to suggest for an unknown one.

    Raises:
        ConfigError: unknown name (with the nearest match), unknown option (with the known ones), import that fails.

    >>> build_encoder("opensmile", "audio", {"feature_set": "emobase"}).fingerprint()["feature_set"]
    'emobase'
    """
    options = dict(options or {})
    recipe = EncoderRecipe(name, modality, options, on_bad, ENCODERS.registered.get(name))
    return CheckedEncoder(_instance(ENCODERS.find(name, also_known=also_known), recipe), name, modality, recipe)


def build_in_worker(recipe: EncoderRecipe) -> CheckedEncoder:
    """The same encoder in another process."""
    if recipe.registered is not None:  # by a decorator in a script that this process has not run
        ENCODERS.registered.setdefault(recipe.name, recipe.registered)
    return build_encoder(recipe.name, recipe.modality, recipe.options, recipe.on_bad)


def _instance(target: Any, recipe: EncoderRecipe) -> Any:
    """The encoder that a target is, makes, or wraps."""
    name, modality, options, on_bad = recipe.name, recipe.modality, recipe.options, recipe.on_bad
    details: Mapping[str, Any] = {"modality": None, "version": "1"}
    if recipe.registered:
        details = recipe.registered.details
    if not callable(target):
        return target
    if isinstance(target, type) or _is_factory(target):
        return _construct(target, name, modality, options, on_bad)
    source: Source = source_of(target, name, details["modality"], modality)
    further = () if source == "text" else ("sample_rate_hz",)
    given = [*inspect.signature(target).parameters][: 1 + len(further)]
    problems = misfits(f"encoder {name!r}", target, options, given=given, further=further)
    if problems:
        raise ConfigError(*problems)
    return FunctionEncoder(target, name, modality, source, options, on_bad, details["version"])


def list_encoders() -> list[EncoderInfo]:
    """Every frozen encoder that has a name, with one line on what it is; imports none of them."""
    return [
        EncoderInfo(name=entry.name, origin=entry.origin, description=DESCRIPTIONS.get(entry.name) or _described(entry))
        for entry in ENCODERS.entries()
    ]


def _described(entry: Entry) -> str:
    """First line of a registered one's docstring; what is not imported shows where it lies."""
    registered = ENCODERS.registered.get(entry.name)
    line = (inspect.getdoc(registered.target) or "").partition("\n")[0] if registered else ""
    return line or entry.target


def _is_factory(function: Callable[..., Any]) -> bool:
    """A function without required positional parameters builds an encoder; one that needs texts is an encoder."""
    parameters = inspect.signature(function).parameters.values()
    return not any(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty for p in parameters)


def _construct(target: Callable[..., Any], name: str, modality: str, options: Mapping[str, Any], on_bad: OnBad) -> Any:
    if hasattr(target, "encode_rows"):
        raise ConfigError(
            f"encoder {name!r} is trained with the model; name it as the modality's encoder itself, and a frozen one "
            "that gives it frames in its option frames"
        )
    parameters = inspect.signature(target).parameters
    context = {key: value for key, value in {"modality": modality, "on_bad": on_bad}.items() if key in parameters}
    problems = misfits(f"encoder {name!r}", target, options, given=context)
    if problems:
        raise ConfigError(*problems)
    try:
        return target(**context, **options)
    except DialogueSerError:
        raise
    except Exception as error:
        if name in ENCODERS and not isinstance(error, TypeError | AttributeError):
            raise  # a text where a number belongs is the user's, the rest is ours
        raise ConfigError(f"encoder {name!r}: options {dict(options)} do not fit it: {error}; correct them") from error
