import numpy as np
import pytest
from dialogue_ser.metrics.summary import summarise

from dialogue_ser.errors import DialogueSerError
from dialogue_ser.metrics.predictions import Predictions, prediction_rows, predictions_of
from dialogue_ser.metrics.scores import score

LABELS = ("neutral", "joy", "fear")


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
    return predictions_of(prediction_rows(rows, LABELS, rng.dirichlet(np.ones(3), size=len(rows))))


def test_every_slice_kind_splits_the_labelled_turns_completely() -> None:
    table = _table()
    summary = summarise(table, n_resamples=100)
    for kind, slices in summary["slices"].items():
        assert sum(value["n"] for value in slices.values()) == summary["counts"]["labelled"] == len(table) - 1, kind


def test_a_slices_scores_are_the_scores_of_its_turns() -> None:
    table = _table()
    of_b = table.frame[table.frame["speaker"] == "b"]
    expected = score(of_b["gold"].where(of_b["gold"].notna(), None), of_b["predicted"], LABELS)
    value = summarise(table, n_resamples=50)["slices"]["speaker"]["b"]
    assert value["weighted_f1"] == expected.weighted_f1
    assert value["uar"] == expected.uar


def test_slices_without_turns_are_absent_and_classes_without_turns_are_not() -> None:
    summary = summarise(_table(), n_resamples=50)
    assert "14+" not in summary["slices"]["dialogue_length"]
    assert summary["scores"]["per_class"]["fear"]["support"] == 0
    assert set(summary["class_intervals"]) == set(LABELS)


def test_several_splits_at_once_are_refused() -> None:
    with pytest.raises(DialogueSerError, match="one split at a time"):
        summarise(_table(("dev", "test")))
