"""The folds of a cross-validation as jobs: done in this process or in others, and never repeated when finished."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from dialogue_ser.corpus.cut import all_dialogues, folder_name, make_folds
from dialogue_ser.corpus.protocols import PARTS, Fold
from dialogue_ser.corpus.schema import Corpus
from dialogue_ser.errors import DialogueSerError
from dialogue_ser.evaluation.crossval.fold_run import PREDICTIONS, FoldResult, crossval_task, fold_result, run_fold
from dialogue_ser.features.store.feature_store import FeatureStore
from dialogue_ser.many.engines import JobEngine
from dialogue_ser.many.jobs import Job, Outcome, fingerprint_of
from dialogue_ser.many.progress import Silent
from dialogue_ser.many.run_many import failures, run_many
from dialogue_ser.runs.intact import is_whole_table
from dialogue_ser.training.config.files import code_of_run, config_from_dict, config_to_dict
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.data.corpus import corpus_of
from dialogue_ser.training.record.environment import settings_checksum
from dialogue_ser.training.record.run_directory import RunDirectory

#: Is called with (number of finished folds, number of folds, name of the next fold).
Report = Callable[[int, int, str], None]


def run_folds(
    config: RunConfig,
    corpus: Corpus,
    folds: Sequence[Fold],
    out: Path,
    store: FeatureStore,
    engine: JobEngine | None,
    report: Report | None,
) -> list[FoldResult]:
    """Run every fold that is not finished, and return the results of all.

    Args:
        config: configuration of the whole cross-validation.
        corpus: the whole corpus.
        folds: the folds.
        out: directory of the cross-validation.
        store: store of frozen features.
        engine: where the folds are done; None = one after another in this process.
        report: shows the progress.

    Raises:
        DialogueSerError: folds failed. In this process, the first one that fails ends the others.
    """
    folders = [out / "folds" / folder_name(fold.name) for fold in folds]
    version = [settings_checksum(config), crossval_task(config, corpus).fingerprint(corpus)]
    jobs = [
        Job(
            key=fold.name,
            target=f"{__name__}:{'run_fold' if engine is None else 'run_fold_of_corpus'}",
            payload=_payload(config, corpus, fold, folder, store, is_here=engine is None),
            fingerprint=fingerprint_of([*version, *(list(getattr(fold, part)) for part in PARTS)]),
            trusted=True if engine is None else code_of_run(config),
            is_complete=partial(_is_complete, folder, is_trained=config.crossval.estimator == "none"),
        )
        for fold, folder in zip(folds, folders, strict=True)
    ]
    outcomes = run_many(jobs, out, engine, _Reported(report or (lambda done, total, name: None)), raises=True)
    failed = failures(outcomes)
    if failed:
        raise DialogueSerError(
            *(f"{out}: fold {name}: {problem}" for name, why in failed.items() for problem in why.splitlines()),
            f"{out}: the other folds are finished; the same command tries the failed ones again",
        )
    return [fold_result(fold, folder, outcomes[fold.name].value) for fold, folder in zip(folds, folders, strict=True)]


def run_fold_of_corpus(config: Mapping[str, Any], fold: str, folder: str, store: str) -> dict[str, Any]:
    """Run one fold in a process that has neither the corpus nor the store yet.

    Args:
        config: the configuration of the whole cross-validation, as plain values.
        fold: name of the fold.
        folder: folder of the fold.
        store: folder of the store.
    """
    settings = config_from_dict(config)
    corpus = corpus_of(settings.data, every_fold=True)
    cut = settings.data.cut
    found = next(
        one for one in make_folds(cut.protocol, all_dialogues(corpus), cut.seed, cut.n_folds) if one.name == fold
    )
    return run_fold(settings, corpus, found, Path(folder), FeatureStore(store))


def _payload(
    config: RunConfig, corpus: Corpus, fold: Fold, folder: Path, store: FeatureStore, *, is_here: bool
) -> dict[str, Any]:
    """Return the arguments of a fold: objects in this process, plain values for another one."""
    if is_here:
        return {"config": config, "corpus": corpus, "fold": fold, "folder": folder, "store": store}
    return {
        "config": config_to_dict(config),
        "fold": fold.name,
        "folder": str(folder.absolute()),
        "store": str(store.root.parent.absolute()),
    }


def _is_complete(folder: Path, *, is_trained: bool) -> bool:
    """Return whether the results of a fold are still there."""
    if not is_whole_table(folder / PREDICTIONS) or not (folder / "model").is_dir():
        return False
    return not is_trained or (RunDirectory(folder).is_finished and RunDirectory(folder).has_outputs)


class _Reported(Silent):
    """Tells a function about the folds.

    Args:
        report: the function.
    """

    def __init__(self, report: Report) -> None:
        self._report, self._done, self._total = report, 0, 0

    def begin(self, total: int | None, finished: int) -> None:
        """Note the number of folds."""
        self._done, self._total = finished, total or 0
        if finished == self._total:
            self._report(finished, finished, "")

    def started(self, key: str) -> None:
        """Report the fold that begins."""
        self._report(self._done, self._total, key)

    def ended(self, key: str, outcome: Outcome) -> None:
        """Report the end of the last fold."""
        self._done += 1
        if self._done == self._total:
            self._report(self._total, self._total, "")
