"""The corpus that a run's section ``data`` describes: read, then cut."""

from dataclasses import replace

from dialogue_ser.corpus.cut import cut
from dialogue_ser.corpus.protocols import FOLDS
from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.corpus.schema import Corpus
from dialogue_ser.corpus.validate import validate
from dialogue_ser.errors import ConfigError
from dialogue_ser.training.config.run_config import DataConfig, RunConfig

#: What cross-validation cuts by where nothing else is asked for.
CROSSVAL_PROTOCOL = "leave-one-speaker-out"


def corpus_of(data: DataConfig, whole: Corpus | None = None, *, every_fold: bool = False) -> Corpus:
    """Read the corpus and cut it; the one place where this is done.

    Args:
        data: reader, its options, and the cut.
        whole: a corpus to take instead of reading one; it is cut too.
        every_fold: a cut that names no fold leaves the corpus whole: the caller needs all of its folds.

    Raises:
        ConfigError: unknown reader, option or fold, or no fold is named and there are several.
        CorpusError: bad rows, or a corpus that the protocol cannot cut.
        MissingDataError: the corpus is not on this machine.
    """
    if whole is None:
        whole = read_corpus(data.reader, data.path, data.labels, on_bad=data.on_bad, **data.options)
    else:
        validate(whole)  # as read_corpus does
    if every_fold and not data.cut.fold:
        return whole
    return cut(whole, data.cut, train=data.train, dev=data.dev)


def for_every_fold(config: RunConfig) -> RunConfig:
    """The configuration of a whole cross-validation, with its protocol filled in.

    Raises:
        ConfigError: a single fold is named, or the protocol is not one of cross-validation.

    >>> for_every_fold(RunConfig()).data.cut.protocol
    'leave-one-speaker-out'
    """
    own = config.data.cut
    if own.fold:
        raise ConfigError(
            f"data.cut.fold: found {own.fold!r}, but crossval runs every fold; leave it away, or run this one with "
            "dialogue-ser train"
        )
    if own.protocol == "none":
        return replace(config, data=replace(config.data, cut=replace(own, protocol=CROSSVAL_PROTOCOL)))
    if FOLDS[own.protocol].cuts == "train":
        raise ConfigError(
            f"data.cut.protocol: {own.protocol} cuts the train split alone, for dialogue-ser crossfit; choose another "
            f"for crossval, e.g. {CROSSVAL_PROTOCOL}"
        )
    return config
