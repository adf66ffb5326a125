"""The corpus readers: one format per file. A reader is a function that returns a Corpus; READERS finds it by name."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dialogue_ser.corpus.field_types import check_types
from dialogue_ser.corpus.label_maps import label_map_from_options, relabel
from dialogue_ser.corpus.schema import Corpus
from dialogue_ser.corpus.validate import validate
from dialogue_ser.errors import ConfigError, DialogueSerError, describe_exception
from dialogue_ser.options import option_problems
from dialogue_ser.registry import Registry, Target

Reader = Callable[..., Corpus]
_LABEL_OPTIONS = ("label_map", "label_order")


def _check(name: str, reader: Any) -> Reader:
    if not callable(reader):
        raise ConfigError(f"reader {name!r}: {reader!r} is not a function; name a function that returns a Corpus")
    return reader  # type: ignore[no-any-return]


READERS: Registry[Reader] = Registry(
    "reader",
    "dialogue_ser.readers",
    {
        "cross-corpus": "dialogue_ser.corpus.readers.cross_corpus:read_cross_corpus",
        "dailydialog": "dialogue_ser.corpus.readers.dailydialog:read_dailydialog",
        "emobank": "dialogue_ser.corpus.readers.emobank:read_emobank",
        "emodb": "dialogue_ser.corpus.readers.emodb:read_emodb",
        "emorynlp": "dialogue_ser.corpus.readers.emorynlp:read_emorynlp",
        "iemocap": "dialogue_ser.corpus.readers.iemocap:read_iemocap",
        "meld": "dialogue_ser.corpus.readers.meld:read_meld",
        "nemo": "dialogue_ser.corpus.readers.nemo:read_nemo",
        "ravdess": "dialogue_ser.corpus.readers.ravdess:read_ravdess",
        "sample": "dialogue_ser.corpus.readers.meld:read_sample",
        "table": "dialogue_ser.corpus.readers.table:read_table",
    },
    _check,
)


def register_reader(name: str) -> Callable[[Target], Target]:
    """Return a decorator that registers a reader, ``(path, labels, **options) -> Corpus``, under a name.

    Raises:
        ConfigError: the name holds a colon, or a reader of the library or another reader already has it.
    """
    return READERS.register(name)


def reader_of_file(path: str | Path) -> str | None:
    """Return the reader that reads a path if none is named: ``table`` for a file, None for a folder.

    A path that does not exist counts as a file if its name has an ending.
    """
    path = Path(path)
    try:
        return "table" if path.is_file() or (path.suffix and not path.is_dir()) else None
    except OSError:  # the name is too long
        return "table"


def _call(function: Reader, reader: str, path: str | Path | None, labels: str, options: dict[str, Any]) -> Any:
    """Call a reader. If a reader of a user fails, the error is one clear line."""
    try:
        return function(path, labels, **options)
    except DialogueSerError:
        raise
    except Exception as error:
        if not READERS.comes_from_outside(reader):
            raise
        raise ConfigError(
            f"reader {reader!r}: your function failed: {describe_exception(error)}; mend it; a reader is called as "
            "function(path, labels, **options)"
        ) from error


def read_corpus(
    reader: str, path: str | Path | None = None, labels: str = "emotion", on_bad: str = "error", **options: Any
) -> Corpus:
    """Read and validate a corpus.

    Args:
        reader: name of a reader in READERS (of the library, registered, or of an installed package), or
            ``package.module:function``.
        path: folder or file of the corpus; None = the reader looks for it.
        labels: label set, e.g. emotion or sentiment.
        on_bad: ``error`` or ``mask``, for missing media. Only readers that have this option get it.
        options: the reader's own options. Every reader also has ``label_map`` (class → class, null = unlabelled) and
            ``label_order`` (the new classes in order), see :mod:`~dialogue_ser.corpus.label_maps`.

    Raises:
        ConfigError: the reader or an option is unknown (the error names the most similar one), or an option has a wrong
            type.
        CorpusError: the corpus has bad rows. The error lists all of them.
        MissingDataError: the corpus is not on this machine.
    """
    return validate(read_without_warnings(reader, path, labels, on_bad, **options))


def read_without_warnings(
    reader: str, path: str | Path | None = None, labels: str = "emotion", on_bad: str = "error", **options: Any
) -> Corpus:
    """Read a corpus as :func:`read_corpus` does, but add none of the warnings of :func:`validate`.

    The reader ``cross-corpus`` uses it for its two parts, because the warnings are about the whole.
    """
    if on_bad not in ("error", "mask"):
        raise ConfigError(f"on_bad {on_bad!r}: use error or mask (--data.on_bad)")
    function = READERS.find(reader)
    parameters = inspect.signature(function).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    # A reader with its own option label_map does this itself. The reader table maps the words that it reads.
    maps_labels = takes_any or "label_map" in parameters
    label_options = {} if maps_labels else {name: options.pop(name) for name in _LABEL_OPTIONS if name in options}
    owner, also_allowed = f"reader {reader}", () if maps_labels else _LABEL_OPTIONS
    problems = option_problems(
        owner, function, options, set_by_caller=("path", "labels", "on_bad"), also_allowed=also_allowed
    )
    problems += option_problems(owner, label_map_from_options, label_options, set_by_caller=["label_set"])
    if problems:
        raise ConfigError(*problems)
    if takes_any or "on_bad" in parameters:
        options["on_bad"] = on_bad
    corpus = _call(function, reader, path, labels, options)
    if not isinstance(corpus, Corpus):
        raise ConfigError(
            f"reader {reader!r}: returned {type(corpus).__name__}; let it return a dialogue_ser.corpus.schema.Corpus"
        )
    if label_options:
        check_types(corpus)
        corpus = relabel(corpus, labels, label_map_from_options(corpus.label_set, **label_options))
    return corpus
