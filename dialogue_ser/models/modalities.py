"""Which inputs of a run are text, sound or pictures, and which belong to one modality."""

import logging
from collections.abc import Iterable, Mapping, Sequence

from dialogue_ser.errors import ConfigError

_logger = logging.getLogger(__name__)

#: Beginnings of the names of modalities. Any other name is a modality of its own.
_BEGINNINGS = {
    "text": ("text", "word", "transcript"),
    "audio": ("audio", "sound", "speech", "acoustic", "voice"),
    "visual": ("visual", "video", "vision", "face", "image"),
}


def kind_of(name: str) -> str:
    """``text``, ``audio`` or ``visual``, by the beginning of an input's name; any other name is its own kind.

    >>> kind_of("text2"), kind_of("video"), kind_of("praat")
    ('text', 'visual', 'praat')
    """
    lowered = name.lower()
    return next((kind for kind, starts in _BEGINNINGS.items() if lowered.startswith(starts)), name)


def by_kind(names: Iterable[str]) -> dict[str, list[str]]:
    """Kind → its inputs, in the order in which they come. Several inputs of one kind are vectors of one modality.

    >>> by_kind(["text1", "praat", "text2"])
    {'text': ['text1', 'text2'], 'praat': ['praat']}
    """
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(kind_of(name), []).append(name)
    return found


def same_size(system: str, dims: Mapping[str, int], reason: str) -> int:
    """The size that several vectors of one modality share.

    Args:
        system: name of the system.
        dims: input → size of its vector.
        reason: why the system needs one size, and how to mend it.

    Raises:
        ConfigError: the sizes differ; the error names all of them.
    """
    if len(set(dims.values())) > 1:
        shown = ", ".join(f"{name} has {size}" for name, size in dims.items())
        raise ConfigError(f"model {system}: vectors of one modality have different sizes ({shown}), but {reason}")
    return next(iter(dims.values()))


def say_missing(system: str, published: Sequence[str], names: Iterable[str], dropped: str) -> None:
    """Warn of the kinds of inputs that a system was published with and that a run lacks.

    Args:
        system: name of the system.
        published: kinds that the published system reads.
        names: inputs of the run.
        dropped: what the system does without them.
    """
    given = by_kind(names)
    missing = [kind for kind in published if kind not in given]
    if missing:
        _logger.warning("model %s: the run has no %s features, so %s", system, " and no ".join(missing), dropped)
