"""The content of ``scores.json`` of a cross-validation: scores, counts, and facts that help to judge the scores."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from dialogue_ser.corpus.cut import all_dialogues, count_cut_dialogues
from dialogue_ser.corpus.protocols import PARTS
from dialogue_ser.corpus.schema import Corpus, Dialogue, Utterance, utterances
from dialogue_ser.evaluation.crossval.fold_run import SCORED, FoldResult, crossval_task
from dialogue_ser.evaluation.crossval.scores_over_folds import scores_by, scores_over_folds
from dialogue_ser.evaluation.published import published_rows_for
from dialogue_ser.features.transforms import TRANSFORMS
from dialogue_ser.metrics.predictions import Predictions, predictions_of
from dialogue_ser.tasks.base import Task
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.data.prepare import requested_metrics

#: Version of the format. Format 1 had the metric keys ``ua`` and ``wa``. Format 2 has the keys of METRICS.
FORMAT = 2
#: An attribute with more values than this gets no scores per value.
MAX_VALUES = 12


def frame_of_all_folds(results: Sequence[FoldResult], dialogues: Sequence[Dialogue]) -> pd.DataFrame:
    """Return the predictions of all folds in one table with the column ``fold``.

    The column ``turn`` is the position in the whole dialogue. A fold that cuts through a dialogue counts only its own
    turns, so the positions are computed here again.
    """
    frame = pd.concat([one.frame.assign(fold=one.fold.name) for one in results], ignore_index=True)
    position = {turn.id: number for dialogue in dialogues for number, turn in enumerate(dialogue)}
    frame["turn"] = [position[name] for name in frame["utterance_id"]]
    return frame


def crossval_scores(
    config: RunConfig, corpus: Corpus, results: Sequence[FoldResult], frame: pd.DataFrame
) -> dict[str, Any]:
    """Return everything in scores.json that follows from the predictions and the corpus.

    Args:
        config: configuration of the whole cross-validation.
        corpus: the whole corpus.
        results: result of every fold.
        frame: predictions of all folds, from :func:`frame_of_all_folds`.

    Returns:
        the result of :func:`~dialogue_ser.evaluation.crossval.scores_over_folds.scores_over_folds`, and: ``protocol``,
        ``system``, ``scenario`` (improvised, scripted, mixed, or "" if the corpus has none), ``utterances`` (all,
        tested), ``cut_dialogues`` (see that function), ``notes`` (warnings of the reader), ``attributes`` (session,
        scenario, … → value → scores), ``published`` (scores that documents print) and ``folds``.
    """
    task, dialogues = crossval_task(config, corpus), all_dialogues(corpus)
    test = predictions_of(frame).split("test")
    scenario = scenario_of(utterances(dialogues))
    return {
        "format": FORMAT,
        "kind": "crossval",
        "name": config.name,
        "protocol": config.data.cut.protocol,
        "system": config.model.name if config.crossval.estimator == "none" else config.crossval.estimator,
        "uses_unlabelled_test_recordings": is_transductive(config),
        "scenario": scenario,
        "utterances": {"all": sum(map(len, dialogues)), "tested": len(test)},
        "cut_dialogues": count_cut_dialogues(dialogues, [one.fold for one in results]),
        "notes": list(corpus.warnings),
        "task": task.kind,
        task.names_key: list(task.names),
        "headings": task.own_headings(requested_metrics(config)),
        **scores_over_folds(frame, task, extra=requested_metrics(config)),
        "attributes": _by_attribute(test, dialogues, task),
        "published": published_rows_for(config.data.reader, task.n_scores, scenario)
        if task.gives_probabilities
        else [],
        "folds": [_fold_entry(one, dialogues, task, requested_metrics(config)) for one in results],
    }


def is_transductive(config: RunConfig) -> bool:
    """Return whether a transform learns from unlabelled recordings of the test speakers.

    Such scores cannot be compared with the scores of other runs.
    """
    names = [name for feature in config.features.values() for name in feature.transforms]
    return any(TRANSFORMS[name].is_transductive for name in names if name in TRANSFORMS)


def scenario_of(turns: Iterable[Utterance]) -> str:
    """Return the scenario that all turns share, e.g. ``improvised``; ``mixed`` for several; "" if there is none.

    >>> scenario_of([Utterance(id="a", speaker="x", attributes={"scenario": "improvised"})])
    'improvised'
    """
    found = {turn.attributes.get("scenario", "") for turn in turns}
    return "mixed" if len(found) > 1 else next(iter(found), "")


def _by_attribute(test: Predictions, dialogues: Sequence[Dialogue], task: Task) -> dict[str, Any]:
    """Return attribute → value → scores of its test turns, for attributes with few values."""
    attributes = {turn.id: turn.attributes for turn in utterances(dialogues)}
    ids = test.frame["utterance_id"]
    names = dict.fromkeys(name for id_ in ids for name in attributes[id_])
    values = {name: pd.Series([attributes[id_].get(name) for id_ in ids]) for name in names}
    return {
        name: scores_by(test, column, task) for name, column in values.items() if 2 <= column.nunique() <= MAX_VALUES
    }


def _fold_entry(one: FoldResult, dialogues: Sequence[Dialogue], task: Task, extra: Sequence[str]) -> dict[str, Any]:
    turns = {turn.id: turn for turn in utterances(dialogues)}
    predictions = predictions_of(one.frame)
    scores = {split: task.scores(predictions.split(split), extra) for split in SCORED}
    ids: Mapping[str, tuple[str, ...]] = {part: getattr(one.fold, part) for part in PARTS}
    return {
        "name": one.fold.name,
        **scores["test"],
        "dev": scores["dev"],
        "chosen": dict(one.chosen),
        "speakers": {part: sorted({turns[name].speaker for name in members}) for part, members in ids.items()},
        "utterances": {part: len(members) for part, members in ids.items()},
        task.names_key: {part: task.counts(turns[name] for name in members) for part, members in ids.items()},
        "seconds": one.seconds,
    }
