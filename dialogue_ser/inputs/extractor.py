"""Build the extractor of a modality: a frozen encoder, or the tokenizer of a trained encoder."""

from collections.abc import Mapping
from typing import Any

from dialogue_ser.encoders import TRAINED_ENCODERS, TrainedEncoder, find_trained
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.bad_clips import OnBad
from dialogue_ser.features.core.checked_encoder import CheckedEncoder
from dialogue_ser.features.registry import build_encoder
from dialogue_ser.features.text.front_end import TokenFrontEnd
from dialogue_ser.features.text.subword_tokenizer import SubwordIds
from dialogue_ser.features.text.word_tokenizer import WordIds
from dialogue_ser.options import construct, option_problems

#: Two options of a trained encoder that reads frames: the frozen encoder that gives the frames, and its options.
FRAMES, FRAMES_OPTIONS = "frames", "frames_options"
_DEFAULT_TRAINED_ENCODER = "meanpool"
_TOKENIZERS: Mapping[str, type[TokenFrontEnd]] = {"words": WordIds, "subwords": SubwordIds}


def build_extractor(
    modality: str, encoder: str, options: Mapping[str, Any], *, has_transforms: bool, on_bad: OnBad
) -> tuple[CheckedEncoder | TokenFrontEnd, str | None, dict[str, Any]]:
    """Build the extractor of a modality.

    Args:
        modality: name of the modality in the batch.
        encoder: name of the frozen or trained encoder in the configuration.
        options: options in the configuration. A trained encoder shares them with its extractor.
        has_transforms: True if transforms follow. They do not work on token ids.
        on_bad: what to do with media that cannot be decoded.

    Returns:
        The extractor, the name of the trained encoder (None for vectors) and the options of the trained encoder.

    Raises:
        ConfigError: the encoder or an option is unknown, an option has a wrong type, or there are transforms on token
            ids.
    """
    trained = find_trained(encoder)
    if trained is None:
        frozen = build_encoder(encoder, modality, options, on_bad, also_known=TRAINED_ENCODERS)
        if frozen.kind == "tokens":
            raise ConfigError(
                f"features.{modality}: encoder {encoder!r} gives tokens, but no trained encoder reads the tokens of a "
                "frozen encoder yet; choose an encoder that gives vectors or frames"
            )
        return frozen, _DEFAULT_TRAINED_ENCODER if frozen.kind == "frames" else None, {}
    owner = f"encoder {encoder!r}"
    tokenizer = _TOKENIZERS.get(trained.front_end)
    extractor_options = _extractor_options(owner, trained, tokenizer, options)
    trained_options = {key: value for key, value in options.items() if key in trained.option_names()}
    construct(owner, trained.Config, trained_options)  # finds bad values now, and not after an hour of encoding
    if tokenizer is None:
        frames = _frames_extractor(encoder, modality, options, on_bad, takes_vectors=trained.takes_vectors)
        return frames, encoder, trained_options
    if has_transforms:
        raise ConfigError(
            f"features.{modality}: transforms do not work on the token ids of {encoder!r}; remove them "
            f"(--features.{modality}.transforms [])"
        )
    return construct(owner, tokenizer, extractor_options), encoder, trained_options


def _extractor_options(
    owner: str, trained: type[TrainedEncoder], tokenizer: type[TokenFrontEnd] | None, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return those options of a trained encoder that its extractor reads.

    Raises:
        ConfigError: an option is unknown to both, or has a wrong type.
    """
    names = (FRAMES, FRAMES_OPTIONS) if tokenizer is None else tokenizer.OPTIONS
    found = {key: value for key, value in options.items() if key in names}
    problems = option_problems(
        owner, trained.Config, options, also_allowed=[name for name in names if name not in trained.option_names()]
    )
    problems += option_problems(owner, tokenizer or _frames_options, found)
    if problems:
        raise ConfigError(*dict.fromkeys(problems))  # an option that both read is named once
    return found


def _frames_extractor(
    encoder: str, modality: str, options: Mapping[str, Any], on_bad: OnBad, *, takes_vectors: bool
) -> CheckedEncoder:
    """Return the frozen encoder that gives the frames of a trained encoder.

    Raises:
        ConfigError: no frozen encoder is named, or it does not give frames.
    """
    if FRAMES not in options:
        raise ConfigError(
            f"features.{modality}: encoder {encoder!r} reads frames; name a frozen encoder that gives frames in the "
            "option frames, e.g. frames: hf-text and frames_options: {model: FOLDER, pooling: none}"
        )
    frozen = build_encoder(options[FRAMES], modality, options.get(FRAMES_OPTIONS) or {}, on_bad)
    if frozen.kind != "frames" and not (frozen.kind == "vector" and takes_vectors):
        raise ConfigError(
            f"features.{modality}: encoder {encoder!r} reads frames, but {options[FRAMES]!r} gives {frozen.kind}; name "
            "another frozen encoder, or options with which it gives frames"
        )
    return frozen


def _frames_options(frames: str = "", frames_options: Mapping[str, Any] | None = None) -> None:
    """Do nothing. The parameters are the options that all trained encoders on frames have in common."""
