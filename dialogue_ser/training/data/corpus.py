"""Read the corpus that the section ``data`` of a configuration describes, and cut it."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dialogue_ser.corpus.cut import carve, cut
from dialogue_ser.corpus.protocols import FOLDS
from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.corpus.schema import Corpus
from dialogue_ser.corpus.splits import SPLIT_NAMES
from dialogue_ser.corpus.validate import validate
from dialogue_ser.errors import ConfigError
from dialogue_ser.training.config.run_config import DataConfig, RunConfig

logger = logging.getLogger(__name__)

#: Reader of a user's own tables.
TABLE = "table"
#: Share of the dialogues of train that are drawn for a split that a table lacks.
CARVED_SHARE = 0.1
#: Protocol of a cross-validation whose configuration names none.
CROSSVAL_PROTOCOL = "leave-one-speaker-out"


def corpus_of(data: DataConfig, whole: Corpus | None = None, *, every_fold: bool = False) -> Corpus:
    """Read a corpus and cut it. All commands use this function for it.

    If a table states its splits and lacks dev, every tenth dialogue of train is drawn for dev. If it has nothing but
    train, test is drawn too. A warning of the corpus says so.

    Args:
        data: the reader, its options and the cut.
        whole: use this corpus instead of reading one; it is cut too.
        every_fold: do not cut the corpus if no fold is named, because the caller needs all folds.

    Raises:
        ConfigError: the reader, an option or the fold is unknown; or no fold is named and there are several.
        CorpusError: the corpus has bad rows, or the protocol cannot cut it.
        MissingDataError: the corpus is not on this machine.
    """
    if whole is None:
        options = _reader_options(data)
        whole = read_corpus(data.reader, data.path, data.labels, on_bad=data.on_bad, **options)
        if data.reader == TABLE and not options.get("fractions"):
            whole = _with_missing_splits(whole, data)
    else:
        validate(whole)  # read_corpus does this too
    if every_fold and not data.cut.fold:
        return whole
    return cut(whole, data.cut, train=data.train, dev=data.dev)


def log_warnings(corpus: Corpus) -> None:
    """Log what the reader found odd in a corpus. Whoever reads a corpus to learn from it calls this once, before that.

    ``data describe`` and ``data check`` print the same sentences.
    """
    for warning in corpus.warnings:
        logger.warning("corpus %s: %s", corpus.name, warning)


def _reader_options(data: DataConfig) -> Mapping[str, Any]:
    """Return the options of the reader. A run that names a split such as valid gets the names that the table has."""
    asked = [*data.train.split("+"), data.dev]
    if data.reader != TABLE or all(SPLIT_NAMES.get(name.lower(), name) == name for name in asked):
        return data.options
    return {"split_names": "as-written", **data.options}


def _with_missing_splits(corpus: Corpus, data: DataConfig) -> Corpus:
    """Return a table's corpus with a dev split, and with a test split if it has nothing but train.

    A train split of too few dialogues stays as it is. One can look at such a table and score a model on it.
    """
    needs_dev = data.cut.protocol == "none" or FOLDS[data.cut.protocol].cuts == "train"
    if not needs_dev or data.dev in corpus.splits or data.train not in corpus.splits:
        return corpus
    missing = [data.dev] if len(corpus.splits) > 1 else [data.dev, "test"]
    n_dialogues = len(corpus.split(data.train))
    if n_dialogues <= len(missing):
        return corpus
    share = max(CARVED_SHARE, 1 / n_dialogues)
    return carve(corpus, dict.fromkeys(missing, share), seed=data.options.get("seed", 0), source=data.train)


def for_every_fold(config: RunConfig) -> RunConfig:
    """Return the configuration of a whole cross-validation; if it names no protocol, the default is filled in.

    Raises:
        ConfigError: the configuration names a single fold, or its protocol is not made for cross-validation.

    >>> for_every_fold(RunConfig()).data.cut.protocol
    'leave-one-speaker-out'
    """
    cut_config = config.data.cut
    if cut_config.fold:
        raise ConfigError(
            f"data.cut.fold: found {cut_config.fold!r}, but crossval runs every fold; remove this setting, or run this "
            "one fold with dialogue-ser train"
        )
    if cut_config.protocol == "none":
        return replace(config, data=replace(config.data, cut=replace(cut_config, protocol=CROSSVAL_PROTOCOL)))
    if FOLDS[cut_config.protocol].cuts == "train":
        raise ConfigError(
            f"data.cut.protocol: {cut_config.protocol} cuts the train split only, for dialogue-ser crossfit; choose "
            f"another protocol for crossval, e.g. {CROSSVAL_PROTOCOL}"
        )
    return config
