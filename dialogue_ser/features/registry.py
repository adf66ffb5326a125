"""Frozen encoders by name: built-in and registered names, entry points, and ``package.module:function``."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from dialogue_ser.errors import ConfigError, DialogueSerError
from dialogue_ser.features.core.bad_clips import OnBad
from dialogue_ser.features.core.checked_encoder import CheckedEncoder
from dialogue_ser.features.core.recipe import EncoderRecipe
from dialogue_ser.features.function_encoder import FunctionEncoder, find_input_kind
from dialogue_ser.options import option_problems
from dialogue_ser.registry import Entry, Registry

ENTRY_POINT_GROUP = "dialogue_ser.encoders"  # for frozen and for trained encoders
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
    "minilm": "all-MiniLM-L6-v2, 384-d sentence vectors; part of the package, works offline",
    "hf-text": "any transformers text model, by hub name or folder; with choice of pooling and layers",
    "hf-audio": "wav2vec2, HuBERT, WavLM or Whisper's encoder by hub name or folder; with choice of layers and pooling",
    "opensmile": "openSMILE functionals of the audio: eGeMAPSv02 (88), emobase (988) or ComParE_2016 (6373), or frames",
    "mfcc39": "frames of the audio: log-energy and 12 MFCC with Δ and ΔΔ (HTK's conventions, 100 ms every 50 ms)",
    "logmel": "frames of the audio: 128 log-mel bands at 22 kHz",
    "logmel3": "frames of the audio: log-mel, Δ and ΔΔ as the three channels of an image, at 22 kHz",
    "mel-delta": "frames of the audio: 128 log-mel bands with Δ and ΔΔ, 25 ms at 16 kHz",
    "precomputed": "rows of a CSV, parquet, npy or npz file, found by utterance id",
}

Target = TypeVar("Target", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class EncoderInfo:
    """One line in the output of ``dialogue-ser encoders``.

    Args:
        name: name in the registry.
        origin: ``built in``, ``registered`` or ``entry point``.
        description: what the encoder is, in one line.
    """

    name: str
    origin: str
    description: str


def register_encoder(name: str, *, modality: str | None = None, version: str = "1") -> Callable[[Target], Target]:
    """Return a decorator that registers an encoder class or function under a name.

    A function is ``texts -> [N, D]`` or ``waveforms, sample_rate_hz -> [N, D]``.

    Args:
        name: name to use in configurations.
        modality: what a function reads, text or audio; None = its first parameter decides: texts or waveforms.
        version: version of a function; part of its fingerprint.

    Raises:
        ConfigError: the name belongs to another encoder, or contains a colon.

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
    """Build an encoder by its name. Its outputs are checked.

    Args:
        name: registry name, entry point, or ``package.module:function``.
        modality: name of the modality in the batch.
        options: keyword options of the encoder.
        on_bad: what happens if media cannot be decoded.
        also_known: more names that the error for an unknown name may suggest.

    Raises:
        ConfigError: the name is unknown (the message suggests the nearest one), an option is unknown (the message lists
            the known ones), or an import fails.

    >>> build_encoder("opensmile", "audio", {"feature_set": "emobase"}).fingerprint()["feature_set"]
    'emobase'
    """
    options = dict(options or {})
    recipe = EncoderRecipe(name, modality, options, on_bad, ENCODERS.registered.get(name))
    return CheckedEncoder(_build(ENCODERS.find(name, also_known=also_known), recipe), name, modality, recipe)


def build_in_worker(recipe: EncoderRecipe) -> CheckedEncoder:
    """Build the encoder of a recipe in a worker process."""
    if recipe.registered is not None:  # a decorator registered it in a script that this process has not run
        ENCODERS.registered.setdefault(recipe.name, recipe.registered)
    return build_encoder(recipe.name, recipe.modality, recipe.options, recipe.on_bad)


def _build(target: Any, recipe: EncoderRecipe) -> Any:
    """Return the encoder: call a class or a factory, wrap a function; any other object is the encoder itself."""
    name, modality, options, on_bad = recipe.name, recipe.modality, recipe.options, recipe.on_bad
    details: Mapping[str, Any] = {"modality": None, "version": "1"}
    if recipe.registered:
        details = recipe.registered.details
    if not isinstance(target, type) and (not callable(target) or _is_encoder_object(target)):
        return target
    if isinstance(target, type) or _is_factory(target):
        return _construct(target, name, modality, options, on_bad)
    reads = find_input_kind(target, name, details["modality"], modality)
    also_allowed = () if reads == "text" else ("sample_rate_hz",)
    set_by_caller = [*inspect.signature(target).parameters][: 1 + len(also_allowed)]
    problems = option_problems(
        f"encoder {name!r}", target, options, set_by_caller=set_by_caller, also_allowed=also_allowed
    )
    if problems:
        raise ConfigError(*problems)
    return FunctionEncoder(target, name, modality, reads, options, on_bad, details["version"])


def list_encoders() -> list[EncoderInfo]:
    """List every frozen encoder that has a name, with a description. No encoder is imported."""
    return [
        EncoderInfo(
            name=entry.name, origin=entry.origin, description=DESCRIPTIONS.get(entry.name) or _description(entry)
        )
        for entry in ENCODERS.entries()
    ]


def _description(entry: Entry) -> str:
    """Return the first line of a registered encoder's docstring; otherwise, where the encoder is defined."""
    registered = ENCODERS.registered.get(entry.name)
    line = (inspect.getdoc(registered.target) or "").partition("\n")[0] if registered else ""
    return line or entry.target


def _is_encoder_object(target: Any) -> bool:
    """Whether an object has the methods of an encoder. It may be callable beside that, e.g. a network of torch."""
    return hasattr(target, "encode") and hasattr(target, "fingerprint")


def _is_factory(function: Callable[..., Any]) -> bool:
    """Whether a function builds an encoder. A function with a required parameter, e.g. texts, is an encoder itself."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # a function that is written in C may have no signature
        return False
    return not any(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty for p in parameters)


def _construct(target: Callable[..., Any], name: str, modality: str, options: Mapping[str, Any], on_bad: OnBad) -> Any:
    """Call a class or a factory with its options, and with modality and on_bad if it has such parameters."""
    if hasattr(target, "encode_rows"):
        raise ConfigError(
            f"encoder {name!r} is trained with the model, but a frozen encoder is needed here; set it as the encoder "
            "of the modality, and set its option frames to a frozen encoder"
        )
    parameters = inspect.signature(target).parameters
    context = {key: value for key, value in {"modality": modality, "on_bad": on_bad}.items() if key in parameters}
    problems = option_problems(f"encoder {name!r}", target, options, set_by_caller=context)
    if problems:
        raise ConfigError(*problems)
    try:
        return target(**context, **options)
    except DialogueSerError:
        raise
    except Exception as error:
        if name in ENCODERS and not isinstance(error, TypeError | AttributeError):
            raise  # a wrong type is the user's mistake; any other error is a fault of the library
        raise ConfigError(
            f"encoder {name!r}: cannot be made with the options {dict(options)}: {error}; correct them"
        ) from error
