import numpy as np
import pandas as pd

from dialogue_ser.corpus.schema import LabelSet
from dialogue_ser.metrics.predictions import Predictions, predictions_of
from dialogue_ser.report.sections.highlights import confident_errors, instructive_dialogues
from dialogue_ser.tasks.classification import Classification

LABELS = ("neutral", "joy")


def _table(dialogues: dict[str, str]) -> Predictions:
    """Predictions of one speaker: n, j = right; N, J = gold, but the other is predicted; ? = no gold label."""
    rows, p = [], []
    for name, turns in dialogues.items():
        for turn, code in enumerate(turns):
            gold = None if code == "?" else LABELS[code.lower() == "j"]
            predicted_joy = (code == "j") or (code == "N")
            confidence = 0.6 + 0.01 * turn
            rows.append(
                {
                    "split": "test",
                    "dialogue_id": name,
                    "utterance_id": f"test/{name}_{turn}",
                    "turn": turn,
                    "speaker": "a",
                    "text": f"line {turn}",
                    "gold": gold,
                }
            )
            p.append([1 - confidence, confidence] if predicted_joy else [confidence, 1 - confidence])
    task = Classification(LabelSet("any", LABELS))
    return predictions_of(pd.DataFrame(rows).assign(**task.prediction_columns(np.array(p))))


def test_dialogues_with_most_found_and_most_missed_shifts_and_a_typical_one_are_chosen() -> None:
    table = _table({"calm": "nnnnN", "mostly found": "njnjnj", "mostly missed": "nJNJNj", "short": "jn"})
    chosen = dict(instructive_dialogues(table))
    assert list(chosen) == ["mostly found", "mostly missed", "calm"]
    assert "5 of 5 shifts found" in chosen["mostly found"]
    assert "4 of 5 shifts missed" in chosen["mostly missed"]


def test_unlabelled_dialogues_are_not_chosen_and_short_ones_only_if_there_is_no_other() -> None:
    assert [name for name, _ in instructive_dialogues(_table({"blank": "????", "one": "n"}))] == ["one"]


def test_the_most_confident_error_comes_first_and_shows_the_turn_before() -> None:
    errors = confident_errors(_table({"d1": "nNJ", "d2": "J?"}), most=3)
    assert [e["utterance"] for e in errors] == ["test/d1_2", "test/d1_1", "test/d2_0"]
    assert errors[0]["before"] == "a: line 1"
    assert errors[2]["before"] == ""
    assert (errors[0]["gold"], errors[0]["predicted"]) == ("joy", "neutral")
    assert errors[0]["p_predicted"] == 0.62
