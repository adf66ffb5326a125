"""What a modality is read with: a frozen encoder, or what stands in front of a trained one."""

from collections.abc import Mapping
from typing import Any

from dialogue_ser.encoders import TRAINED_ENCODERS, find_trained
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.bad_clips import OnBad
from dialogue_ser.features.core.checked_encoder import CheckedEncoder
from dialogue_ser.features.registry import build_encoder
from dialogue_ser.features.text.front_end import TokenFrontEnd
from dialogue_ser.features.text.subword_tokenizer import SubwordIds
from dialogue_ser.features.text.word_tokenizer import WordIds
from dialogue_ser.options import construct, misfits

#: Options of a trained encoder on frames: the frozen encoder that gives them, and its own options.
FRAMES, FRAMES_OPTIONS = "frames", "frames_options"
_DEFAULT_READER = "meanpool"
_TOKEN_FRONT_ENDS: Mapping[str, type[TokenFrontEnd]] = {"words": WordIds, "subwords": SubwordIds}


def build_source(
    modality: str, encoder: str, options: Mapping[str, Any], *, has_transforms: bool, on_bad: OnBad
) -> tuple[CheckedEncoder | TokenFrontEnd, str | None, dict[str, Any]]:
    """The source of a modality's rows, the trained encoder that reads them (None for vectors) and its options.

    Args:
        modality: name under which the batch carries it.
        encoder: as configured: a frozen encoder, or a trained one.
        options: as configured; a trained encoder shares them with what stands in front of it.
        has_transforms: whether transforms follow, which token ids cannot take.
        on_bad: what to do with media that cannot be decoded.

    Raises:
        ConfigError: unknown encoder or option, an option of a wrong type, or transforms on token ids.
    """
    trained = find_trained(encoder)
    if trained is None:
        source = build_encoder(encoder, modality, options, on_bad, also_known=TRAINED_ENCODERS)
        if source.kind == "tokens":
            raise ConfigError(
                f"features.{modality}: encoder {encoder!r} gives tokens, which no trained encoder reads yet"
            )
        return source, _DEFAULT_READER if source.kind == "frames" else None, {}
    front_end = _TOKEN_FRONT_ENDS.get(trained.front_end)
    front = (FRAMES, FRAMES_OPTIONS) if front_end is None else front_end.OPTIONS
    who = f"encoder {encoder!r}"
    front_options = {key: value for key, value in options.items() if key in front}
    problems = misfits(
        who, trained.Config, options, further=[name for name in front if name not in trained.option_names()]
    )
    problems += misfits(who, front_end or _frames_options, front_options)
    if problems:
        raise ConfigError(*dict.fromkeys(problems))  # both read some of them
    reader_options = {key: value for key, value in options.items() if key in trained.option_names()}
    construct(who, trained.Config, reader_options)  # a bad value is told now, not after an hour of encoding
    if front_end is None:
        source = _frames_source(encoder, modality, options, on_bad, takes_vectors=trained.takes_vectors)
        return source, encoder, reader_options
    if has_transforms:
        raise ConfigError(
            f"features.{modality}: transforms do not apply to the token ids of {encoder!r}; drop them "
            f"(--features.{modality}.transforms [])"
        )
    return construct(who, front_end, front_options), encoder, reader_options


def _frames_source(
    encoder: str, modality: str, options: Mapping[str, Any], on_bad: OnBad, *, takes_vectors: bool
) -> CheckedEncoder:
    if FRAMES not in options:
        raise ConfigError(
            f"features.{modality}: encoder {encoder!r} reads frames; name a frozen encoder that gives some with option "
            "frames, e.g. frames: hf-text and frames_options: {model: FOLDER, pooling: none}"
        )
    source = build_encoder(options[FRAMES], modality, options.get(FRAMES_OPTIONS) or {}, on_bad)
    if source.kind != "frames" and not (source.kind == "vector" and takes_vectors):
        raise ConfigError(
            f"features.{modality}: encoder {encoder!r} reads frames, but {options[FRAMES]!r} gives {source.kind}"
        )
    return source


def _frames_options(frames: str = "", frames_options: Mapping[str, Any] | None = None) -> None:
    """The options that every trained encoder on frames has beside its own."""
