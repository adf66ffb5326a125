import json

import numpy as np
import pandas as pd
import pytest

from dialogue_ser.corpus.schema import Dialogue, LabelSet, Utterance
from dialogue_ser.errors import DialogueSerError
from dialogue_ser.metrics.bootstrap import bootstrap, metrics_function
from dialogue_ser.metrics.predictions import TURN_COLUMNS, Predictions, predictions_of
from dialogue_ser.metrics.scores import score
from dialogue_ser.metrics.table import METRICS
from dialogue_ser.tasks.base import Task, n_labelled
from dialogue_ser.tasks.classification import Classification
from dialogue_ser.tasks.regression import Regression

LABELS = ("neutral", "joy", "fear")
TASK = Classification(LabelSet("any", LABELS))
VALUES = Regression(("valence", "arousal"))


def _table(splits: tuple[str, ...] = ("test",)) -> Predictions:
    rng = np.random.default_rng(0)
    rows = []
    for split in splits:
        for dialogue in range(12):
            for turn in range(1 + dialogue):
                gold = None if (dialogue, turn) == (5, 2) else str(rng.choice(LABELS[:2]))
                rows.append(
                    {
                        "split": split,
                        "dialogue_id": f"d{dialogue}",
                        "utterance_id": f"{split}/{dialogue}_{turn}",
                        "turn": turn,
                        "speaker": "ab"[turn % 2],
                        "text": "…",
                        "gold": gold,
                    }
                )
    return predictions_of(pd.DataFrame(rows).assign(**TASK.prediction_columns(rng.dirichlet(np.ones(3), len(rows)))))


def test_every_slice_kind_splits_the_labelled_turns_completely() -> None:
    table = _table()
    summary = TASK.summary(table, n_resamples=100)
    for kind, slices in summary["slices"].items():
        assert sum(value["n"] for value in slices.values()) == summary["counts"]["labelled"] == len(table) - 1, kind


def test_a_slices_scores_are_the_scores_of_its_turns() -> None:
    table = _table()
    of_b = table.frame[table.frame["speaker"] == "b"]
    expected = score(of_b["gold"].where(of_b["gold"].notna(), None), of_b["predicted"], LABELS)
    value = TASK.summary(table, n_resamples=50)["slices"]["speaker"]["b"]
    assert value["weighted_f1"] == expected.weighted_f1
    assert value["uar"] == expected.uar


def test_slices_without_turns_are_absent_and_classes_without_turns_are_not() -> None:
    summary = TASK.summary(_table(), n_resamples=50)
    assert "14+" not in summary["slices"]["dialogue_length"]
    assert summary["scores"]["per_class"]["fear"]["support"] == 0
    assert set(summary["class_intervals"]) == set(LABELS)


def test_several_splits_at_once_are_refused() -> None:
    with pytest.raises(DialogueSerError, match="one split at a time"):
        TASK.summary(_table(("dev", "test")))


def test_intervals_of_a_slice_are_those_of_the_tasks_default_metric_over_its_dialogues() -> None:
    table = _table()
    value = TASK.summary(table, n_resamples=50)["slices"]["dialogue_length"]["5–8"]
    own = table.rows(np.isin(np.bincount(table.dialogue_N)[table.dialogue_N], (5, 6, 7, 8)))
    expected = bootstrap(own.statistics(), metrics_function([METRICS["weighted_f1"]]), n_resamples=500)["weighted_f1"]
    assert (value["low"], value["high"]) == (expected.low, expected.high)


def test_turns_without_any_gold_are_not_scored() -> None:
    table = _table()
    unlabelled = predictions_of(table.frame.assign(gold=pd.Series([None] * len(table), dtype=object)))
    with pytest.raises(DialogueSerError, match="no labelled turn to score"):
        TASK.scores(unlabelled)


DIALOGUES = (
    Dialogue(
        "test/d1",
        (
            Utterance(id="test/a", speaker="Ann", text="NA", label="joy", targets={"valence": 4.0, "arousal": 2.0}),
            Utterance(id="test/b", speaker="Bob", text="no", targets={"arousal": 3.5}),
        ),
    ),
    Dialogue("test/d2", (Utterance(id="test/c", speaker="Ann", text="yes", label="fear"),)),
)
NUMBERS = {TASK: np.array([[0.1, 0.7, 0.2], [0.5, 0.25, 0.25], [0.2, 0.2, 0.6]]), VALUES: np.arange(6.0).reshape(3, 2)}
BOTH = pytest.mark.parametrize("task", NUMBERS, ids=lambda task: task.kind)


@BOTH
def test_the_prediction_table_reads_back_as_predictions_of_its_own_kind(task: Task) -> None:
    frame = task.prediction_frame(DIALOGUES, NUMBERS[task], split="test")
    table = predictions_of(frame)
    assert (table.kind, table.names, len(table)) == (task.kind, task.names, 3)
    assert tuple(frame.columns[:6]) == TURN_COLUMNS
    assert frame["turn"].tolist() == [0, 1, 0]
    assert frame["text"].tolist() == ["NA", "no", "yes"]
    np.testing.assert_array_equal(frame[list(task.number_columns)].to_numpy(), NUMBERS[task])


@BOTH
def test_a_table_for_prediction_has_neither_split_nor_gold(task: Task) -> None:
    frame = task.prediction_frame(DIALOGUES, NUMBERS[task], with_gold=False)
    assert tuple(frame.columns) == (*TURN_COLUMNS[1:], *task.prediction_columns(NUMBERS[task]))


@BOTH
def test_a_table_with_other_numbers_has_the_same_turns_and_columns(task: Task) -> None:
    frame = task.prediction_frame(DIALOGUES, NUMBERS[task], split="test")
    other = task.with_numbers(frame, NUMBERS[task][::-1])
    assert list(other.columns) == list(frame.columns)
    np.testing.assert_array_equal(other[list(task.number_columns)].to_numpy(), NUMBERS[task][::-1])
    same = [name for name in frame.columns if name in TURN_COLUMNS or name.startswith("gold")]
    pd.testing.assert_frame_equal(other[same], frame[same])


@BOTH
def test_the_row_of_one_turn_is_the_tables_row_as_plain_values(task: Task) -> None:
    frame = task.prediction_frame(DIALOGUES, NUMBERS[task], split="test")
    for number in range(3):
        row = task.row(NUMBERS[task][number])
        assert row == {name: frame[name][number] for name in row}
        assert list(row) == list(task.prediction_columns(NUMBERS[task]))
        json.dumps(row)


@BOTH
def test_a_dialogue_to_predict_has_lost_all_that_would_tell(task: Task) -> None:
    shown = task.unlabelled(DIALOGUES[0])
    assert [(turn.id, turn.speaker, turn.text) for turn in shown] == [
        (turn.id, turn.speaker, turn.text) for turn in DIALOGUES[0]
    ]
    assert not any(turn.label or turn.votes or turn.targets for turn in shown)


def test_labelled_turns_are_counted_by_what_the_task_asks_for() -> None:
    assert n_labelled(TASK, DIALOGUES) == 2
    assert n_labelled(VALUES, DIALOGUES) == 2
    assert n_labelled(Regression(("arousal",)), DIALOGUES) == 2
    assert n_labelled(Regression(("valence",)), DIALOGUES) == 1


@BOTH
def test_a_summary_is_plain_json_with_the_headline_in_every_slice(task: Task) -> None:
    table = predictions_of(task.prediction_frame(DIALOGUES, NUMBERS[task], split="test"))
    summary = task.summary(table, n_resamples=20)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    for kind, slices in summary["slices"].items():
        assert slices, kind
        for value in slices.values():
            assert set(task.headline) < set(value)
    assert summary["counts"] == {"turns": 3, "labelled": 2, "dialogues": 2, "speakers": 2}
    assert task.default_metric in task.headline
    assert task.fold_metric in task.metrics()
    assert set(task.crossval_tiles) <= set(task.metrics())
