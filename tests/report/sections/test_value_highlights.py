import numpy as np
import pandas as pd

from dialogue_ser.metrics.predictions import ValuePredictions, predictions_of
from dialogue_ser.report.sections.value_highlights import best_and_worst_dialogue, largest_errors


def table(gold: dict[str, list[float]], predicted: dict[str, list[float]], dialogues: list[str]) -> ValuePredictions:
    n = len(dialogues)
    frame = pd.DataFrame(
        {
            "split": "test",
            "dialogue_id": dialogues,
            "utterance_id": [f"test/u{i}" for i in range(n)],
            "turn": range(n),
            "speaker": [f"s{i % 2}" for i in range(n)],
            "text": [f"line {i}" for i in range(n)],
            **{f"gold_{name}": values for name, values in gold.items()},
            **{f"predicted_{name}": values for name, values in predicted.items()},
        }
    )
    found = predictions_of(frame)
    assert isinstance(found, ValuePredictions)
    return found


def test_errors_are_ranked_by_the_scale_of_their_dimension() -> None:
    gold = {"small": [0.0, 1.0, 0.0, 1.0], "large": [0.0, 100.0, 0.0, 100.0]}
    predicted = {"small": [0.9, 1.0, 0.0, 1.0], "large": [0.0, 100.0, 30.0, 100.0]}
    errors = largest_errors(table(gold, predicted, ["a"] * 4))
    assert [(e["utterance"], e["dimension"], e["gold"], e["predicted"]) for e in errors] == [
        ("test/u0", "small", 0.0, 0.9),  # 1.8 standard deviations
        ("test/u2", "large", 0.0, 30.0),  # 0.6 standard deviations, although the difference is larger
    ]


def test_turns_without_annotation_are_no_error() -> None:
    nan = float("nan")
    errors = largest_errors(table({"v": [1.0, nan, 3.0]}, {"v": [1.0, 99.0, 3.5]}, ["a"] * 3))
    assert [e["utterance"] for e in errors] == ["test/u2"]


def test_the_dialogues_with_smallest_and_largest_error_are_chosen_and_single_utterances_are_not() -> None:
    gold = {"v": [1.0, 2.0, 3.0, 4.0] * 3 + [5.0]}
    predicted = {"v": [1.5, 2.5, 3.5, 4.5, 1.0, 2.0, 3.0, 4.0, 4.0, 3.0, 2.0, 1.0, 1.0]}
    chosen = best_and_worst_dialogue(table(gold, predicted, ["a"] * 4 + ["b"] * 4 + ["c"] * 4 + ["d"]))
    assert [name for name, _ in chosen] == ["b", "c"]
    assert "smallest error: 0.00" in chosen[0][1]
    assert best_and_worst_dialogue(table({"v": [1.0, 2.0]}, {"v": [2.0, 1.0]}, ["a", "b"])) == []


def test_dialogues_of_readable_length_are_preferred() -> None:
    gold = {"v": list(np.linspace(0, 1, 40))}
    predicted = {"v": list(np.linspace(0, 1, 40) + 0.1)}
    predicted["v"][:30] = gold["v"][:30]
    chosen = best_and_worst_dialogue(table(gold, predicted, ["long"] * 30 + ["short"] * 10))
    assert [name for name, _ in chosen] == ["short"]
